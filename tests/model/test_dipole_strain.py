"""Dipoles under strain: laws, slow sums, and a crystal of ions whose energy is known."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from scipy.special import erfc

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.kernels.strain.moves import VOIGT, strain_components, unit_strains
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import Crystal
from mlff_dyn.lattice.deformation import polar
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.md.barostat import Barostat, run_npt_in_chunks, start_cell
from mlff_dyn.md.chunks import Span
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.model.dipole_strain import StrainedDipoles
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions, labelled_frame
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.long_range import LongRange
from tests.model.test_long_range import energy_of_charges, low_symmetry, real_space_part, rocksalt, wurtzite
from tests.model.test_stress import check_rigid_shift, slope
from tests.models import crystal_of, dipoles_of, random_force_field

CRYSTALS = {
    "NaCl": (rocksalt(), (2, 2, 2), {2: "full", 3: 3.0, 4: 3.0}),
    "ZnS": (wurtzite(), (2, 2, 1), {2: "full", 3: 2.6}),
    "NaClO": (low_symmetry(), (2, 2, 2), {2: "full", 3: 3.0}),
    "harmonic": (wurtzite(), (2, 2, 1), {2: "full"}),
}


@cache
def model_of(name: str) -> tuple[ForceField, Torus]:
    bare, torus = random_force_field(*CRYSTALS[name])
    return replace(bare, long_range=dipoles_of(bare.basis.crystal)), torus


def random_state(torus: Torus, seed: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    u = 0.1 * generator.standard_normal((torus.n_atoms, 3))
    strain = 0.03 * generator.standard_normal((3, 3))
    return u, 0.5 * (strain + strain.T)


def deformed(crystal: Crystal, gradient: NDArray[np.float64]) -> Crystal:
    return replace(crystal, lattice=crystal.lattice @ gradient.T, positions=crystal.positions @ gradient.T)


@pytest.mark.parametrize("name", CRYSTALS)
def test_virial_and_forces_are_slopes_of_the_energy(name: str) -> None:
    force_field, torus = model_of(name)
    u, strain = random_state(torus)
    for of_all, virial_of in (
        (force_field.on(torus, strain=strain).strained_kernel, None),
        (None, force_field.expansion.on(torus).dipoles),
    ):
        if of_all is not None:
            virial, (_, forces) = of_all.virial(u), of_all.energy_forces(u)
        else:
            virial, (_, forces) = virial_of.virial(u, strain), virial_of.energy_forces(u, strain)

        def energy(e, moved, of_all=of_all, virial_of=virial_of):
            if of_all is not None:
                return of_all.strained(e).energy_forces(moved)[0]
            return virial_of.energy_forces(moved, e)[0]

        for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
            found = slope(lambda x, unit=unit: energy(strain + x * unit, u), 2e-3)
            assert virial[a, b] == pytest.approx(found, abs=1e-8 * np.abs(virial).max())
        move = np.zeros_like(u)
        move[3, 1] = 1.0
        found = slope(lambda x, move=move: energy(strain, u + x * move), 1e-3)
        assert forces[3, 1] == pytest.approx(-found, abs=1e-8 * np.abs(forces).max())


@pytest.mark.parametrize("name", CRYSTALS)
def test_stress_is_the_slope_of_the_energy_of_deformed_space(name: str) -> None:
    force_field, torus = model_of(name)
    u, strain = random_state(torus)
    supercell = force_field.on(torus, strain=strain)

    def energy(deformation: NDArray[np.float64]) -> float:
        other = polar((np.eye(3) + deformation) @ (np.eye(3) + strain))
        moved = u @ (np.eye(3) + deformation).T @ other.rotation
        return supercell.strained(other.strain).energy_forces(moved)[0]

    stress = supercell.stress(u) * abs(np.linalg.det(supercell.lattice))
    for found, unit in zip(stress, unit_strains(), strict=True):
        expected = slope(lambda x, unit=unit: energy(x * unit), 1e-3)
        assert found == pytest.approx(expected, abs=1e-8 * np.abs(stress).max())


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_rigid_shift_changes_nothing(name: str) -> None:
    check_rigid_shift(*model_of(name))


@pytest.mark.parametrize("name", ["ZnS", "NaCl"])
def test_symmetry_operations_carry_it_over(name: str) -> None:
    force_field, _ = model_of(name)
    crystal = force_field.basis.crystal
    torus = input_supercell(crystal, (2, 2, 2))
    dipoles = force_field.expansion.on(torus).dipoles
    u, strain = random_state(torus)
    energy, forces = dipoles.energy_forces(u, strain)
    sites, cells = np.divmod(np.arange(torus.n_atoms), torus.n_cells)
    for k, rotation in list(enumerate(crystal.cartesian_rotations))[::5]:
        offsets = torus.offsets[cells] @ crystal.rotations[k].T + crystal.site_shift[k, sites]
        images = crystal.site_map[k, sites] * torus.n_cells + torus.cell_index(offsets)
        moved = np.empty_like(u)
        moved[images] = u @ rotation.T
        found_energy, found = dipoles.energy_forces(moved, rotation @ strain @ rotation.T)
        assert found_energy == pytest.approx(energy, rel=1e-10)
        np.testing.assert_allclose(found[images], forces @ rotation.T, atol=1e-9 * np.abs(forces).max())


def test_a_turned_crystal_is_the_same() -> None:
    crystal = crystal_of(low_symmetry())
    long_range = dipoles_of(crystal)
    turn = np.linalg.qr(np.random.default_rng(4).standard_normal((3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    turned = replace(
        long_range,
        charges=turn @ long_range.charges @ turn.T,
        dielectric=turn @ long_range.dielectric @ turn.T,
    )
    results = []
    for q, own, dipoles in ((np.eye(3), crystal, long_range), (turn, deformed(crystal, turn), turned)):
        torus = Torus(own, np.diag([2, 1, 2]))
        u, strain = random_state(torus)
        results.append(StrainedDipoles(dipoles, own, 3.0).on(torus).energy_forces(u @ q.T, q @ strain @ q.T))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-10)
    np.testing.assert_allclose(results[1][1], results[0][1] @ turn.T, atol=1e-10)


@pytest.mark.parametrize("reach", [0.0, 3.2])
@pytest.mark.parametrize("atoms", [wurtzite(), low_symmetry()], ids=["ZnS", "NaClO"])
def test_the_damping_does_not_matter(atoms: Atoms, reach: float) -> None:
    """Of what changes with the strain, antisymmetric self terms included."""
    crystal = crystal_of(atoms)
    q = np.array([[0.21, -0.13, 0.37], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    first, second = (
        StrainedDipoles(replace(dipoles_of(crystal), damping=damping), crystal, reach)
        for damping in (0.18, 0.25)
    )
    for one, other in (
        (first.slopes(q), second.slopes(q)),
        (first.coupling_slopes, second.coupling_slopes),
        (first.rest_energy.moments[1], second.rest_energy.moments[1]),
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * np.abs(one).max())
    assert np.abs(first.slopes(q)[:, 2].reshape(6, -1, crystal.n_sites, 3).sum(axis=2)).max() < 1e-10


@pytest.mark.parametrize("atoms", [rocksalt(), wurtzite(), low_symmetry()], ids=["NaCl", "ZnS", "NaClO"])
def test_it_is_the_slope_of_the_whole_sum_of_strained_crystals(atoms: Atoms) -> None:
    """Ewald's sum with another damping, in crystals strained a little; without self terms."""
    crystal = crystal_of(atoms)
    long_range = dipoles_of(crystal)
    slow = replace(long_range, damping=0.27)
    q, n = np.array([0.21, -0.13, 0.37]), crystal.n_sites

    def total(strain: NDArray[np.float64]) -> NDArray[np.complex128]:
        moved = deformed(crystal, np.eye(3) + strain)
        vectors = np.array(list(np.ndindex(25, 25, 25))) - 12
        sums = slow._sum_waves(moved, q[None], vectors)[0].reshape(n, 3, n, 3)
        return sums + real_space_part(slow, moved, q)

    found = StrainedDipoles(long_range, crystal, 0.0)
    for k in (0, 2, 5):
        unit = unit_strains()[k]
        expected = (total(1e-4 * unit) - total(-1e-4 * unit)) / 2e-4
        sums = found._sums(q[None])[k, 0].reshape(n, 3, n, 3)
        differences = (sums - expected).transpose(0, 2, 1, 3)[~np.eye(n, dtype=bool)]
        assert np.abs(differences).max() < 2e-7 * np.abs(expected).max()


