"""Outputs of CP2K: energy, forces and stress of one structure, or the reason why not."""

from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.formats.label_files.cp2k import CP2K
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source

OUTPUT = """\
 CP2K| version string:                                       CP2K version 2023.1
 GLOBAL| Run type                                                   ENERGY_FORCE
 CELL_TOP| Vector a [angstrom     5.500     0.000     0.000   |a| =     5.500000
 CELL| Vector a [angstrom]:       5.431     0.000     0.000   |a| =     5.430700
 CELL| Vector b [angstrom]:       0.000     5.431     0.000   |b| =     5.430700
 CELL| Vector c [angstrom]:       0.000     0.000     5.431   |c| =     5.430700
 FUNCTIONAL| PADE:
 QS| Density cutoff [a.u.]:                                                100.0
     GTH Potential information for                                   GTH-PADE-q4

 MODULE QUICKSTEP: ATOMIC COORDINATES IN ANGSTROM

   Atom Kind Element         X             Y             Z       Z(eff)     Mass
      1    1 Si   14      0.034589      0.082625      0.051809   4.0000  28.0855
      2    1 Si   14      1.369715      1.390999      1.363403   4.0000  28.0855


  *** SCF run converged in     9 steps ***

 ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:               -7.800000000000000

 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
      1      1      Si          0.01000000    -0.02000000     0.03000000
      2      1      Si         -0.01000000     0.02000000    -0.03000000
 SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000

 STRESS| Analytical stress tensor [GPa]
 STRESS|                        x                   y                   z
 STRESS|      x       -1.60217663400E+02   0.00000000000E+00   0.00000000000E+00
 STRESS|      y        0.00000000000E+00  -1.60217663400E+02   3.20435326800E+02
 STRESS|      z        0.00000000000E+00   3.20435326800E+02  -1.60217663400E+02

  **** **** ******  **  PROGRAM ENDED AT                 2026-01-02 15:36:57.315
"""
SLANTED = OUTPUT.replace("0.000     5.431     0.000   |b|", "1.357     5.258     0.000   |b|")


def read(folder: Path, text: str) -> Snapshot | RefusedStep:
    path = folder / "cp2k.out"
    path.write_text(text)
    assert CP2K.recognizes(Source(path), Source(path).head())
    (found,) = CP2K.read(Source(path), ReadOptions())
    return found


def test_a_structure_in_ev_and_angstrom(tmp_path: Path) -> None:
    found = read(tmp_path, OUTPUT)
    assert isinstance(found, Snapshot)
    assert found.numbers.tolist() == [14, 14]
    assert np.diag(found.cell) == pytest.approx(3 * [5.4307])
    assert found.positions[1].tolist() == [1.369715, 1.390999, 1.363403]
    assert found.energy_ev == pytest.approx(-7.8 * 27.211386245981)
    assert found.forces_ev_per_angstrom[0] == pytest.approx(np.array([1, -2, 3]) * 0.514220674)
    assert found.stress_ev_per_angstrom3 == pytest.approx([1, 1, 1, -2, 0, 0])
    label = found.provenance
    assert (label.program, label.date) == ("CP2K 2023.1", "2026-01-02T15:36:57")
    assert (label.label_engine_kind, label.pseudopotentials) == ("cp2k", "GTH-PADE-q4")
    other = read(tmp_path, OUTPUT.replace("100.0\n", "200.0\n"))
    assert isinstance(other, Snapshot)
    assert other.provenance.label_engine != label.label_engine


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("*** SCF run converged in     9 steps", "*** SCF run NOT converged", "did not converge"),
        ("PROGRAM ENDED AT", "", "it is cut"),
        (" ATOMIC FORCES in [a.u.]", "", "there are no forces"),
        ("      2      1      Si         -0.01", "", "2 atoms and 1 forces"),
        ("      2    1 Si   14", "", "1 atoms and 2 forces"),
        (" ENERGY|", " ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]: -7.1\n ENERGY|", "several steps"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    found = read(tmp_path, OUTPUT.replace(old, new))
    assert isinstance(found, RefusedStep)
    assert reason in found.reason


def test_three_decimals_of_a_slanted_cell_are_not_enough(tmp_path: Path) -> None:
    found = read(tmp_path, SLANTED)
    assert isinstance(found, RefusedStep)
    assert "three decimals" in found.reason
    vectors = "A 5.4307 0.0 0.0\nB 1.35712 5.25836 0.0\nC 0.0 0.0 5.4307\n"
    (tmp_path / "si.inp").write_text(f"&CELL\n{vectors}&END CELL\n")
    found = read(tmp_path, SLANTED)
    assert isinstance(found, Snapshot)
    assert found.cell[1].tolist() == [1.35712, 5.25836, 0.0]
