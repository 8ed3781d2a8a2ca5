"""Labels that contradict each other are refused by name; sound ones never are, however anharmonic."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.units import BOHR_ANGSTROM, EV_PER_ANGSTROM3_GPA, RYDBERG_EV
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.data_checks import check_frames
from mlff_dyn.workflows.training.label_checks import check_labels
from tests.models import copper, crystal_of, emt_snapshots
from tests.workflows.conftest import invoke
from tests.workflows.training_project import refused

FILE = Path("frames.extxyz")


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    crystal = crystal_of(copper())
    return Expansion(build_basis(crystal, {2: "full", 3: 2.7}, input_supercell(crystal, (2, 2, 2))))


def labelled(sds: tuple[float, ...], seed: int = 1) -> list[Snapshot]:
    """Rattled copper with the stress of EMT."""
    found = []
    for snapshot in emt_snapshots((2, 2, 2), sds, seed=seed):
        atoms = copper() * (2, 2, 2)
        atoms.positions = snapshot.positions
        atoms.calc = EMT()
        found.append(replace(snapshot, stress_ev_per_angstrom3=atoms.get_stress()))
    return found


def changed(
    frames: Sequence[Snapshot], forces: float = 1.0, energy: float = 1.0, stress: float = 1.0
) -> list[Snapshot]:
    return [
        replace(
            f,
            forces_ev_per_angstrom=forces * f.forces_ev_per_angstrom,
            energy_ev=energy * (f.energy_ev or 0.0),
            stress_ev_per_angstrom3=stress * np.asarray(f.stress_ev_per_angstrom3),
        )
        for f in frames
    ]


def check(expansion: Expansion, frames: Sequence[Snapshot], *, uses_stress: bool = True) -> None:
    rows = frames_of_snapshots(FILE, frames, expansion)
    found = check_frames(FILE, frames, rows)
    data = FitData(found.distinct(found.with_origins(rows)))
    check_labels(FILE, data, expansion.basis, uses_stress=uses_stress)


def double_wells(sds: Sequence[float], seed: int) -> list[Snapshot]:
    """Every atom in wells around its site, 0.3 Å away: what an expansion of order 3 cannot describe."""
    generator, found = np.random.default_rng(seed), []
    for sd in sds:
        atoms = copper() * (2, 2, 2)
        u = sd * generator.standard_normal((len(atoms), 3))
        u -= u.mean(axis=0)
        squares = np.sum(u**2, axis=1, keepdims=True)
        forces = 4.0 * u - 45.0 * squares * u
        energy = float(np.sum(-2.0 * squares + 0.25 * 45.0 * squares**2))
        moved = replace(
            emt_snapshots((2, 2, 2), (0.0,))[0],
            positions=atoms.positions + u,
            energy_ev=energy,
            forces_ev_per_angstrom=forces - forces.mean(axis=0),
        )
        found.append(moved)
    return found


def test_wells_beside_the_sites_are_no_contradiction(expansion: Expansion) -> None:
    """About a saddle point the fit leaves most of the forces, and its energies mean nothing."""
    for seed in range(4):
        check(expansion, double_wells((0.02, 0.02, 0.18, 0.2, 0.3, 0.25, 0.32), seed), uses_stress=False)


@pytest.mark.parametrize("n", [1, 2, 6])
@pytest.mark.parametrize("sd", [0.02, 0.08, 0.2])
def test_sound_labels_pass_at_any_amplitude(expansion: Expansion, n: int, sd: float) -> None:
    """At 0.2 Å the expansion leaves a large part of the forces."""
    for seed in range(2):
        frames = labelled((sd,) * n, seed=seed)
        check(expansion, frames)
        check(expansion, [replace(f, energy_ev=None) for f in frames])


@pytest.mark.parametrize(
    ("forces", "energy", "words"),
    [
        (-1.0, 1.0, "forces: the sign looks reversed"),
        (1.0, -1.0, "energy: the sign looks reversed"),
        (BOHR_ANGSTROM / RYDBERG_EV, 1.0, "forces look like Ry/bohr: ratio 0.0"),
        (0.5 * BOHR_ANGSTROM / RYDBERG_EV, 1.0, "forces look like hartree/bohr"),
        (1000.0, 1.0, "forces look like meV/Å: ratio "),
        (1.0, 1.0 / RYDBERG_EV, "energies look like Ry: ratio 0.07"),
        (1.0, 96.4853, "energies look like kJ/mol"),
        (1.0, 1.0 / 32.0, "energies look like energies per atom"),
        (BOHR_ANGSTROM / RYDBERG_EV, 1.0 / RYDBERG_EV, "look like atomic units"),
        (2.0, 1.0, "different calculations or units"),
    ],
)  # fmt: skip
def test_signs_and_units_of_forces_and_energies_are_named(
    expansion: Expansion, forces: float, energy: float, words: str
) -> None:
    for sds in ((0.05, 0.08, 0.08, 0.1, 0.12), (0.06,) * 8):
        with pytest.raises(DataError, match=words):
            check(expansion, changed(labelled(sds), forces, energy))


@pytest.mark.parametrize(
    ("stress", "words"),
    [
        (-1.0, "stress: only the sign looks wrong"),
        (EV_PER_ANGSTROM3_GPA, "stress looks like GPa"),
        (10.0 * EV_PER_ANGSTROM3_GPA, "stress looks like kbar;"),
        (-10.0 * EV_PER_ANGSTROM3_GPA, "stress looks like kbar of reversed sign"),
    ],
)
def test_signs_and_units_of_stresses_are_named(expansion: Expansion, stress: float, words: str) -> None:
    frames = changed(labelled((0.05, 0.08, 0.08, 0.1, 0.12)), stress=stress)
    with pytest.raises(DataError, match=words):
        check(expansion, frames)
    check(expansion, frames, uses_stress=False)


def test_reversed_forces_are_seen_without_energies(expansion: Expansion) -> None:
    for frames in (labelled((0.05, 0.1)), labelled((0.05,))):
        silent = [replace(f, energy_ev=None) for f in changed(frames, -1.0)]
        with pytest.raises(DataError, match="push the atoms away from their sites"):
            check(expansion, silent, uses_stress=False)


def test_energies_of_two_zeros_are_compared_within_each(expansion: Expansion) -> None:
    frames = labelled((0.05, 0.08, 0.1, 0.06, 0.09, 0.07))
    shifted = [replace(f, energy_ev=(f.energy_ev or 0.0) - 50.0) for f in frames[3:]]
    check(expansion, [*frames[:3], *shifted])


def test_train_refuses_and_keeps_nothing(project: Path) -> None:
    frames = list(read_snapshots(project / "frames.extxyz"))
    wrong = [
        replace(f, forces_ev_per_angstrom=f.forces_ev_per_angstrom * BOHR_ANGSTROM / RYDBERG_EV)
        for f in frames
    ]
    write_snapshots(project / "wrong.extxyz", wrong)
    for options in (["--static"], ["--static", "--dry-run"]):
        result = invoke(
            "train", project / "CONFIG.yaml", "--dataset", project / "wrong.extxyz", *options, "--json",
            "--run-dir", project / "fresh",
        )  # fmt: skip
        refused(result, 3, "wrong.extxyz", "forces look like Ry/bohr: ratio 0.0")
        assert not (project / "fresh" / "dataset.extxyz").exists()
    result = invoke("validate", project / "run/model.h5", project / "wrong.extxyz", "--json")
    refused(result, 3, "forces look like Ry/bohr")


@pytest.mark.parametrize(
    ("factor", "words"), [(BOHR_ANGSTROM / RYDBERG_EV, "look like Ry/bohr"), (-1.0, "sign looks reversed")]
)
def test_validate_knows_signs_and_units_of_a_single_frame(project: Path, factor: float, words: str) -> None:
    first = read_snapshots(project / "test.extxyz")[0]
    forces = factor * first.forces_ev_per_angstrom
    write_snapshots(project / "one.extxyz", [replace(first, forces_ev_per_angstrom=forces, energy_ev=None)])
    refused(invoke("validate", project / "run/model.h5", project / "one.extxyz", "--json"), 3, words)


@pytest.mark.parametrize(("factor", "words"), [(EV_PER_ANGSTROM3_GPA, "look like GPa"), (-1.0, "sign looks")])
def test_validate_knows_signs_and_units_of_stresses(project: Path, factor: float, words: str) -> None:
    frames = changed(labelled((0.05, 0.09), seed=2), stress=factor)
    write_snapshots(project / "stressed.extxyz", frames)
    refused(invoke("validate", project / "run/model.h5", project / "stressed.extxyz", "--json"), 3, words)
