"""The local part beside the force constants: one energy of both, and what only the local part can say."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.units import GPa

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions, LabelledFrame, labelled_frame, stress_design
from mlff_dyn.model.force_field import ForceField, errors_of_rows
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.store.model_file import read_model, write_model
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper, crystal_of, emt_snapshots, random_force_field, with_local_part

SETTINGS = LocalSettings(cutoff_angstrom=4.5, n_radial=4, l_max=2)
STRAIN = np.array([[0.01, 0.004, 0.0], [0.004, -0.01, 0.002], [0.0, 0.002, 0.005]])


@cache
def zincblende() -> tuple[Expansion, Torus]:
    crystal = crystal_of(bulk("BAs", "zincblende", 4.8, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 4.0, 3: 3.0}, torus)
    return Expansion(basis, local=local_basis(crystal, SETTINGS)), torus


def displaced(torus: Torus, sd: float = 0.08, seed: int = 1) -> np.ndarray:
    moved = sd * np.random.default_rng(seed).standard_normal((torus.n_atoms, 3))
    return moved - moved.mean(axis=0)


@cache
def fitted(*, stress: bool = False) -> ForceField:
    """Force field of a sum of known functions, with some noise."""
    expansion, torus = zincblende()
    generator = np.random.default_rng(2)
    truth = 0.05 * generator.standard_normal(expansion.n_parameters)
    frames: list[LabelledFrame] = []
    for seed in range(4):
        supercell = expansion.on(torus, STRAIN * (seed - 1) / 2 if stress else None)
        u = displaced(torus, seed=seed)
        rows, energy = supercell.rows(u)
        forces = rows @ truth + 1e-3 * generator.standard_normal(len(rows))
        of_stress = stress_design(supercell, u, rows) @ truth if stress else None
        frames.append(labelled_frame(supercell, u, forces.reshape(-1, 3), float(energy @ truth), of_stress))
    return fit_force_field(expansion.basis, FitData(frames, FitOptions(stress=stress)))


def test_parameters_of_the_local_part_come_last() -> None:
    expansion, _ = zincblende()
    n = expansion.basis.n_parameters
    assert expansion.local is not None
    assert expansion.n_parameters == n + expansion.local.n_functions
    assert not expansion.parameter_orders[n:].any()
    assert not expansion.displacement_powers[n:].any()


@pytest.mark.parametrize("strain", [np.zeros((3, 3)), STRAIN])
def test_rows_are_derivatives_of_the_energy(strain: np.ndarray) -> None:
    expansion, torus = zincblende()
    supercell, u = expansion.on(torus, strain), displaced(torus)
    forces, _ = supercell.rows(u)
    step = 2e-5
    for atom, axis in ((0, 0), (torus.n_atoms - 1, 2)):
        moved = np.zeros_like(u)
        moved[atom, axis] = step
        slope = (supercell.rows(u + moved)[1] - supercell.rows(u - moved)[1]) / (2 * step)
        row = forces[3 * atom + axis]
        assert np.abs(slope + row).max() < 1e-6 * np.abs(row).max()
    for component, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        unit = np.zeros((3, 3))
        unit[a, b] = unit[b, a] = 1.0 if a == b else 0.5
        if not strain.any():
            ends = [expansion.on(torus, sign * step * unit).rows(u)[1] for sign in (1, -1)]
            slope = (ends[0] - ends[1]) / (2 * step * supercell.volume)
            row = supercell.stress_rows(u)[component]
            assert np.abs(slope - row).max() < 1e-6 * np.abs(row).max()


@pytest.mark.parametrize("strain", [None, STRAIN])
def test_kernels_and_rows_agree(strain: np.ndarray | None) -> None:
    force_field, (_, torus) = fitted(stress=True), zincblende()
    place, u = force_field.on(torus, strain=strain), displaced(torus)
    supercell = force_field.expansion.on(torus, strain)
    rows, of_energy = supercell.rows(u)
    energy, forces = place.energy_forces(u)
    mean = force_field.posterior.mean
    np.testing.assert_allclose(forces.ravel(), rows @ mean, atol=1e-11)
    still, (rows_at_rest, energy_at_rest) = np.zeros_like(u), supercell.rows(np.zeros_like(u))
    gained = energy - place.energy_forces(still)[0]
    assert gained == pytest.approx(float((of_energy - energy_at_rest) @ mean), abs=1e-10)
    stress = stress_design(supercell, u, rows) - stress_design(supercell, still, rows_at_rest)
    np.testing.assert_allclose(place.stress(u) - place.stress(still), stress @ mean, atol=1e-10)


@pytest.mark.parametrize("strain", [None, STRAIN])
def test_errors_are_those_of_the_rows(strain: np.ndarray | None) -> None:
    force_field, (_, torus) = fitted(), zincblende()
    place, u = force_field.on(torus, strain=strain), displaced(torus)
    supercell = force_field.expansion.on(torus, strain)
    expected = errors_of_rows(force_field, supercell.rows(u)[0], supercell.force_conditions(u))
    np.testing.assert_allclose(place.force_errors(u).predictive, expected.predictive, rtol=1e-8)


def test_errors_of_a_polar_crystal_under_strain_are_those_of_the_rows() -> None:
    """Its force constants have a net force, which is taken off."""
    force_field, torus = random_force_field(bulk("ZnO", "wurtzite", 3.25, 5.2), (3, 3, 2), {2: 3.5, 3: 2.1})
    force_field = with_local_part(force_field, LocalSettings(cutoff_angstrom=3.4, n_radial=2, l_max=1))
    supercell, u = force_field.expansion.on(torus, STRAIN), displaced(torus)
    assert np.abs(supercell._net_force_rows).max() > 1e-3
    factor = np.random.default_rng(4).standard_normal((force_field.expansion.n_parameters, 5))
    expected = ((supercell.rows(u)[0] @ factor) ** 2).sum(axis=1).reshape(-1, 3)
    atoms = np.array([torus.n_atoms - 1, 2, 7])
    np.testing.assert_allclose(supercell.force_variances(u, factor), expected, rtol=1e-10)
    np.testing.assert_allclose(supercell.force_variances(u, factor, atoms=atoms), expected[atoms], rtol=1e-10)


def test_larger_supercell_has_the_same_energy_per_cell() -> None:
    force_field, (_, torus) = fitted(), zincblende()
    larger = Torus(torus.crystal, np.diag([2, 1, 1]) @ torus.matrix)
    u = displaced(torus)
    cells = torus.cell_index(larger.offsets)
    sites = np.arange(torus.crystal.n_sites)[:, None]
    images = (sites * torus.n_cells + cells).ravel()
    energy, forces = force_field.on(torus).energy_forces(u)
    twice, of_larger = force_field.on(larger).energy_forces(u[images])
    assert twice == pytest.approx(2 * energy, rel=1e-10)
    np.testing.assert_allclose(of_larger, forces[images], atol=1e-10)


def test_crystal_at_rest_has_neither_energy_nor_forces() -> None:
    expansion, torus = zincblende()
    rows, energy = expansion.on(torus).rows(np.zeros((torus.n_atoms, 3)))
    assert np.abs(rows).max() < 1e-12
    assert np.abs(energy).max() < 1e-12


def test_model_file_keeps_the_local_part(tmp_path) -> None:
    force_field, (_, torus) = fitted(), zincblende()
    write_model(tmp_path / "model.h5", force_field, {})
    again, _ = read_model(tmp_path / "model.h5")
    u = displaced(torus)
    assert again.local is not None
    assert force_field.local is not None
    assert again.local.settings == force_field.local.settings
    np.testing.assert_array_equal(
        again.on(torus).energy_forces(u)[1], force_field.on(torus).energy_forces(u)[1]
    )


def test_local_part_at_rest_has_neither_forces_nor_stress() -> None:
    """Fits, kernels and errors take the fewer parameters; rows per function would tell otherwise."""
    _, torus = zincblende()
    crystal = torus.crystal
    basis = build_basis(crystal, {2: 4.0}, torus)
    local = local_basis(crystal, SETTINGS, is_at_rest=True)
    assert local.n_parameters == local.n_functions - 1
    expansion = Expansion(basis, local=local)
    place = expansion.on(torus)
    assert place.local is not None
    assert np.abs(local.reduce_columns(place.local.at_rest.virial)).max() < 1e-10
    u = displaced(torus)
    frame = labelled_frame(place, u, -1.5 * u, 0.75 * float(np.sum(u**2)))
    force_field = fit_force_field(basis, FitData([frame, replace(frame, displacements=1.01 * u)]))
    rows, _ = place.rows(u)
    forces = force_field.on(torus).energy_forces(u)[1]
    np.testing.assert_allclose(forces.ravel(), rows @ force_field.posterior.mean, atol=1e-11)
    expected = errors_of_rows(force_field, rows, place.force_conditions(u))
    np.testing.assert_allclose(force_field.on(torus).force_errors(u).epistemic, expected.epistemic, rtol=1e-8)


def test_sites_of_a_species_may_have_functions_of_their_own() -> None:
    """Three sites of oxygen in a distorted perovskite; in the cubic one, symmetry makes them one."""
    cell = np.diag([4.0, 4.0, 4.2])
    shares = np.array([[0, 0, 0], [0.5, 0.5, 0.48], [0.5, 0.5, 0.02], [0.5, 0, 0.53], [0, 0.5, 0.53]])
    numbers = np.array([56, 22, 8, 8, 8])
    crystal = build_crystal(cell, shares @ cell, numbers)
    of_species, of_sites = (
        local_basis(crystal, LocalSettings(4.5, 3, 1, kinds)) for kinds in ("species", "sites")
    )
    assert of_species.numbers.tolist() == [8, 22, 56]
    assert sorted(of_sites.numbers.tolist()) == [8, 8, 22, 56]
    assert len(np.unique(of_sites.tables.kinds[crystal.numbers == 8])) == 2
    assert of_sites.n_functions > of_species.n_functions


def test_atom_beyond_the_reach_of_the_neighbors_is_refused() -> None:
    expansion, torus = zincblende()
    u = np.zeros((torus.n_atoms, 3))
    u[0, 0] = 1.1
    with pytest.raises(DataError, match=r"an atom is 1\.1 Å from its site"):
        expansion.on(torus).rows(u)


def test_copper_is_described_beyond_its_training() -> None:
    """Embedded atoms: two hot frames give forces of hotter and colder ones, which no polynomial does."""
    crystal = crystal_of(copper())
    torus = input_supercell(crystal, (3, 3, 3))
    basis = build_basis(crystal, {2: "full", 3: 3.7}, torus)
    errors = {}
    for name, local in (("lattice", None), ("both", local_basis(crystal, LocalSettings()))):
        expansion = Expansion(basis, local=local)
        train, test = (
            frames_of_snapshots("", emt_snapshots((3, 3, 3), sds, seed), expansion)  # type: ignore[arg-type]
            for sds, seed in (((0.12, 0.12), 1), ((0.05, 0.12, 0.18), 2))
        )
        place = fit_force_field(basis, FitData(train)).on(torus)
        errors[name] = np.array(
            [rms(place.energy_forces(f.displacements)[1].ravel() - f.forces) for f in test]
        )
        if name == "both":
            z = [
                (place.energy_forces(f.displacements)[1].ravel() - f.forces)
                / place.force_errors(f.displacements).predictive.ravel()
                for f in test
            ]
            assert 0.5 < rms(np.concatenate(z)) < 1.5
    assert (errors["both"] < 0.35 * errors["lattice"]).all()


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def test_elastic_constants_are_those_of_the_sound() -> None:
    """Copper of EMT: the stress that the local part has at rest, some 30 GPa, does not show."""
    crystal = crystal_of(copper())
    torus = input_supercell(crystal, (3, 3, 3))
    basis = build_basis(crystal, {2: "full", 3: 3.7}, torus)
    expansion = Expansion(basis, local=local_basis(crystal, LocalSettings(), training=torus))
    train = frames_of_snapshots("", emt_snapshots((3, 3, 3), (0.1, 0.1, 0.1, 0.1)), expansion)  # type: ignore[arg-type]
    force_field = fit_force_field(basis, FitData(train))
    step, still = 2e-3, np.zeros((torus.n_atoms, 3))

    def slope(strain: np.ndarray) -> np.ndarray:
        ends = [force_field.on(torus, strain=sign * strain).stress(still) for sign in (1, -1)]
        return (ends[0] - ends[1]) / (2 * step) / GPa

    stretch, shear = np.diag([step, 0.0, 0.0]), np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]]) * 0.5 * step
    found = np.array([*slope(stretch)[:2], slope(shear)[3]])
    assert found == pytest.approx(emt_elastic_constants(step), rel=0.03)


def emt_elastic_constants(step: float) -> np.ndarray:
    """C11, C12 and C44 of EMT at the lattice constant of the tests, GPa."""
    rows = []
    for strain in (np.diag([step, 0, 0]), np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]]) * 0.5 * step):
        ends = []
        for sign in (1, -1):
            cell = copper()
            cell.set_cell(cell.cell.array @ (np.eye(3) + sign * strain), scale_atoms=True)
            cell.calc = EMT()
            ends.append(cell.get_stress())
        rows.append((ends[0] - ends[1]) / (2 * step) / GPa)
    return np.array([*rows[0][:2], rows[1][3]])
