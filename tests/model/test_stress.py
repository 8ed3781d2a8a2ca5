"""Stress of a force field: slope of the energy under strain, and that of the potential it learnt."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from mlff_dyn.kernels.reference_nodes import node_values
from mlff_dyn.kernels.strain import VOIGT, slot_positions
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fit import fit_force_field, label_rows
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.workflows.training_data import displaced_atoms
from tests.models import copper, crystal_of, random_force_field


def work_of_displacing(
    force_field: ForceField, torus: Torus, u: NDArray[np.float64], strain: NDArray[np.float64]
) -> float:
    """Energy (eV) to move the atoms of the strained crystal from their strained sites by u.

    The forces act on atoms that see each other displaced by u_j - u_i + strain (R_j - R_i); their work along
    the straight path is a polynomial that four Gauss points integrate exactly.
    """
    tables, crystal = force_field.expansion.tables, force_field.basis.crystal
    n_sites, n_cells = crystal.n_sites, torus.n_cells
    slot_atoms = torus.atom_indices(tables.slots)
    moves = slot_positions(tables, crystal.lattice, crystal.positions) @ strain
    seen = np.arange(slot_atoms.size, dtype=np.int32).reshape(slot_atoms.shape)
    parameters = force_field.basis.expand(force_field.posterior.mean)
    coefficients = tables.entry_factors * parameters[tables.entry_parameters]
    work = 0.0
    for point, weight in zip(*np.polynomial.legendre.leggauss(4), strict=True):
        along = 0.5 * (1.0 + point) * u[slot_atoms] + moves[:, None]
        nodes = node_values(tables, seen, along.reshape(-1, 3))
        gradients = np.zeros((3 * n_sites, n_cells))
        np.add.at(gradients, tables.entry_targets, coefficients[:, None] * nodes[tables.entry_nodes])
        work += (
            0.5
            * weight
            * np.sum(gradients.reshape(n_sites, 3, n_cells) * u.reshape(n_sites, n_cells, 3).swapaxes(1, 2))
        )
    return float(work)


@pytest.mark.parametrize(
    ("atoms", "supercell", "cutoffs"),
    [
        (bulk("Si", cubic=True), (1, 1, 1), {2: "full", 3: 2.5, 4: 2.5}),
        (
            bulk("ZnS", "wurtzite", a=3.8, c=6.2),
            (2, 2, 1),
            {2: 2.9, 3: 2.9, 4: 2.9, 5: {2: 2.9}, 6: {2: 2.9}},
        ),
    ],
    ids=["Si", "ZnS"],
)
def test_it_is_the_slope_of_the_energy(
    atoms: Atoms, supercell: tuple[int, int, int], cutoffs: dict[int, object]
) -> None:
    force_field, torus = random_force_field(atoms, supercell, cutoffs)
    u = 0.1 * np.random.default_rng(2).standard_normal((torus.n_atoms, 3))
    zero = np.zeros((3, 3))
    energies = [force_field.on(torus).energy_forces(each)[0] for each in (u, np.zeros_like(u))]
    assert work_of_displacing(force_field, torus, u, zero) == pytest.approx(
        energies[0] - energies[1], rel=1e-9
    )
    stress = force_field.on(torus).stress(u) * abs(np.linalg.det(torus.lattice))
    step = 1e-3
    for (a, b), found in zip(VOIGT, stress, strict=True):
        strain = zero.copy()
        strain[a, b] += 0.5 * step
        strain[b, a] += 0.5 * step
        values = [
            work_of_displacing(force_field, torus, u + k * u @ strain, k * strain)
            for k in (-3, -2, -1, 1, 2, 3)
        ]
        slope = np.dot([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0], values) / (60.0 * step)
        assert found == pytest.approx(slope, abs=1e-8 * np.abs(stress).max())


def test_it_is_that_of_the_potential_it_learnt() -> None:
    """Copper with its thermal stress from EMT; atoms in any order."""
    crystal = crystal_of(copper())
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: "full", 3: 3.0, 4: {2: 3.0}}, torus)
    generator = np.random.default_rng(3)
    supercell, data = Expansion(basis).on(torus), []
    for _ in range(8):
        u = 0.06 * generator.standard_normal((torus.n_atoms, 3))
        atoms = displaced_atoms(torus, u)
        atoms.calc = EMT()
        data.append(label_rows(supercell, u, atoms.get_forces(), atoms.get_potential_energy()))
    force_field = fit_force_field(basis, data)
    at_rest = displaced_atoms(torus, np.zeros((torus.n_atoms, 3)))
    at_rest.calc = EMT()
    atoms = displaced_atoms(torus, 0.06 * generator.standard_normal((torus.n_atoms, 3)))
    atoms.calc = EMT()
    expected = atoms.get_stress() - at_rest.get_stress()
    atoms = atoms[generator.permutation(len(atoms))]
    atoms.calc = ForceFieldCalculator(force_field)
    np.testing.assert_allclose(atoms.get_stress(), expected, atol=0.06 * np.abs(expected).max())
    full = voigt_6_to_full_3x3_stress(expected)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), full, atol=0.06 * np.abs(expected).max())