@pytest.mark.parametrize("size", [1.0, 0.3])
def test_the_energy_of_point_charges_at_rest(size: float) -> None:
    """Second derivative with respect to strain, in zincblende with the stress of the charges themselves."""
    crystal = crystal_of(bulk("ZnS", "zincblende", a=5.4))
    long_range = dipoles_of(crystal, scalar=True)
    direction = size * random_state(Torus(crystal, np.eye(3, dtype=int)))[1]

    def energy(strain: NDArray[np.float64]) -> float:
        moved = deformed(crystal, np.eye(3) + strain)
        return energy_of_charges(long_range, moved.lattice, moved.positions)

    stress = np.zeros((3, 3))
    for (a, b), unit in zip(VOIGT, unit_strains(), strict=True):
        stress[a, b] = stress[b, a] = slope(lambda x, unit=unit: energy(x * unit), 1e-3)
    at_rest = replace(StrainedDipoles(long_range, crystal, None).rest_energy, stress_at_rest=stress)
    step = 0.05
    curvatures = [
        (of(step * direction) + of(-step * direction) - 2.0 * of(0.0 * direction)) / step**2
        for of in (energy, lambda strain: float(at_rest.energy(strain)[0]))
    ]
    assert curvatures[1] == pytest.approx(curvatures[0], rel=1e-4)


