"""Outputs of FHI-aims that ASE brings along: converged steps with forces of all atoms, or why not."""

from pathlib import Path

import ase.test
import numpy as np
import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.aims import AIMS
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep, StepChoice
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source

OUTPUTS = Path(ase.test.__file__).parent / "testdata/aims"
CONTROL = """\
  The contents of control.in will be repeated verbatim below
  xc pbe
  k_grid {k} {k} {k}
  species Si
    nucleus 14 {basis}
  Completed first pass over input file control.in .
"""


def read(folder: Path, text: str, steps: str = "all") -> list[Snapshot | RefusedStep]:
    path = folder / "aims.out"
    path.write_text("          Invoking FHI-aims ...\n" + text)
    assert AIMS.recognizes(Source(path), Source(path).head())
    return list(AIMS.read(Source(path), ReadOptions(StepChoice.parse(steps))))


def relaxed() -> str:
    """A relaxation of silicon, as if no atom had been held."""
    lines = (OUTPUTS / "relax.out").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if "Found relaxation constraint" not in line)


def test_steps_of_a_relaxation(tmp_path: Path) -> None:
    found = [each for each in read(tmp_path, relaxed()) if isinstance(each, Snapshot)]
    assert len(found) >= 7
    first = found[0]
    assert first.energy_ev == pytest.approx(-15747.6651322907)
    assert first.positions[1] == pytest.approx(3 * [1.4515])
    assert first.stress_ev_per_angstrom3 is not None
    assert abs(np.ptp(first.stress_ev_per_angstrom3[:3])) < 1e-6
    volumes = [abs(np.linalg.det(each.cell)) for each in found]
    energies = [each.energy_ev for each in found]
    assert first.stress_ev_per_angstrom3[0] > 0.0
    assert volumes[1] < volumes[0]
    assert energies[1] < energies[0]
    assert (first.provenance.step, first.provenance.label_engine_kind) == (1, "aims")
    assert len(read(tmp_path, relaxed(), "last")) == 1


def test_what_is_no_label_is_refused(tmp_path: Path) -> None:
    text = relaxed()
    cut = text[: text.index("Self-consistency cycle converged", text.index("Relaxation step number      2"))]
    *good, bad = read(tmp_path, cut)
    assert [isinstance(each, Snapshot) for each in good] == [True, True]
    assert isinstance(bad, RefusedStep)
    assert "did not converge" in bad.reason
    for name, reason in (
        ("relax.out", "atoms that were held"),
        ("md.out", "not periodic"),
        ("DFPT_dielectric.out", "no forces"),
    ):
        found = read(tmp_path, (OUTPUTS / name).read_text())
        assert isinstance(found[0], RefusedStep)
        assert reason in found[0].reason
    with pytest.raises(DataError, match=r"aims.out (cannot be read|holds no step)"):
        read(tmp_path, "")


def test_settings_are_told_apart_but_for_the_mesh(tmp_path: Path) -> None:
    def settings(k: int, basis: str) -> str | None:
        found = read(tmp_path, CONTROL.format(k=k, basis=basis) + relaxed(), "0:1")[0]
        assert isinstance(found, Snapshot)
        return found.provenance.label_engine

    assert settings(2, "tight") == settings(4, "tight") != settings(2, "light")


@pytest.mark.parametrize(
    "line",
    [
        "Geometry relaxation: A file",
        "Analytical stress tensor - Symmetrized",
        "| Electronic free energy",
        "Updated atomic structure:",
        "Geometry optimization: Attempting",
    ],
)
def test_a_step_is_never_mixed_of_two(tmp_path: Path, line: str) -> None:
    """A line that is missing must not let a reader take what belongs to another step."""
    lines = relaxed().splitlines(keepends=True)
    whole = {each.energy_ev: each for each in read(tmp_path, "".join(lines)) if isinstance(each, Snapshot)}
    last = max(k for k, each in enumerate(lines[:800]) if line in each)
    for each in read(tmp_path, "".join(lines[:last] + lines[last + 1 :])):
        if isinstance(each, Snapshot):
            expected = whole[each.energy_ev]
            assert np.allclose(each.positions, expected.positions)
            assert np.allclose(each.cell, expected.cell)
            assert np.allclose(each.stress_ev_per_angstrom3, expected.stress_ev_per_angstrom3)
