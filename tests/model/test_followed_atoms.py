"""Atoms that another program moves: turned cells, any order, drift, images, strain from call to call."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.errors import DataError, SimulationError, UsageError
from mlff_dyn.formats.dynamics_codes.i_pi_files import write_i_pi
from mlff_dyn.formats.dynamics_codes.lammps_files import write_lammps
from mlff_dyn.formats.dynamics_codes.start import DynamicsSettings
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.followed_atoms import FollowedAtoms
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.workflows.snapshots import displaced_atoms
from tests.models import dipoles_of, random_force_field, with_parameters

Made = Callable[[], tuple[ForceField, Torus]]


def any_rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def wurtzite() -> tuple[ForceField, Torus]:
    return random_force_field(bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1), {2: 2.9, 3: 2.9, 4: {2: 2.9}})


def sheet() -> tuple[ForceField, Torus]:
    atoms = Atoms("BN", [(0, 0, 5), (0, 1.45, 5)], cell=[(2.51, 0, 0), (1.255, 2.174, 0), (0, 0, 12)])
    crystal = build_crystal(
        atoms.cell.array, atoms.positions, atoms.numbers, atoms.get_masses(), periodic=(True, True, False)
    )
    torus = input_supercell(crystal, (3, 3, 1))
    basis = build_basis(crystal, {2: 3.0, 3: 1.6}, torus)
    return with_parameters(basis, np.random.default_rng(1).standard_normal(basis.n_parameters)), torus


def polar() -> tuple[ForceField, Torus]:
    force_field, torus = wurtzite()
    return replace(force_field, long_range=dipoles_of(torus.crystal)), torus


@pytest.mark.parametrize("make", [wurtzite, polar, sheet])
@pytest.mark.parametrize("size", [0.0, 0.03])
def test_they_have_what_the_calculator_finds(make: Made, size: float) -> None:
    """While the cell is turned and strained, atoms drift, and are folded into it."""
    force_field, torus = make()
    is_sheet = not all(torus.crystal.periodic)
    generator = np.random.default_rng(3)
    order = generator.permutation(torus.n_atoms)
    followed = FollowedAtoms(force_field, torus, torus.numbers[order], 1.0)
    turn = any_rotation(4)
    for step in range(4):
        atoms = displaced_atoms(torus, 0.05 * generator.standard_normal((torus.n_atoms, 3)))
        gradient = np.eye(3) + size * np.tril(generator.standard_normal((3, 3)))
        if is_sheet:
            gradient[2], gradient[:, 2] = (0, 0, 1), (0, 0, 1)
        atoms.set_cell(atoms.cell.array @ gradient, scale_atoms=True)
        atoms.positions += 0.9 * step
        moved = atoms.copy()
        moved.positions += generator.integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
        found = followed.evaluate(moved.cell.array @ turn, (moved.positions @ turn)[order])
        atoms.calc = ForceFieldCalculator(force_field)
        assert found.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-9)
        np.testing.assert_allclose(found.forces, (atoms.get_forces() @ turn)[order], atol=1e-9)
        assert found.stress is not None
        stress = turn.T @ atoms.get_stress(voigt=False) @ turn
        np.testing.assert_allclose(found.stress, stress, atol=1e-10)
        np.testing.assert_allclose(found.virial, -atoms.get_volume() * stress, atol=1e-7)
    assert followed.n_evaluations == 4
    assert 0.1 < followed.largest_displacement_angstrom < 0.3


@pytest.mark.parametrize("write", [write_lammps, write_i_pi])
def test_no_barostat_closes_the_vacuum_of_a_sheet(write: Callable[..., object], tmp_path: Path) -> None:
    force_field, torus = sheet()
    with pytest.raises(UsageError, match="vacuum"):
        write(force_field, torus, tmp_path, settings=DynamicsSettings("npt"))
    write(force_field, torus, tmp_path)


def test_what_is_none_of_its_structures() -> None:
    force_field, torus = wurtzite()
    cell, positions = torus.lattice, torus.positions
    followed = FollowedAtoms(force_field, torus, torus.numbers, 0.4)
    with pytest.raises(DataError, match="3 atoms where the supercell of the crystal has 16"):
        followed.evaluate(cell, positions[:3])
    with pytest.raises(DataError, match="left-handed"):
        followed.evaluate(cell[[0, 2, 1]], positions)
    with pytest.raises(DataError, match=r"off the supercell of the crystal by 20 %"):
        followed.evaluate(1.2 * cell, 1.2 * positions)
    swapped = torus.numbers.copy()
    swapped[[0, -1]] = swapped[[-1, 0]]
    with pytest.raises(DataError, match="not one to one"):
        FollowedAtoms(force_field, torus, swapped, 0.4).evaluate(cell, positions + 0.01)
    assert followed.evaluate(cell, positions, stress=False).stress is None
    with pytest.raises(SimulationError, match=r"atom 5 \(..?\) is 0\.469 Å from its site"):
        followed.evaluate(cell, positions + np.eye(torus.n_atoms, 1, -5) * [0.5, 0, 0])
    with pytest.raises(SimulationError, match="not a finite number"):
        followed.evaluate(cell, positions * np.nan)
    with pytest.raises(SimulationError, match="by 20 %"):
        followed.evaluate(1.2 * cell, 1.2 * positions)
    followed.evaluate(cell, positions)
