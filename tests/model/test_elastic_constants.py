"""Elastic constants: those of strained crystals are those of sound, where rotations cost no energy."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.kernels.strain.kernel import StrainedKernel
from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains
from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.expansion import Expansion
from tests.lattice.crystals import quartz, triclinic
from tests.models import crystal_of

CRYSTALS = {
    "Si": (bulk("Si", cubic=True), (1, 1, 1), {2: "full", 3: 2.5}),
    "ZnS": (bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1), {2: "full", 3: 2.5}),
    "quartz": (quartz(), (1, 1, 1), {2: "full"}),
    "triclinic": (triclinic(), (2, 2, 2), {2: "full"}),
}


def model_of(
    atoms: Atoms, supercell: tuple[int, int, int], cutoffs: dict[int, object]
) -> tuple[ForceConstantBasis, NDArray[np.float64]]:
    """Random force constants that rotations leave alone, without forces at rest."""
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    basis = build_basis(crystal, cutoffs, torus, rotational_sum_rules=("huang", "born-huang"))
    parameters = np.random.default_rng(1).standard_normal(basis.n_parameters)
    return basis, np.where(basis.parameter_orders == 1, 0.0, parameters)


def relaxed_elastic_constants(kernel: StrainedKernel, volume: float) -> NDArray[np.float64]:
    """Second derivative of the energy of a primitive cell, shape (3, 3, 3, 3), eV/Å³."""
    step, rest = 1e-4, np.zeros((kernel.n_atoms, 3))
    frames = step * np.eye(rest.size).reshape(-1, *rest.shape)
    force_slope = np.array(
        [(kernel.energy_forces(-u)[1] - kernel.energy_forces(u)[1]).ravel() for u in frames]
    ) / (2.0 * step)
    coupling = np.zeros((6, rest.size))
    clamped = np.zeros((6, 6))
    for k, unit in enumerate(unit_strains()):
        ahead, behind = (kernel.strained(sign * step * unit) for sign in (1, -1))
        difference = ahead.energy_forces(rest)[1] - behind.energy_forces(rest)[1]
        coupling[k] = -difference.ravel() / (2.0 * step)
        virial = (ahead.virial(rest) - behind.virial(rest)) / (2.0 * step)
        clamped[k] = [virial[pair] for pair in VOIGT]
    relaxed = clamped - coupling @ np.linalg.pinv(force_slope, rcond=1e-9) @ coupling.T
    full = np.zeros((3, 3, 3, 3))
    for i, (a, b) in enumerate(VOIGT):
        for j, (c, d) in enumerate(VOIGT):
            for first in ((a, b), (b, a)):
                for second in ((c, d), (d, c)):
                    full[(*first, *second)] = relaxed[i, j] / volume
    return full


def acoustic_eigenvalues(
    basis: ForceConstantBasis, parameters: NDArray[np.float64], q: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The three eigenvalues of the dynamical matrix that vanish at long wavelengths, eV/(Å² amu)."""
    crystal, polynomial = basis.crystal, basis.polynomial
    (order,) = (k for k, terms in enumerate(polynomial.orders) if terms.order == 2)
    terms, first = polynomial.orders[order], polynomial.parameter_offsets[order]
    coefficients = terms.coefficients(basis.expand(parameters)[first : first + terms.n_parameters])
    slots, axes = np.divmod(terms.monomials, 3)
    positions = crystal.positions[polynomial.slots[:, 0]] + polynomial.slots[:, 1:] @ crystal.lattice
    phases = np.exp(1j * (positions[slots[:, 1]] - positions[slots[:, 0]]) @ q)
    rows, columns = (3 * polynomial.slots[slots[:, k], 0] + axes[:, k] for k in (0, 1))
    matrix = np.zeros((3 * crystal.n_sites, 3 * crystal.n_sites), complex)
    np.add.at(matrix, (rows, columns), coefficients * phases)
    np.add.at(matrix, (columns, rows), coefficients * phases.conj())
    masses = np.repeat(crystal.masses, 3)
    values = np.linalg.eigvalsh(matrix / np.sqrt(np.outer(masses, masses)))
    return np.sort(values[np.argsort(np.abs(values))[:3]])


@pytest.mark.parametrize("name", CRYSTALS)
def test_sound_and_strain_agree(name: str) -> None:
    basis, parameters = model_of(*CRYSTALS[name])
    crystal = basis.crystal
    torus = Torus(crystal, np.eye(3, dtype=np.int64))
    volume = abs(float(np.linalg.det(crystal.lattice)))
    elastic = relaxed_elastic_constants(Expansion(basis).on(torus).strained_kernel(parameters), volume)
    for seed in range(3):
        direction = np.random.default_rng(seed).standard_normal(3)
        direction /= np.linalg.norm(direction)
        christoffel = np.einsum("agbd,g,d->ab", elastic, direction, direction)
        expected = np.linalg.eigvalsh(christoffel) * volume / crystal.masses.sum()
        near, far = (acoustic_eigenvalues(basis, parameters, k * direction) / k**2 for k in (1e-3, 2e-3))
        sound = (4.0 * near - far) / 3.0
        np.testing.assert_allclose(sound, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
