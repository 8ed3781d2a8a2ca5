"""Harmonic interactions on a torus: Fourier transform, dense matrix, and both versions of the kernel."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import BACKEND, ForceKernel
from mlff_dyn.kernels import reference as reference_kernels
from mlff_dyn.kernels.compiled.tables.transform_plan import build_transform_plan, radices
from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.kernels.gather import GatherTables, build_gather_tables
from mlff_dyn.kernels.harmonic import HarmonicTorus
from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed

GRIDS = [
    (1, 1, 1),
    (1, 1, 2),
    (2, 2, 4),
    (3, 3, 3),
    (1, 5, 35),
    (1, 2, 26),
    (1, 1, 64),
    (1, 1, 97),
    (4, 6, 12),
]
needs_compiler = pytest.mark.skipif(BACKEND != "compiled", reason="the compiled kernels are not in use")


def random_torus(grid: tuple[int, int, int], n_sites: int, seed: int = 0) -> HarmonicTorus:
    """Random symmetric interactions: block (a, b) of a cell is block (b, a) of the opposite cell."""
    blocks = np.random.default_rng(seed).standard_normal((3 * n_sites, 3 * n_sites, *grid))
    opposite = np.roll(blocks[:, :, ::-1, ::-1, ::-1], 1, axis=(2, 3, 4)).swapaxes(0, 1)
    return HarmonicTorus(grid, (blocks + opposite).reshape(3 * n_sites, 3 * n_sites, -1))


def stable_torus(grid: tuple[int, int, int], n_sites: int) -> HarmonicTorus:
    """Interactions without imaginary frequency: the square of random ones."""
    root = random_torus(grid, n_sites).spectrum
    square = np.einsum("abxyz,bcxyz->acxyz", root, root) / np.abs(root).max() ** 2
    blocks = np.fft.fftn(square, axes=(2, 3, 4)).real / np.prod(grid)
    return HarmonicTorus(grid, np.ascontiguousarray(blocks.reshape(3 * n_sites, 3 * n_sites, -1)))


def dense_matrix(harmonic: HarmonicTorus) -> NDArray[np.float64]:
    """Second derivatives between all atoms, rows and columns 3 * (site * n_cells + cell) + axis."""
    points = np.array(list(np.ndindex(*harmonic.grid)))
    differences = (points[None] - points[:, None]) % harmonic.grid
    cells = np.ravel_multi_index(tuple(differences.transpose(2, 0, 1)), harmonic.grid)
    n_sites, n_cells = harmonic.n_sites, len(points)
    blocks = harmonic.blocks.reshape(n_sites, 3, n_sites, 3, n_cells)[..., cells]
    return blocks.transpose(0, 4, 1, 2, 5, 3).reshape(3 * n_sites * n_cells, -1)


def empty_tables(n_sites: int) -> GatherTables:
    """Tables of a polynomial without terms."""
    slots = np.zeros((n_sites, 4), np.int32)
    slots[:, 0] = np.arange(n_sites)
    no_terms = OrderTerms(
        order=2,
        monomials=np.empty((0, 2), np.int32),
        indptr=np.zeros(1, np.int32),
        indices=np.empty(0, np.int32),
        data=np.empty(0),
        n_parameters=0,
    )
    return build_gather_tables(CellPolynomial(n_sites=n_sites, slots=slots, orders=(no_terms,)))


def kernel_of(harmonic: HarmonicTorus, kind: type[ForceKernel] = ForceKernel, precision: str = "double"):
    """Force kernel of these interactions alone."""
    n_sites, n_cells = harmonic.n_sites, harmonic.blocks.shape[2]
    slot_atoms = np.arange(n_sites * n_cells, dtype=np.int32).reshape(n_sites, n_cells)
    return kind(empty_tables(n_sites), np.empty(0), slot_atoms, precision, harmonic=harmonic)


def displacements_of(harmonic: HarmonicTorus, seed: int = 1) -> NDArray[np.float64]:
    n_atoms = harmonic.n_sites * harmonic.blocks.shape[2]
    return np.random.default_rng(seed).standard_normal((n_atoms, 3))


@pytest.mark.parametrize("grid", GRIDS[:-1])
@pytest.mark.parametrize("n_sites", [1, 2])
def test_it_is_the_product_with_the_dense_matrix(grid: tuple[int, int, int], n_sites: int) -> None:
    harmonic = random_torus(grid, n_sites)
    u = displacements_of(harmonic)
    matrix = dense_matrix(harmonic)
    np.testing.assert_array_equal(matrix, matrix.T)
    expected = -matrix @ u.ravel()
    energy, forces = harmonic.energy_forces(u)
    np.testing.assert_allclose(forces.ravel(), expected, atol=1e-13 * np.abs(expected).max())
    assert energy == pytest.approx(-0.5 * expected @ u.ravel(), rel=1e-12)


@needs_compiler
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n_sites", [1, 2, 5])
def test_the_kernel_agrees_with_numpy(grid: tuple[int, int, int], n_sites: int) -> None:
    harmonic = random_torus(grid, n_sites)
    u = displacements_of(harmonic)
    energy, forces = harmonic.energy_forces(u)
    for precision, tolerance in (("double", 1e-12), ("single", 2e-6)):
        found_energy, found = kernel_of(harmonic, precision=precision).energy_forces(u)
        np.testing.assert_allclose(found, forces, atol=tolerance * np.abs(forces).max())
        assert abs(found_energy - energy) < tolerance * np.abs(u * forces).sum()


@needs_compiler
@pytest.mark.parametrize("n_sites", [2, 3])
def test_every_instruction_set_gives_the_same(n_sites: int) -> None:
    from mlff_dyn.kernels import _compiled

    harmonic = random_torus((2, 6, 30), n_sites)
    u = displacements_of(harmonic)
    plan = build_transform_plan(harmonic)
    tables = (plan.n_packed, plan.stages, plan.twiddles.ravel(), plan.pairs.ravel(), plan.table.ravel())
    for name in _compiled.instruction_sets():
        evaluator = _compiled.ForceEvaluator64(n_sites, 360, 1, name, 1)
        evaluator.set_harmonic(n_sites, 360, name, *tables)
        forces = np.empty_like(u)
        energy = evaluator.energy_forces(u, forces)
        expected = harmonic.energy_forces(u)
        np.testing.assert_allclose(forces, expected[1], atol=1e-12 * np.abs(forces).max())
        assert energy == pytest.approx(expected[0], abs=1e-12 * np.abs(u * forces).sum())


@pytest.mark.parametrize("kind", [ForceKernel, reference_kernels.ForceKernel])
def test_a_single_wave_moves_with_its_frequency(kind: type[ForceKernel]) -> None:
    """Normal mode of the dense matrix: after a time t it is cos(omega t) times what it was."""
    harmonic = stable_torus((1, 2, 3), 2)
    values, vectors = np.linalg.eigh(dense_matrix(harmonic))
    mode = 0.1 * vectors[:, -1].reshape(-1, 3)
    n_atoms, timestep, n_steps = len(mode), 0.05, 400
    dynamics = Dynamics(masses=np.full(n_atoms, 10.0), timestep_fs=timestep)
    state = MdState(mode, np.zeros((n_atoms, 3)), rng_from_seed(1))
    run = kernel_of(harmonic, kind).run(state, dynamics, n_steps, n_steps)
    frequency = np.sqrt(values[-1] / dynamics.inertias[0])
    verlet = 2.0 / timestep * np.arcsin(0.5 * frequency * timestep)
    np.testing.assert_allclose(run.displacements[0], np.cos(verlet * timestep * n_steps) * mode, atol=1e-9)
    total = run.potential_energies[0] + run.kinetic_energies[0]
    assert total == pytest.approx(0.5 * values[-1] * np.sum(mode**2), rel=1e-4)


def test_interactions_add_up() -> None:
    first, second = random_torus((2, 3, 4), 2, seed=1), random_torus((2, 3, 4), 2, seed=2)
    u = displacements_of(first)
    expected = first.energy_forces(u)[1] + second.energy_forces(u)[1]
    np.testing.assert_allclose(first.plus(second).energy_forces(u)[1], expected, atol=1e-11)
    assert first.plus(None) is first


def test_radices_are_the_factors() -> None:
    for extent in range(1, 400):
        factors = radices(extent)
        assert np.prod(factors, dtype=int) == extent
        assert all(factor == 4 or all(factor % k for k in range(2, factor)) for factor in factors)


def test_another_torus_is_refused() -> None:
    harmonic = random_torus((1, 1, 3), 2)
    slot_atoms = np.arange(8, dtype=np.int32).reshape(2, 4)
    with pytest.raises(DataError, match="blocks has shape"):
        ForceKernel(empty_tables(2), np.empty(0), slot_atoms, harmonic=harmonic)
    with pytest.raises(DataError, match="blocks has shape"):
        HarmonicTorus((1, 1, 4), harmonic.blocks)