CHARGE, SPACING, RANGE = 1.4, 4.21, 0.3


def energy_forces_of_ions(
    lattice: NDArray[np.float64], positions: NDArray[np.float64], charges: NDArray[np.float64], wall: float
) -> tuple[float, NDArray[np.float64]]:
    """Point charges by Ewald's sum and a wall wall * exp(-r / RANGE) between unlike neighbors."""
    rate = 0.45
    apart = positions - positions[:, None]
    products = charges[:, None] * charges
    energy, forces = 0.0, np.zeros_like(positions)
    for shift in (np.array(list(np.ndindex(3, 3, 3))) - 1) @ lattice:
        vectors = apart + shift
        lengths = np.linalg.norm(vectors, axis=-1)
        is_pair = (lengths > 1e-6) & (lengths < 9.0)
        r = np.where(is_pair, lengths, 1.0)
        coulomb = 14.4 * products * erfc(rate * r) / r
        gauss = 14.4 * products * 2.0 * rate / np.sqrt(np.pi) * np.exp(-((rate * r) ** 2))
        repulsion = np.where((products < 0.0) & (r < 6.0), wall * np.exp(-r / RANGE), 0.0)
        first = -(coulomb + gauss) / r - repulsion / RANGE
        energy += 0.5 * float((is_pair * (coulomb + repulsion)).sum())
        forces += ((is_pair * first / r)[..., None] * vectors).sum(axis=1)
    waves = (np.array(list(np.ndindex(21, 21, 21))) - 10) @ (2.0 * np.pi * np.linalg.inv(lattice).T)
    squares = (waves**2).sum(axis=1)
    waves, squares = (each[(squares > 1e-9) & (squares < 26.0)] for each in (waves, squares))
    weights = 2.0 * np.pi * 14.4 / abs(np.linalg.det(lattice)) * np.exp(-squares / (4.0 * rate**2)) / squares
    phases = np.exp(1j * waves @ positions.T)
    sums = phases @ charges
    energy += float((weights * np.abs(sums) ** 2).sum() - 14.4 * rate / np.sqrt(np.pi) * (charges**2).sum())
    slopes = np.einsum("g,ga,gi,g->ia", weights, waves, 1j * phases, sums.conj()).real
    return energy, forces - 2.0 * slopes * charges[:, None]


