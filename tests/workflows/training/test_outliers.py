"""Labels that contradict all others are named and not trained on; anharmonic frames are none of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.units import BOHR_ANGSTROM, RYDBERG_EV
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.data_checks import _name_set_aside
from mlff_dyn.workflows.training.label_checks import energy_supports_forces, misfit_has_its_energy
from mlff_dyn.workflows.training.outliers import Outlier, find_outliers, refuse_many
from tests.models import copper, crystal_of, emt_snapshots
from tests.workflows.conftest import invoke

FILE = Path("frames.extxyz")
SDS = (0.05, 0.06, 0.07, 0.06, 0.05, 0.07)


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    crystal = crystal_of(copper())
    return Expansion(build_basis(crystal, {2: "full", 3: 2.7}, input_supercell(crystal, (2, 2, 2))))


@pytest.fixture(scope="module")
def frames() -> list[Snapshot]:
    return emt_snapshots((2, 2, 2), SDS)


def found(expansion: Expansion, frames: Sequence[Snapshot]) -> list[Outlier]:
    data = FitData(frames_of_snapshots(FILE, frames, expansion))
    return find_outliers(fit_force_field(expansion.basis, data), data)


def with_forces(frames: Sequence[Snapshot], k: int, forces: np.ndarray) -> list[Snapshot]:
    return [replace(f, forces_ev_per_angstrom=forces) if i == k else f for i, f in enumerate(frames)]


def damaged(frames: Sequence[Snapshot], k: int, how: str) -> list[Snapshot]:
    """One frame with wrong labels; the atom of the worst is the 8th."""
    forces = frames[k].forces_ev_per_angstrom.copy()
    if how == "component":
        forces[7, 1] += 3.0
        forces[20, 1] -= 3.0 - 1e-3
    elif how == "swapped":
        forces[[7, 20]] = forces[[20, 7]]
    elif how == "scrambled":
        forces = forces[np.random.default_rng(0).permutation(len(forces))]
    elif how == "scaled":
        forces *= 1.9
    elif how == "zero":
        forces *= 0.0
    elif how == "Ry/bohr":
        forces *= BOHR_ANGSTROM / RYDBERG_EV
    return with_forces(frames, k, forces)


@pytest.mark.parametrize("how", ["component", "swapped", "scrambled", "scaled", "zero", "Ry/bohr"])
@pytest.mark.parametrize("k", [0, 4])
def test_a_frame_of_wrong_forces_is_found(
    expansion: Expansion, frames: list[Snapshot], how: str, k: int
) -> None:
    wrong = damaged(frames, k, how)
    (outlier,) = found(expansion, wrong)
    assert (outlier.frame, outlier.label) == (k, "forces")
    text = outlier.describe(wrong[k], expansion.basis.crystal)
    if how in ("component", "swapped"):
        assert "force on atom 8 (Cu)" in text or "force on atom 21 (Cu)" in text
    assert ("they look like Ry/bohr" in text) == (how == "Ry/bohr")
    if how == "component":
        assert "off by 3 " in text or "off by 2.9" in text or "off by 3.0" in text


def test_a_wrong_energy_is_found_and_the_forces_stay(expansion: Expansion, frames: list[Snapshot]) -> None:
    wrong = [replace(f, energy_ev=(f.energy_ev or 0.0) + 0.5 * (k == 3)) for k, f in enumerate(frames)]
    (outlier,) = found(expansion, wrong)
    assert (outlier.frame, outlier.label) == (3, "energy")
    assert outlier.error == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("sds", [(0.05,) * 5 + (0.25,), (0.02, 0.02, 0.2), (0.25,) * 6, (0.01, 0.05, 0.3)])
def test_anharmonic_frames_are_no_outliers(expansion: Expansion, sds: tuple[float, ...]) -> None:
    """Nor those far beyond the amplitude of all others."""
    for seed in range(3):
        assert found(expansion, emt_snapshots((2, 2, 2), sds, seed=seed)) == []


def test_many_outliers_are_refused() -> None:
    outliers = [Outlier(1, "forces"), Outlier(3, "energy")]
    refuse_many(FILE, outliers, 6)
    with pytest.raises(DataError, match="frames 2, 4 of 5 contradict the others"):
        refuse_many(FILE, outliers, 5)


def test_train_goes_on_without_it_and_says_so(project: Path) -> None:
    """As accurate as without the frame, which stays in the file with its mark; the rerun changes nothing."""
    frames = [*read_snapshots(project / "frames.extxyz"), *emt_snapshots((2, 2, 2), SDS, seed=5)]
    write_snapshots(project / "wrong.extxyz", damaged(frames, 2, "scrambled"))
    command = (
        "train", project / "CONFIG.yaml", "--dataset", project / "wrong.extxyz", "--static", "--json",
        "--run-dir", project / "other",
    )  # fmt: skip
    result = invoke(*command)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    (line,) = answer["warnings"]
    assert "dataset.extxyz, frame 3: force on atom" in line
    assert "the frame is set aside" in line
    assert "frame 3: force on atom" in " ".join(result.stderr.split())
    kept = read_snapshots(project / "other/dataset.extxyz")
    assert [s.provenance.set_aside for s in kept].count("forces") == 1
    assert len(kept) == len(frames)
    write_snapshots(project / "right.extxyz", [*frames[:2], *frames[3:]])
    clean = invoke(*command[:3], project / "right.extxyz", *command[4:-1], project / "clean")
    assert answer["log_evidence"] == pytest.approx(json.loads(clean.stdout)["log_evidence"], rel=1e-9)
    before = (project / "other/dataset.extxyz").read_bytes()
    assert "up to date" in invoke(*command[:5], *command[6:]).stdout
    assert (project / "other/dataset.extxyz").read_bytes() == before


def test_a_right_frame_of_a_larger_cell_is_no_mistake(frames: list[Snapshot]) -> None:
    """Its forces contradict the reach of the small cells, which another calculation would not change."""
    aside = Provenance(set_aside="forces", set_aside_because="forces off")
    (large,) = emt_snapshots((3, 3, 3), (0.05,))
    (line,) = _name_set_aside(FILE, [*frames, replace(large, provenance=aside)])
    assert "its cell has 108 atoms, no other frame more than 32" in line
    assert "structure.supercell" in line
    assert "calculate it again" not in line
    (line,) = _name_set_aside(FILE, [*frames, replace(frames[0], provenance=aside)])
    assert "calculate it again or remove it" in line


@pytest.mark.parametrize(("how", "is_supported"), [("both", True), ("scaled", False), ("zero", False)])
def test_energies_tell_a_lie_from_a_surprise(
    expansion: Expansion, frames: list[Snapshot], how: str, is_supported: bool
) -> None:
    """Forces and energy 1.9 times those expected may be true; forces alone, or none, are not."""
    rows = frames_of_snapshots(FILE, frames, expansion)
    fitted = fit_force_field(expansion.basis, FitData(rows[:5]))
    energy = rows[5].energy_ev
    if how == "both":
        zero = float(fitted.energy.zero[0]) * rows[5].n_atoms
        (frame,) = frames_of_snapshots(FILE, damaged(frames, 5, "scaled")[5:], expansion)
        frame = replace(frame, energy_ev=zero + 1.9 * (energy - zero))
    else:
        (frame,) = frames_of_snapshots(FILE, damaged(frames, 5, how)[5:], expansion)
    assert energy_supports_forces(fitted, frame) is is_supported


@pytest.mark.parametrize(
    ("has_forces", "has_energy", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_energies_tell_a_lie_about_one_atom_from_its_well(
    expansion: Expansion, frames: list[Snapshot], *, has_forces: bool, has_energy: bool, expected: bool
) -> None:
    """An atom feels c |u|⁴ of which nothing known tells; forces alone are a lie, so is an energy alone."""
    rows = frames_of_snapshots(FILE, frames, expansion)
    fitted = fit_force_field(expansion.basis, FitData(rows[:5]))
    moved = frames[5].positions[7] - (copper() * (2, 2, 2)).positions[7]
    forces, energy = frames[5].forces_ev_per_angstrom.copy(), frames[5].energy_ev
    stiffness = 15.0 / np.linalg.norm(moved) ** 3
    if has_forces:
        forces[7] -= stiffness * (moved @ moved) * moved
    if has_energy:
        energy += 0.25 * stiffness * (moved @ moved) ** 2
    wrong = [replace(frames[5], forces_ev_per_angstrom=forces, energy_ev=energy)]
    (frame,) = frames_of_snapshots(FILE, wrong, expansion)
    data = FitData([*rows[:5], frame])
    assert misfit_has_its_energy(fitted, frame, data.force_rows(5), data.energy_row(5)) is expected
