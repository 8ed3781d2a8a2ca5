"""Dipole-dipole force constants: Ewald's laws, phonopy as oracle, and a force field that holds them."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrixGL
from scipy.special import erfc

from mlff_dyn.errors import DataError
from mlff_dyn.formats.born_file import sites_of_primitive
from mlff_dyn.formats.phonopy_cells import phonopy_cells
from mlff_dyn.kernels.strain.moves import VOIGT
from mlff_dyn.lattice.crystal import Crystal
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.dipole_strain import StrainedDipoles
from mlff_dyn.model.long_range import LongRange
from tests.models import crystal_of, dipoles_of


def rocksalt() -> Atoms:
    return bulk("NaCl", "rocksalt", a=5.6, cubic=True)


def wurtzite() -> Atoms:
    return bulk("ZnS", "wurtzite", a=3.8, c=6.2)


def low_symmetry() -> Atoms:
    """Three different atoms at no special place of a triclinic cell."""
    cell = [[3.5, 0.0, 0.2], [0.4, 4.1, 0.0], [0.1, 0.5, 4.6]]
    return Atoms(
        "NaClO", scaled_positions=[[0, 0, 0], [0.45, 0.52, 0.4], [0.8, 0.3, 0.7]], cell=cell, pbc=True
    )


def dense_of(long_range: LongRange, torus: Torus) -> NDArray[np.float64]:
    """Second derivatives (3 n_atoms, 3 n_atoms) from the forces of unit displacements."""
    harmonic = long_range.on(torus)
    units = np.eye(3 * torus.n_atoms).reshape(-1, torus.n_atoms, 3)
    return np.array([-harmonic.energy_forces(unit)[1].ravel() for unit in units])


def real_space_part(
    long_range: LongRange, crystal: Crystal, q: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """What the damping takes away, summed over the crystal.

    The second derivatives of -k erfc(lambda d) / (d sqrt(det eps)), d² = r eps^-1 r, lambda = 2π Lambda; for
    an atom with itself that of the erf which the sum over waves counts and which is not there.
    """
    rate = 2.0 * np.pi * long_range.damping
    inverse = np.linalg.inv(long_range.dielectric)
    strength = long_range.coulomb / np.sqrt(np.linalg.det(long_range.dielectric))
    offsets = np.array(list(np.ndindex(11, 11, 11))) - 5
    n = crystal.n_sites
    result = np.zeros((n, 3, n, 3), np.complex128)
    for s in range(n):
        for t in range(n):
            r = crystal.positions[t] + offsets @ crystal.lattice - crystal.positions[s]
            phases = np.exp(2j * np.pi * offsets @ q)
            apart = np.linalg.norm(r, axis=1) > 1e-6
            delta = r[apart] @ inverse
            d = np.sqrt(np.einsum("ra,ra->r", delta, r[apart]))
            gauss = 2.0 * rate / np.sqrt(np.pi) * np.exp(-((rate * d) ** 2))
            first = -erfc(rate * d) / d**2 - gauss / d
            second = 2.0 * erfc(rate * d) / d**3 + 2.0 * gauss / d**2 + 2.0 * rate**2 * gauss
            along = (second - first / d) / d**2
            hessians = (
                along[:, None, None] * delta[:, :, None] * delta[:, None]
                + (first / d)[:, None, None] * inverse
            )
            total = -strength * np.einsum("r,rab->ab", phases[apart], hessians)
            if s == t:
                total += -strength * 4.0 * rate**3 / (3.0 * np.sqrt(np.pi)) * inverse
            result[s, :, t] = long_range.charges[s].T @ total @ long_range.charges[t]
    return result


@pytest.mark.parametrize(
    ("atoms", "scalar"),
    [(rocksalt(), False), (wurtzite(), False), (low_symmetry(), True)],
    ids=["NaCl", "ZnS", "NaClO"],
)
def test_with_the_real_space_part_the_damping_does_not_matter(atoms: Atoms, scalar: bool) -> None:
    crystal = crystal_of(atoms)
    long_range = dipoles_of(crystal, scalar=scalar)
    q = np.array([0.21, -0.13, 0.37])
    n = crystal.n_sites
    totals = []
    for damping in (0.18, 0.25):
        own = replace(long_range, damping=damping)
        both = own.spectrum(crystal, np.array([q, np.zeros(3)])).reshape(2, n, 3, n, 3)
        total = both[0] + real_space_part(own, crystal, q)
        at_rest = real_space_part(own, crystal, np.zeros(3)).sum(axis=2)
        for site in range(n):
            total[site, :, site] -= at_rest[site].real
        totals.append(total)
    np.testing.assert_allclose(totals[0], totals[1], atol=1e-7 * np.abs(totals[0]).max())


@pytest.mark.parametrize("atoms", [rocksalt(), wurtzite()], ids=["NaCl", "ZnS"])
def test_it_is_the_sum_of_phonopy(atoms: Atoms) -> None:
    crystal = crystal_of(atoms)
    long_range = dipoles_of(crystal)
    phonon = Phonopy(**phonopy_cells(input_supercell(crystal, (1, 1, 1))), log_level=0)
    primitive = phonon.primitive
    sites = sites_of_primitive(primitive, crystal)
    given = {
        "born": long_range.charges[sites],
        "dielectric": long_range.dielectric,
        "factor": long_range.coulomb,
        "Lambda": long_range.damping,
        "G_cutoff": 1.6,
    }
    constants = np.zeros((len(primitive), len(phonon.supercell), 3, 3))
    oracle = DynamicalMatrixGL(phonon.supercell, primitive, constants, nac_params=given)
    oracle.make_Gonze_nac_dataset()
    inverse = np.linalg.inv(primitive.cell)
    for q in ([0.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.1, 0.2, 0.37], [-0.3, 0.45, 0.05]):
        expected = oracle._get_recip_dipole_dipole(np.array(q), None)
        wave = inverse @ q
        n = crystal.n_sites
        found = long_range.spectrum(crystal, (crystal.lattice @ wave)[None])[0].reshape(n, 3, n, 3)
        phases = np.exp(-2j * np.pi * crystal.positions @ wave)
        found = found * phases[:, None, None, None] * phases.conj()[:, None]
        np.testing.assert_allclose(found[sites][:, :, sites], expected, atol=1e-6)


@pytest.mark.parametrize("atoms", [rocksalt(), wurtzite(), low_symmetry()], ids=["NaCl", "ZnS", "NaClO"])
@pytest.mark.parametrize(
    "matrix", [np.eye(3), [[2, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 1, 0], [-1, 2, 0], [0, 1, 1]]]
)
def test_it_is_symmetric_and_a_rigid_shift_costs_nothing(atoms: Atoms, matrix: object) -> None:
    crystal = crystal_of(atoms)
    torus = Torus(crystal, np.array(matrix, np.int64))
    dense = dense_of(dipoles_of(crystal), torus)
    np.testing.assert_allclose(dense, dense.T, atol=1e-12 * np.abs(dense).max())
    shifts = dense.reshape(-1, torus.n_atoms, 3).sum(axis=1)
    np.testing.assert_allclose(shifts, 0.0, atol=1e-10 * np.abs(dense).max())


def test_symmetry_operations_carry_it_over() -> None:
    crystal = crystal_of(wurtzite())
    torus = input_supercell(crystal, (2, 2, 2))
    harmonic = dipoles_of(crystal).on(torus)
    u = np.random.default_rng(0).standard_normal((torus.n_atoms, 3))
    energy, forces = harmonic.energy_forces(u)
    sites, cells = np.divmod(np.arange(torus.n_atoms), torus.n_cells)
    for k, rotation in enumerate(crystal.cartesian_rotations):
        offsets = torus.offsets[cells] @ crystal.rotations[k].T + crystal.site_shift[k, sites]
        images = crystal.site_map[k, sites] * torus.n_cells + torus.cell_index(offsets)
        moved = np.empty_like(u)
        moved[images] = u @ rotation.T
        found_energy, found = harmonic.energy_forces(moved)
        assert found_energy == pytest.approx(energy, rel=1e-10)
        np.testing.assert_allclose(found[images], forces @ rotation.T, atol=1e-10)


def test_waves_of_a_small_supercell_are_the_same_in_a_larger_one() -> None:
    crystal = crystal_of(low_symmetry())
    long_range = dipoles_of(crystal)
    small, large = (Torus(crystal, k * np.diag([2, 1, 2])) for k in (1, 2))
    u = np.random.default_rng(0).standard_normal((crystal.n_sites, small.n_cells, 3))
    repeated = u[:, small.cell_index(large.offsets)].reshape(-1, 3)
    energy, forces = long_range.on(small).energy_forces(u.reshape(-1, 3))
    found_energy, found = long_range.on(large).energy_forces(repeated)
    assert found_energy == pytest.approx(8.0 * energy, rel=1e-10)
    expected = forces.reshape(crystal.n_sites, -1, 3)[:, small.cell_index(large.offsets)].reshape(-1, 3)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def energy_of_charges(
    long_range: LongRange, lattice: NDArray[np.float64], positions: NDArray[np.float64]
) -> float:
    """Energy (eV) of a cell of point charges by the same damped sum, in a medium that does not strain."""
    indices = np.array(list(np.ndindex(17, 17, 17))) - 8
    waves = indices[np.abs(indices).any(axis=1)] @ np.linalg.inv(lattice).T
    screened = np.einsum("ga,ab,gb->g", waves, long_range.dielectric, waves)
    structure = np.exp(2j * np.pi * waves @ positions.T) @ long_range.charges[:, 0, 0]
    weights = np.exp(-screened / (4.0 * long_range.damping**2)) / screened
    volume = abs(np.linalg.det(lattice))
    return float(long_range.coulomb / (2.0 * np.pi * volume) * (weights * np.abs(structure) ** 2).sum())


@pytest.mark.parametrize("atoms", [bulk("ZnS", "zincblende", a=5.4), wurtzite()], ids=["cubic", "hexagonal"])
def test_point_charges_under_displacement_and_strain(atoms: Atoms) -> None:
    """Of point charges everything follows from their energy, by finite differences."""
    crystal = crystal_of(atoms)
    long_range = dipoles_of(crystal, scalar=True)
    step, n = 1e-3, crystal.n_sites
    coupling = StrainedDipoles(long_range, crystal, None).coupling
    hessian = long_range.spectrum(crystal, np.zeros((1, 3)))[0].real.reshape(n, 3, n, 3)

    def energy(site: int, shift: NDArray[np.float64], strain: NDArray[np.float64]) -> float:
        deformed = np.eye(3) + strain
        positions = crystal.positions @ deformed.T
        positions[site] += shift
        return energy_of_charges(long_range, crystal.lattice @ deformed.T, positions)

    for site in range(n):
        for axis in range(3):
            shift = step * np.eye(3)[axis]
            for k, (a, b) in enumerate(VOIGT):
                strain = np.zeros((3, 3))
                strain[a, b] += 0.5 * step
                strain[b, a] += 0.5 * step
                signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
                mixed = sum(i * j * energy(site, i * shift, j * strain) for i, j in signs) / (4.0 * step**2)
                assert coupling[k, site, axis] == pytest.approx(mixed, abs=2e-5 * np.abs(hessian).max())
            rest = energy(site, 0.0 * shift, np.zeros((3, 3)))
            curvature = (
                energy(site, shift, np.zeros((3, 3))) + energy(site, -shift, np.zeros((3, 3))) - 2.0 * rest
            )
            assert hessian[site, axis, site, axis] == pytest.approx(
                curvature / step**2, abs=2e-5 * np.abs(hessian).max()
            )


@pytest.mark.parametrize("atoms", [wurtzite(), low_symmetry()], ids=["ZnS", "NaClO"])
def test_the_strain_coupling_is_the_slope_of_the_spectrum(atoms: Atoms) -> None:
    """By finite differences in the wave vector, with the phases of the atoms and without the wave K = q.

    The net force on a cell is taken off.
    """
    crystal = crystal_of(atoms)
    long_range = dipoles_of(crystal)
    n, step, volume = crystal.n_sites, 1e-4, abs(np.linalg.det(crystal.lattice))

    def smooth(wave: NDArray[np.float64]) -> NDArray[np.complex128]:
        phases = np.exp(-2j * np.pi * crystal.positions @ wave)
        total = long_range.spectrum(crystal, (crystal.lattice @ wave)[None])[0].reshape(n, 3, n, 3)
        total = total * phases[:, None, None, None] * phases.conj()[:, None]
        screened = wave @ long_range.dielectric @ wave
        dipoles = np.einsum("a,sab->sb", wave, long_range.charges)
        weight = np.exp(-screened / (4.0 * long_range.damping**2)) / screened
        weight *= 4.0 * np.pi * long_range.coulomb / volume
        return total - weight * np.multiply.outer(dipoles, dipoles)

    slopes = np.array([smooth(step * e) - smooth(-step * e) for e in np.eye(3)]) / (2.0 * step)
    slopes = slopes.sum(axis=3).imag.transpose(1, 2, 3, 0) / (2.0 * np.pi)
    found = StrainedDipoles(long_range, crystal, None).coupling
    for k, (a, b) in enumerate(VOIGT):
        expected = 0.5 * (slopes[:, :, a, b] + slopes[:, :, b, a])
        expected -= expected.mean(axis=0)
        np.testing.assert_allclose(found[k], expected, atol=1e-5 * np.abs(slopes).max())


def test_impossible_dipoles_are_refused() -> None:
    long_range = dipoles_of(crystal_of(rocksalt()))
    with pytest.raises(DataError, match="add up to zero"):
        replace(long_range, charges=long_range.charges + 0.1)
    with pytest.raises(DataError, match="symmetric and positive"):
        replace(long_range, dielectric=-long_range.dielectric)
    with pytest.raises(DataError, match="finite"):
        replace(long_range, charges=np.full((2, 3, 3), np.nan))
    with pytest.raises(DataError, match="not positive"):
        replace(long_range, damping=0.0)
    with pytest.raises(DataError, match="charges has shape"):
        long_range.on(input_supercell(crystal_of(wurtzite()), (1, 1, 1)))