@pytest.fixture(scope="module")
def ions() -> tuple[ForceField, Torus, NDArray[np.float64], float]:
    """Trained on forces of unstrained cells alone; ions at equilibrium."""
    crystal = crystal_of(bulk("MgO", "rocksalt", a=SPACING, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    signs = np.where(torus.numbers == 12, 1.0, -1.0)

    def tension(charges: NDArray[np.float64], wall: float) -> float:
        ends = [
            energy_forces_of_ions(x * torus.lattice, x * torus.positions, charges, wall)[0]
            for x in (1.001, 0.999)
        ]
        return ends[0] - ends[1]

    wall = -tension(CHARGE * signs, 0.0) / tension(0.0001 * signs, 1.0)
    born = CHARGE * np.where(crystal.numbers == 12, 1.0, -1.0)[:, None, None] * np.eye(3)
    basis = build_basis(crystal, {2: "full", 3: 3.2, 4: 2.2}, torus)
    supercell = Expansion(basis, LongRange(born, np.eye(3), 0.163, 14.4)).on(torus)
    generator, frames = np.random.default_rng(7), []
    for _ in range(8):
        u = 0.06 * generator.standard_normal((torus.n_atoms, 3))
        u -= u.mean(axis=0)
        energy, forces = energy_forces_of_ions(torus.lattice, torus.positions + u, CHARGE * signs, wall)
        frames.append(labelled_frame(supercell, u, forces, energy))
    return fit_force_field(basis, FitData(frames)), torus, CHARGE * signs, wall


def test_ions_under_strain_are_foreseen(ions: tuple[ForceField, Torus, NDArray[np.float64], float]) -> None:
    """Elastic constants of second and third order, and what displacements add to the virial."""
    force_field, torus, charges, wall = ions
    kernel = force_field.on(torus).strained_kernel
    rest = np.zeros((torus.n_atoms, 3))

    def true(strain: NDArray[np.float64], u: NDArray[np.float64] = rest) -> float:
        gradient = np.eye(3) + strain
        cell = (torus.lattice @ gradient, torus.positions @ gradient + u)
        return energy_forces_of_ions(*cell, charges, wall)[0]

    def found(strain: NDArray[np.float64]) -> float:
        return kernel.strained(strain).energy_forces(rest)[0]

    step, all_alike = 0.02, np.eye(3)
    for direction, within in ((all_alike, (0.02, 0.06)), (np.diag([1.0, 0.0, 0.0]), (0.01, 0.02))):
        values = [[of(k * step * direction) for k in (-2, -1, 0, 1, 2)] for of in (true, found)]
        expected, seen = np.array(values) @ np.array([[0, 1, -2, 1, 0], [-0.5, 1, 0, -1, 0.5]]).T
        assert seen[0] == pytest.approx(expected[0], rel=within[0])
        assert seen[1] == pytest.approx(expected[1], rel=within[1])
    errors = {"isotropic": [], "tetragonal": []}
    sizes = {"isotropic": [], "tetragonal": []}
    for seed in range(4):
        u = 0.06 * np.random.default_rng(100 + seed).standard_normal((torus.n_atoms, 3))
        u -= u.mean(axis=0)
        virial = kernel.virial(u)
        for name, direction in (("isotropic", all_alike), ("tetragonal", np.diag([1.0, -1.0, 0.0]))):
            expected = (true(1e-3 * direction, u) - true(-1e-3 * direction, u)) / 2e-3
            errors[name].append(float((virial * direction).sum()) - expected)
            sizes[name].append(expected)
    assert np.linalg.norm(errors["isotropic"]) < 0.03 * np.linalg.norm(sizes["isotropic"])
    assert np.linalg.norm(errors["tetragonal"]) < 0.06 * np.linalg.norm(sizes["tetragonal"])


def test_labels_of_strained_cells_and_stress_are_learnt() -> None:
    """The stress of dipoles is taken out of the labels as their forces are."""
    truth, torus = model_of("ZnS")
    generator, frames = np.random.default_rng(4), []
    for k in range(6):
        u = 0.05 * generator.standard_normal((torus.n_atoms, 3))
        strain = 0.01 * generator.standard_normal((3, 3)) * (k % 2)
        own = truth.on(torus, strain=0.5 * (strain + strain.T))
        energy, forces = own.energy_forces(u)
        supercell = truth.expansion.on(torus, own.strain)
        frames.append(labelled_frame(supercell, u, forces, energy, own.stress(u)))
    options = FitOptions(stress=True)
    fitted = fit_force_field(truth.basis, FitData(frames, options))
    size = np.abs(truth.posterior.mean).max()
    np.testing.assert_allclose(fitted.posterior.mean, truth.posterior.mean, rtol=0, atol=1e-4 * size)


def test_dynamics_of_a_moving_cell_conserve_energy(
    ions: tuple[ForceField, Torus, NDArray[np.float64], float],
) -> None:
    """Between moves of the cell, and a move changes the energy by what the kernels say."""
    force_field, torus, _, _ = ions
    kernel = force_field.on(torus).strained_kernel
    barostat = Barostat(0.0, torus.volume, 0.0259, 20, "full", 400, 0.1, (1,))
    dynamics = Dynamics(torus.masses, timestep_fs=0.5, friction_per_fs=0.0, temperature_kelvin=300.0)
    state = start_at_rest_positions(torus.masses, 300.0, (3,))
    (chunk,) = run_npt_in_chunks(
        kernel, barostat, dynamics, state, Span(0, 200, 1, seconds=1e9), cell=start_cell(barostat)
    )
    total = chunk.run.potential_energies + chunk.run.kinetic_energies
    assert np.abs(chunk.strains[-1]).max() > 1e-4
    for piece in total.reshape(10, 20)[1:]:
        assert np.ptp(piece) < 2e-4 * np.ptp(chunk.run.kinetic_energies) * 10
    for k in (30, 150):
        energy = kernel.strained(chunk.strains[k]).energy_forces(chunk.run.displacements[k])[0]
        assert energy == pytest.approx(chunk.run.potential_energies[k], rel=1e-10)


def test_components_of_a_strain_add_up_to_it() -> None:
    strain = random_state(model_of("NaCl")[1])[1]
    np.testing.assert_allclose(
        np.tensordot(strain_components(strain), unit_strains(), axes=1), strain, atol=1e-15
    )
