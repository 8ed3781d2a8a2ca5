"""Rows of the local part and variances of both parts: twins, derivatives, potentials that lie in the span."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from local_crystals import (
    CRYSTALS,
    LATTICE,
    LocalCrystal,
    displacements_of,
    local_kernel,
    no_tables,
    strained,
)
from polynomials import Torus, random_polynomial

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.compiled import rows as compiled_rows
from mlff_dyn.kernels.gather import build_gather_tables
from mlff_dyn.kernels.local_tables import LocalPlace, LocalTerms
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.reduction import block_reduction
from mlff_dyn.kernels.reference.local_functions import radial_functions
from mlff_dyn.local.basis import LocalSettings

BACKENDS = [reference, compiled]
STRAINS = [np.zeros((3, 3)), np.array([[0.02, 0.01, 0.0], [0.0, -0.03, 0.02], [0.01, 0.0, 0.01]])]
LARGE = LocalCrystal((1, 1, 8, 6), (2, 3, 3), LocalSettings(4.4, 3, 3))


def rows_of(backend, terms: LocalTerms, u: np.ndarray):
    return backend.local_rows(terms.tables, terms.neighbor_atoms, u, strain=terms.strain)


def place_of(terms: LocalTerms) -> LocalPlace:
    return LocalPlace(terms.tables, terms.neighbor_atoms, terms.strain)


def assert_same(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(initial=0), 1.0)
    )


@pytest.mark.parametrize("strain", STRAINS, ids=["at rest", "strained"])
@pytest.mark.parametrize("name", CRYSTALS)
def test_rows_are_those_of_the_twin(name, strain):
    terms = strained(CRYSTALS[name].terms(), strain)
    u = displacements_of(terms)
    found, expected = (rows_of(backend, terms, u) for backend in (compiled, reference))
    for part in ("forces", "energy", "virial"):
        assert_same(getattr(found, part), getattr(expected, part))


@pytest.mark.parametrize("strain", STRAINS, ids=["at rest", "strained"])
@pytest.mark.parametrize("name", CRYSTALS)
def test_rows_times_values_are_energy_forces_and_virial(name, strain):
    terms = strained(CRYSTALS[name].terms(), strain)
    u = displacements_of(terms)
    rows = rows_of(compiled, terms, u)
    energy, forces = local_kernel(compiled, terms).energy_forces(u)
    assert_same(rows.energy @ terms.values, energy)
    assert_same((rows.forces @ terms.values).reshape(-1, 3), forces)
    assert_same(rows.virial @ terms.values, compiled.local_virial(terms, u))


@pytest.mark.parametrize("name", ["l 0", "l 3", "l 6", "one cell", "whole lanes"])
def test_rows_are_derivatives_of_the_energy(name):
    terms = strained(CRYSTALS[name].terms(), STRAINS[1])
    u, rng, step = displacements_of(terms), np.random.default_rng(3), 1e-4
    direction, strain = rng.normal(size=u.shape), rng.normal(size=(3, 3))
    strain += strain.T

    def derivative(energy) -> np.ndarray:
        factors = {1: 45.0, -1: -45.0, 2: -9.0, -2: 9.0, 3: 1.0, -3: -1.0}
        return sum(factor * energy(k * step) for k, factor in factors.items()) / (60.0 * step)

    rows = rows_of(compiled, terms, u)
    by_displacement = derivative(lambda x: rows_of(compiled, terms, u + x * direction).energy)
    assert_same(-direction.ravel() @ rows.forces, by_displacement, 1e-8)
    by_strain = derivative(
        lambda x: rows_of(compiled, strained(terms, terms.strain + 0.1 * x * strain), u).energy
    )
    assert_same(0.1 * np.einsum("ab,abf->f", strain, rows.virial), by_strain, 1e-8)


def test_forces_add_up_to_nothing():
    terms = LARGE.terms()
    rows = rows_of(compiled, terms, displacements_of(terms)).forces
    assert_same(rows.reshape(-1, 3, rows.shape[1]).sum(axis=0), np.zeros((3, rows.shape[1])))


def test_functions_of_a_kind_are_shared_and_products_may_be_left_out():
    terms = LARGE.terms()
    u = displacements_of(terms)
    whole = rows_of(compiled, terms, u)
    left_out = {3, 17, 40}
    kept = np.array([k for k in range(terms.tables.n_functions) if k not in left_out])
    numbers = np.full(terms.tables.n_functions + 1, -1, np.int32)
    numbers[kept] = np.arange(len(kept)) // 2
    tables = renumbered(terms, numbers, (len(kept) + 1) // 2)
    for backend in BACKENDS:
        found = backend.local_rows(tables, terms.neighbor_atoms, u, strain=terms.strain)
        pairs = np.add.reduceat(whole.forces[:, kept], np.arange(0, len(kept), 2), axis=1)
        assert_same(found.forces, pairs)


def renumbered(terms: LocalTerms, numbers: np.ndarray, count: int):
    """The tables with their functions numbered anew."""
    tables = terms.tables
    quadruples = tables.quadruples.copy()
    quadruples[:, -1] = numbers[quadruples[:, -1]]
    return replace(
        tables,
        pair_functions=numbers[tables.pair_functions],
        triple_functions=numbers[tables.triple_functions],
        quadruples=quadruples[quadruples[:, -1] >= 0],
        n_functions=count,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_chosen_atoms_are_those_of_the_whole(backend):
    terms = strained(LARGE.terms(), STRAINS[1])
    u = displacements_of(terms)
    rows = rows_of(backend, terms, u).forces.reshape(terms.n_atoms, 3, -1)
    atoms = np.array([17, 2, terms.n_atoms - 1, 3, 2])
    found = backend.local_force_rows(place_of(terms), u, atoms)
    assert_same(found.reshape(5, 3, -1), rows[atoms])
    assert backend.local_force_rows(place_of(terms), u, atoms[:0]).shape == (0, rows.shape[2])
    with pytest.raises(DataError, match="outside"):
        backend.local_force_rows(place_of(terms), u, np.array([terms.n_atoms]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_that_do_not_fit_are_refused(backend):
    terms = CRYSTALS["l 1"].terms()
    u = displacements_of(terms)
    given = {"strain": terms.strain}
    with pytest.raises(DataError, match="displacements has shape"):
        backend.local_rows(terms.tables, terms.neighbor_atoms, u[1:], **given)
    with pytest.raises(DataError, match="neighbor_atoms has shape"):
        backend.local_rows(terms.tables, terms.neighbor_atoms[1:], u, **given)
    with pytest.raises(DataError, match="outside"):
        backend.local_rows(terms.tables, terms.neighbor_atoms + 1, u, **given)
    with pytest.raises(DataError, match="strain has shape"):
        backend.local_rows(terms.tables, terms.neighbor_atoms, u, strain=np.zeros(6))


def parts(terms: LocalTerms, orders: tuple[int, ...]):
    """Lattice and local part on one torus."""
    n_sites, torus = terms.tables.n_sites, Torus(LARGE.shape)
    rng = np.random.default_rng(4)
    tables = no_tables(n_sites)
    if orders:
        tables = build_gather_tables(random_polynomial(rng, orders, n_sites=n_sites, n_parameters=6))
    place = place_tables(tables, torus.atom_indices(tables.slots))
    n_parameters = place.tables.n_parameters
    reduction = block_reduction([rng.normal(size=(n_parameters, n_parameters))] if n_parameters else [])
    return place, reduction


@pytest.mark.parametrize("triangle", [np.triu, np.tril, lambda x: x[:, :5]])
@pytest.mark.parametrize("orders", [(2, 3), ()], ids=["both", "local part alone"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_variances_of_both_parts_are_quadratic_forms_of_their_rows(backend, orders, triangle, monkeypatch):
    monkeypatch.setattr(compiled_rows, "_CHUNK_ATOMS", 7)
    terms = strained(LARGE.terms(), STRAINS[1])
    place, reduction = parts(terms, orders)
    u, rng = displacements_of(terms), np.random.default_rng(5)
    n = reduction.n_columns + terms.tables.n_functions
    factor = triangle(rng.normal(size=(n, n)))
    rows = np.hstack([backend.reduced_rows(place, reduction, u), rows_of(backend, terms, u).forces])
    expected = ((rows @ factor) ** 2).sum(axis=1).reshape(-1, 3)
    local = place_of(terms)
    found = backend.force_variances(place, reduction, u, factor, local=local)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    atoms = rng.permutation(terms.n_atoms)[:30]
    chosen = backend.force_variances(place, reduction, u, factor, atoms=atoms, local=local)
    np.testing.assert_allclose(chosen, expected[atoms], rtol=1e-10)
    with pytest.raises(DataError, match="factor has shape"):
        backend.force_variances(place, reduction, u, factor)


def test_rows_of_an_atom_without_terms_are_zero():
    place, reduction = parts(LARGE.terms(), ())
    reduction = block_reduction([])
    u = displacements_of(LARGE.terms())
    for backend in BACKENDS:
        assert (backend.force_variances(place, reduction, u, np.empty((0, 3))) == 0.0).all()


SINGLE = LocalCrystal((14,), (3, 3, 3), LocalSettings(4.4, 4, 2), n_sites=1)


def environments(terms: LocalTerms, lattice: np.ndarray, u: np.ndarray):
    """Radial functions and directions of the neighbors of each atom, as ASE finds them."""
    cells = Torus(SINGLE.shape)._cells
    positions = cells @ lattice + u
    supercell = np.diag(SINGLE.shape).astype(float)
    supercell[2, 0] = 1.0
    atoms = Atoms(f"Si{len(u)}", positions=positions, cell=supercell @ lattice, pbc=True)
    centers, distances, vectors = neighbor_list("idD", atoms, terms.tables.cutoff)
    for center in range(len(u)):
        own = centers == center
        g = radial_functions(terms.tables.radial, terms.tables.cutoff, distances[own])[0]
        yield g, vectors[own] / distances[own][:, None]


def pair_potential(g, directions):
    return 0.5 * (g @ [0.0, -1.2, 0.7, 0.2]).sum()


def embedded_atom(g, directions):
    density = (g @ [0.0, 0.4, 0.2, 0.3]).sum()
    return pair_potential(g, directions) - 0.8 * density + 0.15 * density**2


def bond_bending(g, directions):
    """As of Stillinger and Weber, with the pairs of a neighbor and itself."""
    h = g @ [0.0, 0.5, -0.1, 0.4]
    cosines = directions @ directions.T
    angular = np.outer(h, h) * (cosines + 1.0 / 3.0) ** 2
    return pair_potential(g, directions) + 0.5 * angular.sum()


@pytest.mark.parametrize("potential", [pair_potential, embedded_atom, bond_bending])
def test_potentials_in_the_span_are_recovered_from_their_energies(potential):
    terms = SINGLE.terms()
    rng = np.random.default_rng(6)

    def energy(u: np.ndarray) -> float:
        return sum(potential(*each) for each in environments(terms, LATTICE, u))

    frames = rng.normal(size=(90, terms.n_atoms, 3)) * rng.uniform(0.03, 0.1, (90, 1, 1))
    rows = np.array([rows_of(compiled, terms, u).energy for u in frames])
    energies = np.array([energy(u) for u in frames])
    scale = np.linalg.norm(rows, axis=0)
    found = np.linalg.lstsq(rows[:70] / scale, energies[:70], rcond=1e-14)[0] / scale
    assert_same(rows[70:] @ found, energies[70:], 1e-9)
    u, step = frames[-1], 1e-4
    forces = rows_of(compiled, terms, u).forces @ found
    direction = rng.normal(size=u.shape)
    slope = (8 * (energy(u + step * direction) - energy(u - step * direction))) / (12 * step)
    slope -= (energy(u + 2 * step * direction) - energy(u - 2 * step * direction)) / (12 * step)
    assert -forces @ direction.ravel() == pytest.approx(slope, rel=1e-5)
