"""Slots of a large torus, whose atoms are worked out in pieces, mean the same atoms as a table."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.kernels import slot_atoms
from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.local_expansion import LocalExpansion
from tests.models import random_force_field, with_local_part

STRAIN = np.array([[0.01, 0.004, 0.0], [0.004, -0.01, 0.002], [0.0, 0.002, 0.005]])
SUPERCELLS = [[3, 3, 5], [[2, 1, 0], [0, 3, 1], [-1, 0, 4]], [2, 3, 3]]


@pytest.fixture(scope="module")
def model() -> ForceField:
    return random_force_field(bulk("NaCl", "rocksalt", a=5.6, cubic=True), (2, 2, 2), {2: 5.0, 3: 3.0})[0]


@pytest.fixture(scope="module")
def model_with_local_part(model: ForceField) -> ForceField:
    return with_local_part(model, LocalSettings(cutoff_angstrom=4.3, n_radial=3, l_max=1))


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table is small enough to be kept."""
    monkeypatch.setattr(slot_atoms, "LARGEST_TABLE", 100)


def torus_of(model: ForceField, supercell: list) -> Torus:
    return input_supercell(model.basis.crystal, supercell)


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("supercell", SUPERCELLS)
def test_atoms_are_those_at_the_offsets(model: ForceField, supercell: list) -> None:
    torus = torus_of(model, supercell)
    slots = model.expansion.lattice.tables.slots
    cells = torus.cell_index(slots[:, None, 1:] + torus.offsets)
    expected = slots[:, :1] * torus.n_cells + cells
    found = torus.slot_atoms(slots)
    np.testing.assert_array_equal(found.of_cells(slot_atoms.EVERY_CELL), expected)
    chosen = np.array([torus.n_cells - 1, 3, 4])
    np.testing.assert_array_equal(found.of_cells(chosen, np.array([5, 2])), expected[[5, 2]][:, chosen])


def everything(model: ForceField, torus: Torus, *, precision: str, n_threads: int) -> list[np.ndarray]:
    """Forces, errors, virial, and dynamics of one and of three trajectories."""
    u = 0.05 * np.random.default_rng(1).standard_normal((torus.n_atoms, 3))
    supercell = model.on(torus, precision=precision, n_threads=n_threads)
    dynamics = Dynamics(torus.masses, 0.1, friction_per_fs=0.01, temperature_kelvin=10.0)
    states = [start_at_rest_positions(torus.masses, 10.0, (seed,)) for seed in range(3)]
    kernel = supercell.kernel
    runs = [kernel.run(states[0], dynamics, 3, 1), *kernel.run_replicas(states, [dynamics] * 3, 3, 1)]
    errors = supercell.force_errors(u).epistemic
    virial = supercell.strained_kernel.virial(u)
    return [supercell.energy_forces(u)[1], errors, virial, *(run.displacements for run in runs)]


@pytest.mark.parametrize("supercell", SUPERCELLS)
@pytest.mark.parametrize(("precision", "n_threads"), [("double", 1), ("double", 2), ("single", 3)])
def test_kernels_give_the_same_bits(
    model: ForceField, supercell: list, precision: str, n_threads: int, request: pytest.FixtureRequest
) -> None:
    torus = torus_of(model, supercell)
    expected = everything(model, torus, precision=precision, n_threads=n_threads)
    request.getfixturevalue("in_pieces")
    found = everything(model, torus_of(model, supercell), precision=precision, n_threads=n_threads)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("supercell", SUPERCELLS)
@pytest.mark.parametrize(("precision", "n_threads"), [("double", 2), ("single", 1)])
def test_the_local_part_is_the_same(
    model_with_local_part: ForceField,
    supercell: list,
    precision: str,
    n_threads: int,
    request: pytest.FixtureRequest,
) -> None:
    model = model_with_local_part
    torus = torus_of(model, supercell)
    u = 0.05 * np.random.default_rng(2).standard_normal((torus.n_atoms, 3))
    expected = everything(model, torus, precision=precision, n_threads=n_threads)
    rows = LocalExpansion(model.local, torus).rows(u, STRAIN).forces
    request.getfixturevalue("in_pieces")
    anew = LocalExpansion(model.local, torus_of(model, supercell))
    np.testing.assert_array_equal(anew.rows(u, STRAIN).forces, rows)
    found = everything(model, torus_of(model, supercell), precision=precision, n_threads=n_threads)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
