"""Forces on the undisplaced atoms of a reference that is not relaxed are found, named, and scale no error."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from mlff_dyn.errors import FitError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.data_checks import check_fit
from tests.models import copper, crystal_of

FILE = Path("frames.extxyz")
SUPERCELL = (2, 2, 1)


def layered(shift: float) -> Atoms:
    """Copper with two of four layers moved towards each other."""
    atoms = copper() * (1, 1, 2)
    layers = np.rint(atoms.positions[:, 2] / 1.795)
    atoms.positions[:, 2] += shift * (layers == 1) - shift * (layers == 2)
    return atoms


def fitted(atoms: Atoms) -> tuple[ForceField, np.ndarray]:
    """Force field from six rattled cells, and the true forces on undisplaced atoms."""
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, SUPERCELL)
    expansion = Expansion(build_basis(crystal, {2: "full", 3: 2.7}, torus))
    frames = []
    for seed in range(6):
        moved = atoms * SUPERCELL
        moved.rattle(0.05, seed=seed)
        moved.calc = EMT()
        energy, forces = float(moved.get_potential_energy()), moved.get_forces()
        frames.append(Snapshot(moved.numbers, moved.positions, moved.cell.array, energy, forces))
    data = FitData(frames_of_snapshots(FILE, frames, expansion))
    still = atoms * SUPERCELL
    still.calc = EMT()
    return fit_force_field(expansion.basis, data), still.get_forces()


def test_no_static_forces_where_symmetry_forbids_them() -> None:
    force_field, _ = fitted(layered(0.0))
    assert not force_field.static_forces[0].any()
    assert check_fit(FILE, force_field) == []


def test_static_forces_are_found_and_named() -> None:
    force_field, true = fitted(layered(0.03))
    forces, sds = force_field.static_forces
    largest = np.linalg.norm(true, axis=1).max()
    assert np.linalg.norm(forces, axis=1).max() == pytest.approx(largest, abs=4.0 * sds.max() + 0.02)
    (line,) = check_fit(FILE, force_field)
    assert "static forces up to 0.4" in line
    assert "relax it" in line


def test_a_reference_far_from_equilibrium_is_refused() -> None:
    with pytest.raises(FitError, match="no equilibrium; fix: relax"):
        check_fit(FILE, fitted(layered(0.15))[0])


def test_errors_are_relative_to_vibrations() -> None:
    """The same size of forces, within what anharmonicity changes, with and without static ones."""
    sizes = [fitted(layered(shift))[0].training.force_rms_ev_per_angstrom for shift in (0.0, 0.15)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.3)
