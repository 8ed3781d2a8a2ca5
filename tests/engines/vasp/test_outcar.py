"""OUTCAR: numbers that touch, predicted steps, and moments."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.engines.vasp.numbers import split_numbers
from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.engines.vasp.outcar_head import _counts
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from tests.engines.vasp.vasp_outputs import read_all

PREDICTED = """
  ML FORCE on cell =-STRESS in cart. coord. units (eV/cell)
  Direction    XX          YY          ZZ          XY          YZ          ZX
  --------------------------------------------------------------------------------------
  Total:       1.00000     2.00000     3.00000     0.10000     0.20000     0.30000
  in kB      111.00000   222.00000   333.00000    11.00000    22.00000    33.00000
  volume of cell :     1000.00
      direct lattice vectors                 reciprocal lattice vectors
    10.000000000  0.000000000  0.000000000     0.100000000  0.000000000  0.000000000
     0.000000000 10.000000000  0.000000000     0.000000000  0.100000000  0.000000000
     0.000000000  0.000000000 10.000000000     0.000000000  0.000000000  0.100000000

  POSITION                                       TOTAL-FORCE (eV/Angst) (ML)
 -----------------------------------------------------------------------------------
      5.38154      4.06861      3.60573         7.000000      8.000000      9.000000
 -----------------------------------------------------------------------------------

  ML FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy ML TOTEN  =       -99.00000000 eV

  ML energy  without entropy=      -99.00000000  ML energy(sigma->0) =      -99.00000000

"""


@pytest.fixture
def relaxation(shared_data: Path) -> str:
    """A relaxation of one atom in eight steps, by VASP 5.4."""
    return gzip.decompress((shared_data / "vasp" / "OUTCAR.etest1.gz").read_bytes()).decode("latin-1")


def read_text(text: str, path: Path) -> tuple[list, list]:
    path.write_bytes(text.encode("latin-1"))
    return read_all(OUTCAR, path)


def test_predictions_are_told_from_calculations(relaxation: str, tmp_path: Path) -> None:
    """A prediction comes before the electronic steps where there are any, or alone."""
    sound, _ = read_text(relaxation, tmp_path / "OUTCAR")
    lines = relaxation.splitlines(keepends=True)
    text = "".join(PREDICTED + line if "Iteration" in line and "(   1)" in line else line for line in lines)
    assert text.count(PREDICTED) == 8
    end = text.index(" General timing")
    text = text[:end] + PREDICTED * 5 + text[end:]
    snapshots, (refused,) = read_text(text, tmp_path / "OUTCAR")
    assert len(snapshots) == 8
    assert "5 steps were predicted" in str(refused)
    for found, stated in zip(snapshots, sound, strict=True):
        assert found.energy_ev == stated.energy_ev
        np.testing.assert_array_equal(found.cell, stated.cell)
        np.testing.assert_array_equal(found.stress_ev_per_angstrom3, stated.stress_ev_per_angstrom3)


def test_columns_that_touch_are_read(shared_data: Path, tmp_path: Path) -> None:
    text = gzip.decompress((shared_data / "vasp" / "OUTCAR.gz").read_bytes()).decode("latin-1")
    sound, _ = read_text(text, tmp_path / "OUTCAR")
    begin = text.rindex("TOTAL-FORCE")
    end = text.index("total drift", begin)
    touching = re.sub(r" +-(?=\d*\.\d)", "-", text[begin:end])
    assert re.search(r"\d-\d+\.\d+-\d", touching)
    found, refused = read_text(text[:begin] + touching + text[end:], tmp_path / "OUTCAR")
    assert (len(found), refused) == (5, [])
    np.testing.assert_array_equal(found[-1].forces_ev_per_angstrom, sound[-1].forces_ev_per_angstrom)
    np.testing.assert_array_equal(found[-1].positions, sound[-1].positions)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-10.123-20.456", ["-10.123", "-20.456"]),
        (" 1.00000 100.12345200.54321", ["1.00000", "100.12345", "200.54321"]),
        ("0.1E-03-0.2E-03", ["0.1E-03", "-0.2E-03"]),
        ("******** 1.0", ["********", "1.0"]),
    ],
)
def test_numbers_are_split(text: str, words: list[str]) -> None:
    assert split_numbers(text) == words


def test_asterisks_cost_one_step(relaxation: str, tmp_path: Path) -> None:
    begin = relaxation.index("  in kB")
    end = relaxation.index("\n", begin)
    text = relaxation[:begin] + "  in kB    ************ ************     1.0  0.0 0.0 0.0" + relaxation[end:]
    snapshots, (refused,) = read_text(text, tmp_path / "OUTCAR")
    assert (len(snapshots), refused.step) == (7, 1)
    assert "no number" in refused.reason


def test_without_the_message_of_convergence_a_step_is_refused(relaxation: str, tmp_path: Path) -> None:
    text = relaxation.replace(
        "aborting loop because EDIFF is reached", "aborting loop EDIFF was not reached", 1
    )
    snapshots, (refused,) = read_text(text, tmp_path / "OUTCAR")
    assert (len(snapshots), refused.step) == (7, 1)
    assert "not converged" in refused.reason


def test_moments_are_those_of_the_last_table(shared_data: Path) -> None:
    snapshots, _ = read_all(OUTCAR, shared_data / "vasp" / "OUTCAR.gz")
    assert snapshots[-1].magnetic_moments.tolist() == [0.0, 0.813, 0.813, -0.112, -0.162, -0.112, -0.162]


def test_steps_of_a_run_that_is_appended_are_refused(
    relaxation: str, shared_data: Path, tmp_path: Path
) -> None:
    other = (shared_data / "vasp" / "OUTCAR.Al").read_text(encoding="latin-1")
    snapshots, (refused,) = read_text(relaxation + other, tmp_path / "OUTCAR")
    assert len(snapshots) == 8
    assert "another run" in refused.reason


def test_runs_with_the_same_settings_are_told_alike_by_both_formats(shared_data: Path) -> None:
    """The same input of copper, by VASP 5.4 in an OUTCAR and by VASP 6.2 in a vasprun.xml."""
    from_text, _ = read_all(OUTCAR, shared_data / "vasp" / "OUTCAR.etest1.gz")
    from_xml, _ = read_all(VASPRUN, shared_data / "vasp" / "vasprun.etest2.xml.gz")
    assert from_text[0].provenance.label_engine == from_xml[0].provenance.label_engine


def test_numbers_of_a_thousand_atoms_touch() -> None:
    assert _counts("              10002048  32", 3) == [1000, 2048, 32]
    assert _counts("               1   2   4", 3) == [1, 2, 4]
