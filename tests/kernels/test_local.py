"""The local part of the energy: closed form, symmetries and derivatives, and both versions of the kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from local_crystals import CRYSTALS, displacements_of, local_kernel, no_tables, strained
from scipy.spatial.transform import Rotation
from scipy.special import eval_legendre

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.kernels.reference.local_functions import radial_functions
from mlff_dyn.kernels.reference.random_numbers import rng_from_seed
from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains

if TYPE_CHECKING:
    from mlff_dyn.kernels.local_tables import LocalTerms

BACKENDS = [reference, compiled]
STRAIN = np.array([[0.02, 0.01, 0.0], [0.01, -0.03, 0.02], [0.0, 0.02, 0.01]])


def closed_form(terms: LocalTerms, u: np.ndarray) -> float:
    """Sum over atoms, their neighbors and pairs of these, of Legendre polynomials of the angle."""
    tables, n_cells = terms.tables, terms.neighbor_atoms.shape[1]
    energy, values = 0.0, np.append(terms.values, 0.0)
    for site in range(tables.n_sites):
        own = np.arange(tables.starts[site], tables.starts[site + 1])
        kinds = tables.kinds[tables.slots[own, 0]]
        for cell in range(n_cells):
            moved = u[terms.neighbor_atoms[own, cell]] - u[site * n_cells + cell]
            vectors = terms.vectors[own] + moved
            distances = np.linalg.norm(vectors, axis=1)
            g = radial_functions(tables.radial, tables.cutoff, distances)[0]
            cosines = np.clip(vectors @ vectors.T / np.outer(distances, distances), -1.0, 1.0)
            channels = kinds[:, None] * tables.n_radial + np.arange(tables.n_radial)
            kind = tables.kinds[site]
            energy += float((values[tables.pair_functions[kind][channels]] * g).sum())
            for degree in range(tables.l_max + 1):
                functions = tables.triple_functions[kind, degree][
                    channels[:, None, :, None], channels[None, :, None, :]
                ]
                is_same = channels[:, None, :, None] == channels[None, :, None, :]
                weights = values[functions] * np.where(is_same, 1.0, 0.5)
                angular = eval_legendre(degree, cosines)
                energy += float(np.einsum("jkmn,jm,kn,jk->", weights, g, g, angular))
            energy += three_neighbors(terms, kind, vectors / distances[:, None], kinds, g)
    return energy


def three_neighbors(terms: LocalTerms, kind: int, directions, kinds, g) -> float:
    """Means over all directions of products of three Legendre polynomials of the angles with it."""
    z, weights = np.polynomial.legendre.leggauss(20)
    angles = 2.0 * np.pi * np.arange(20) / 20
    across = np.sqrt(1.0 - z**2)[:, None]
    everywhere = np.stack(
        [across * np.cos(angles), across * np.sin(angles), z[:, None] + 0.0 * angles], axis=-1
    )
    cosines = np.clip(everywhere @ directions.T, -1.0, 1.0)
    energy, n_radial = 0.0, terms.tables.n_radial
    for row in terms.tables.quadruples[terms.tables.quadruples[:, 0] == kind].tolist():
        mean, equal = np.ones((20, 20)), np.ones(20)
        for channel, degree in zip(row[1:4], row[4:7], strict=True):
            other, n = divmod(channel, n_radial)
            mean *= eval_legendre(degree, cosines[:, :, kinds == other]) @ g[kinds == other, n]
            equal *= eval_legendre(degree, z)
        energy += terms.values[row[7]] * (weights @ mean.mean(axis=1)) / (weights @ equal)
    return energy


def slope(function, step: float = 1e-4) -> float:
    """Sixth-order central difference at zero."""
    values = [function(k * step) for k in (-3, -2, -1, 1, 2, 3)]
    return float(np.dot([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0], values) / (60.0 * step))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CRYSTALS)
def test_energy_is_that_of_distances_and_angles(name, backend):
    terms = replace(strained(CRYSTALS[name].terms(), STRAIN), energy_at_rest=1.5)
    u = displacements_of(terms)
    energy = local_kernel(backend, terms).energy_forces(u)[0]
    assert energy == pytest.approx(closed_form(terms, u) - 1.5, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["one cell", "one site, many cells"])
def test_forces_and_virial_are_slopes_of_the_energy(name, backend):
    terms = strained(CRYSTALS[name].terms(), STRAIN)
    u, kernel = displacements_of(terms), local_kernel(backend, terms)
    forces, virial = kernel.energy_forces(u)[1], backend.local_virial(terms, u)
    for direction in np.random.default_rng(2).normal(size=(2, *u.shape)):
        expected = -slope(lambda x, d=direction: kernel.energy_forces(u + x * d)[0])
        size = np.linalg.norm(forces) * np.linalg.norm(direction)
        assert (forces * direction).sum() == pytest.approx(expected, abs=1e-9 * size)
    np.testing.assert_array_equal(virial, virial.T)
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):

        def energy(x: float, unit: np.ndarray = unit) -> float:
            return local_kernel(backend, strained(terms, STRAIN + x * unit)).energy_forces(u)[0]

        assert virial[a, b] == pytest.approx(slope(energy), abs=1e-9 * np.abs(virial).max())


@pytest.mark.parametrize("name", CRYSTALS)
def test_twins_agree(name):
    terms = strained(CRYSTALS[name].terms(), STRAIN)
    u = displacements_of(terms)
    slow, fast = (local_kernel(backend, terms).energy_forces(u) for backend in BACKENDS)
    size = max(np.sqrt(np.mean(slow[1] ** 2)), 1e-30)
    assert fast[0] == pytest.approx(slow[0], rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(fast[1], slow[1], rtol=0, atol=1e-12 * size)
    virials = [backend.local_virial(terms, u) for backend in BACKENDS]
    np.testing.assert_allclose(*virials, rtol=0, atol=1e-12 * max(np.abs(virials[0]).max(), 1e-30))
    single = local_kernel(compiled, terms, "single").energy_forces(u)
    assert single[0] == pytest.approx(slow[0], rel=1e-5, abs=1e-5)
    np.testing.assert_allclose(single[1], slow[1], rtol=0, atol=1e-5 * size)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_threads_share_the_atoms(precision):
    terms = CRYSTALS["one kind"].terms()
    u = displacements_of(terms)
    (energy, forces), *others = [
        local_kernel(compiled, terms, precision, n).energy_forces(u) for n in (1, 2, 3, 9)
    ]
    limit = 1e-13 if precision == "double" else 1e-5
    for other_energy, other_forces in others:
        assert other_energy == pytest.approx(energy, rel=limit)
        np.testing.assert_allclose(other_forces, forces, rtol=0, atol=limit * np.abs(forces).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_translation_changes_nothing_and_there_is_no_net_force(backend):
    terms = CRYSTALS["l 4"].terms()
    u, kernel = displacements_of(terms), local_kernel(backend, terms)
    (energy, forces), (moved, _) = (
        kernel.energy_forces(u),
        kernel.energy_forces(u + np.array([0.3, -0.2, 0.7])),
    )
    assert moved == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-12 * np.abs(forces).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_rotation_of_the_whole_crystal_rotates_the_forces(backend):
    terms = CRYSTALS["l 5"].terms()
    rotation = Rotation.random(random_state=3).as_matrix()
    tables = replace(terms.tables, vectors=terms.tables.vectors @ rotation)
    u = displacements_of(terms)
    energy, forces = local_kernel(backend, terms).energy_forces(u)
    turned = local_kernel(backend, replace(terms, tables=tables)).energy_forces(u @ rotation)
    assert turned[0] == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(turned[1], forces @ rotation, rtol=0, atol=1e-12 * np.abs(forces).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_atoms_of_a_kind_are_alike(backend):
    """The same crystal with its sites in another order."""
    crystal = CRYSTALS["l 2"]
    terms, order = crystal.terms(), np.array([2, 1, 3, 0])
    names = np.argsort(order)
    tables = terms.tables
    own = [np.arange(tables.starts[site], tables.starts[site + 1]) for site in order]
    chosen = np.concatenate(own)
    slots = tables.slots[chosen]
    n_cells = terms.neighbor_atoms.shape[1]
    sites, cells = np.divmod(terms.neighbor_atoms[chosen], n_cells)
    permuted = replace(
        terms,
        tables=replace(
            tables,
            kinds=tables.kinds[order],
            starts=np.cumsum([0, *map(len, own)]).astype(np.int32),
            slots=np.column_stack([names[slots[:, 0]], slots[:, 1:]]).astype(np.int32),
            vectors=tables.vectors[chosen],
        ),
        neighbor_atoms=(names[sites] * n_cells + cells).astype(np.int32),
    )
    u = displacements_of(terms)
    energy, forces = local_kernel(backend, terms).energy_forces(u)
    places = (order[:, None] * n_cells + np.arange(n_cells)).reshape(-1)
    other = local_kernel(backend, permuted).energy_forces(u[places])
    assert other[0] == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(other[1], forces[places], rtol=0, atol=1e-12 * np.abs(forces).max())


def test_energy_is_linear_in_the_values():
    terms = CRYSTALS["one kind"].terms()
    others = CRYSTALS["one kind"].terms(seed=5)
    u = displacements_of(terms)
    both = replace(terms, values=2.0 * terms.values + others.values)
    forces = [local_kernel(compiled, each).energy_forces(u)[1] for each in (terms, others, both)]
    size = np.abs(forces[2]).max()
    np.testing.assert_allclose(2.0 * forces[0] + forces[1], forces[2], rtol=0, atol=1e-12 * size)


def test_atoms_come_together_from_beyond_the_cutoff():
    """Neighbors within the margin count as soon as they are inside."""
    terms = CRYSTALS["lone atoms"].terms()
    u = np.zeros((terms.n_atoms, 3))
    kernel = local_kernel(compiled, terms)
    energy, forces = kernel.energy_forces(u)
    assert energy == 0.0
    assert not forces.any()
    shortest = np.argmin(np.linalg.norm(terms.tables.vectors, axis=1))
    vector, center = terms.tables.vectors[shortest], terms.tables.centers[shortest]
    u[center * terms.neighbor_atoms.shape[1]] = 0.75 * vector
    energy, forces = kernel.energy_forces(u)
    expected = reference.ForceKernel.energy_forces(local_kernel(reference, terms), u)
    assert energy == pytest.approx(expected[0], rel=1e-12)
    assert np.abs(forces).max() > 0.0


def states_and_dynamics(terms: LocalTerms, n: int) -> tuple[list[MdState], list[Dynamics]]:
    masses = np.linspace(20.0, 60.0, terms.n_atoms)
    kinds = [{}, {"friction_per_fs": 0.02}, {"friction_per_fs": 0.01, "thermostat": "bussi"}]
    dynamics = [
        Dynamics(masses=masses, timestep_fs=1.0, temperature_kelvin=200.0, **kinds[k % 3]) for k in range(n)
    ]
    states = []
    for seed in range(n):
        u = displacements_of(terms, seed, 0.05)
        states.append(MdState(u, displacements_of(terms, seed + 100, 1e-3), rng_from_seed(seed)))
    return states, dynamics


def test_energy_is_conserved_to_second_order_in_the_timestep():
    terms = CRYSTALS["one cell"].terms(scale=0.05)
    kernel = local_kernel(compiled, terms, stiffness=4.0)
    (state,), (dynamics,) = states_and_dynamics(terms, 1)
    drifts = []
    for timestep in (0.5, 1.0, 2.0):
        run = kernel.run(state, replace(dynamics, timestep_fs=timestep), int(200 / timestep), 1)
        drifts.append(np.ptp(run.potential_energies + run.kinetic_energies))
        energy = kernel.energy_forces(run.displacements[-1])[0]
        assert energy == pytest.approx(run.potential_energies[-1], rel=1e-13)
    assert drifts[1] / drifts[0] == pytest.approx(4.0, rel=0.1)
    assert drifts[2] / drifts[1] == pytest.approx(4.0, rel=0.1)


def test_both_versions_follow_the_same_trajectories():
    terms = CRYSTALS["one cell"].terms(scale=0.05)
    slow, fast = (
        local_kernel(backend, terms, stiffness=4.0).run_replicas(*states_and_dynamics(terms, 3), 3, 1)
        for backend in BACKENDS
    )
    for run, other in zip(slow, fast, strict=True):
        np.testing.assert_allclose(other.velocities, run.velocities, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(other.potential_energies, run.potential_energies, rtol=1e-9)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("name", ["one cell", "one kind", "one site, many cells"])
def test_every_replica_is_the_trajectory_that_it_is_alone(name, precision):
    terms = CRYSTALS[name].terms(scale=0.05)
    states, dynamics = states_and_dynamics(terms, 5)
    kernel = local_kernel(compiled, terms, precision, stiffness=4.0)
    threaded = local_kernel(compiled, terms, precision, 2, stiffness=4.0)
    alone = [kernel.run(*each, 12, 4) for each in zip(states, dynamics, strict=True)]
    for together in (each.run_replicas(states, dynamics, 12, 4) for each in (kernel, threaded)):
        for run, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(run.displacements, other.displacements)
            np.testing.assert_array_equal(run.velocities, other.velocities)
            np.testing.assert_array_equal(run.potential_energies, other.potential_energies)


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_torus_is_refused(backend):
    terms = CRYSTALS["one kind"].terms()
    other = CRYSTALS["l 0"].terms()
    slot_atoms = np.arange(48, dtype=np.int32).reshape(4, 12)
    with pytest.raises(DataError, match="24 atoms, the torus 48"):
        backend.ForceKernel(no_tables(4), np.empty(0), slot_atoms, local=other)
    with pytest.raises(DataError, match="l_max 7 is not from 0 to 6"):
        replace(terms.tables, l_max=7)
    with pytest.raises(DataError, match="displacements"):
        backend.local_virial(terms, np.zeros((3, 3)))
