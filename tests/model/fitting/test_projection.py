"""Force constants carried to another basis: what both can express is carried exactly."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.projection import (
    CompactTensor,
    ForceFieldSource,
    TensorSource,
    _forces_by_order,
    project_forces,
)
from mlff_dyn.model.fitting.projection_limits import ProjectionLimits
from mlff_dyn.model.force_constants import ForceConstants, force_constants, whole_force_constants
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.model.local_force_constants import local_force_constants
from tests.lattice.test_topology import turned
from tests.models import Cutoffs, crystal_of, dipoles_of, random_force_field, with_parameters

SILICON: Cutoffs = {2: "full", 3: 2.5, 4: {2: 2.5}}


def expansion_on(atoms: Atoms, supercell: object, cutoffs: Cutoffs) -> tuple[Expansion, Torus]:
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    return Expansion(build_basis(crystal, cutoffs, torus)), torus


def displaced(torus: Torus) -> NDArray[np.float64]:
    u = 0.1 * np.random.default_rng(5).standard_normal((torus.n_atoms, 3))
    return np.asarray(u - u.mean(axis=0))


def test_parameters_of_the_same_basis_come_back() -> None:
    force_field, torus = random_force_field(bulk("Si", cubic=True), (2, 2, 2), {2: "full", 3: 4.0, 4: 2.5})
    found = project_forces(force_field.expansion, ForceFieldSource(force_field, torus))
    np.testing.assert_allclose(found, force_field.posterior.mean, atol=1e-8)


@pytest.mark.parametrize("has_dipoles", [False, True])
def test_dipoles_of_source_and_target_are_part_of_order_two(has_dipoles: bool) -> None:
    """The total is carried: a target with the same dipoles needs the same parameters, one without others."""
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    bare, torus = random_force_field(salt, (2, 2, 2), {2: "full", 3: 3.0})
    source = replace(bare, long_range=dipoles_of(bare.basis.crystal))
    target = Expansion(bare.basis, source.long_range if has_dipoles else None)
    found = project_forces(target, ForceFieldSource(source, torus))
    if has_dipoles:
        np.testing.assert_allclose(found, bare.posterior.mean, atol=1e-8)
    u = displaced(torus)
    _, expected = source.on(torus).energy_forces(u)
    _, forces = target.on(torus).kernel(found).energy_forces(u)
    np.testing.assert_allclose(forces, expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("seed", [0, 1])
def test_a_turned_crystal_of_other_elements_gives_its_forces(seed: int) -> None:
    """Symmetry and sum rules of the target hold for the carried forces, so its basis expresses them."""
    germanium = turned(bulk("Ge", a=5.6, cubic=True), seed)
    source, _ = random_force_field(germanium, (2, 2, 2), SILICON)
    expansion, torus = expansion_on(bulk("Si", cubic=True), [2, 2, 2], SILICON)
    carried = ForceFieldSource(source, torus)
    found = project_forces(expansion, carried)
    u = displaced(torus)
    expected = sum(carried.forces(u).values())
    _, forces = expansion.on(torus).kernel(found).energy_forces(u)
    np.testing.assert_allclose(forces, expected, atol=1e-9 * np.abs(expected).max())


def test_another_expansion_gives_what_both_have() -> None:
    """A source with fewer orders and shells: its forces where it has them, nothing for the others."""
    silicon = bulk("Si", cubic=True)
    source, _ = random_force_field(silicon, (2, 2, 2), {2: 4.0, 3: 2.5})
    expansion, torus = expansion_on(silicon, [2, 2, 2], {2: "full", 3: 4.0, 4: 2.5})
    found = project_forces(expansion, ForceFieldSource(source, torus))
    assert not found[expansion.basis.parameter_orders == 4].any()
    u = displaced(torus)
    _, expected = source.on(torus).energy_forces(u)
    _, forces = expansion.on(torus).kernel(found).energy_forces(u)
    np.testing.assert_allclose(forces, expected, atol=1e-9 * np.abs(expected).max())


def compact(force_field: ForceField, order: int, torus: Torus) -> CompactTensor:
    """Tensors with the row of each site at another cell."""
    constants = force_constants(force_field.basis, force_field.posterior.mean, order, torus)
    cells = np.arange(torus.crystal.n_sites) % torus.n_cells
    first = np.arange(torus.crystal.n_sites) * torus.n_cells + cells
    return CompactTensor(torus, first, constants.dense(first, np.arange(torus.n_atoms)))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("supercell", [[2, 2, 2], [2, 2, 4]])
def test_tensors_give_the_forces_of_the_polynomial(order: int, supercell: list[int]) -> None:
    """On their own supercell, and folded from a larger one."""
    zincblende = bulk("GaAs", "zincblende", a=5.6)
    force_field, training = random_force_field(zincblende, (2, 2, 2), {2: 2.6, 3: 2.6})
    torus = input_supercell(training.crystal, supercell)
    source = TensorSource(compact(force_field, order, torus), training)
    assert source.torus is training
    u = displaced(training)
    here = force_field.basis.parameter_orders == order
    kernel = force_field.expansion.on(training).kernel(np.where(here, force_field.posterior.mean, 0.0))
    _, expected = kernel.energy_forces(u)
    np.testing.assert_allclose(source.forces(u)[order], expected, atol=1e-10 * np.abs(expected).max())
    found = project_forces(force_field.expansion, source)
    np.testing.assert_allclose(found[here], force_field.posterior.mean[here], atol=1e-8)
    assert not found[~here].any()


def local_force_field(settings: LocalSettings, scale: float = 1.0) -> tuple[ForceField, Torus]:
    bare, torus = random_force_field(bulk("Si", cubic=True), (2, 2, 2), {2: "full", 3: 4.0})
    local = local_basis(bare.basis.crystal, settings, training=torus)
    values = scale * np.random.default_rng(3).standard_normal(local.n_functions)
    return with_parameters(bare.basis, np.append(bare.posterior.mean, values), local), torus


def test_local_part_with_the_same_functions_is_carried_as_it_is() -> None:
    force_field, torus = local_force_field(LocalSettings(4.5, 3, 2))
    found = project_forces(force_field.expansion, ForceFieldSource(force_field, torus, force_field.local))
    np.testing.assert_allclose(found, force_field.posterior.mean, atol=1e-8)


@pytest.mark.parametrize("is_carried", [True, False])
def test_a_larger_training_cell_gets_the_forces_that_the_model_has_there(*, is_carried: bool) -> None:
    """The images that share the harmonic part of the model are those of its own training cell."""
    force_field, small = local_force_field(LocalSettings(4.0, 3, 2), scale=0.1)
    assert force_field.local is not None
    training = input_supercell(small.crystal, (3, 2, 2))
    settings = force_field.local.settings if is_carried else LocalSettings(3.8, 2, 1)
    local = local_basis(small.crystal, settings, training=training)
    target = Expansion(build_basis(small.crystal, {2: "full", 3: 4.0}, training), local=local)
    found = project_forces(target, ForceFieldSource(force_field, training, local))
    u = 1e-4 * displaced(training)
    _, expected = force_field.on(training).energy_forces(u)
    _, forces = target.on(training).kernel(found).energy_forces(u)
    np.testing.assert_allclose(forces, expected, atol=1e-4 * np.abs(expected).max())


def test_local_part_is_carried_order_by_order_to_an_expansion_without_it() -> None:
    """Order 2 of the whole training cell has room for all that the local part adds to it."""
    source, torus = local_force_field(LocalSettings(4.0, 3, 2), scale=0.1)
    target = Expansion(source.basis)
    found = project_forces(target, ForceFieldSource(source, torus))
    expected, ours = (
        whole_force_constants(expansion, parameters, 2, torus)
        for expansion, parameters in ((source.expansion, source.posterior.mean), (target, found))
    )
    atoms = np.arange(torus.n_atoms)
    first = atoms[:: torus.n_cells]
    wanted = expected.dense(first, atoms)
    np.testing.assert_allclose(ours.dense(first, atoms), wanted, atol=1e-5 * np.abs(wanted).max())


def test_forces_of_a_local_part_by_order_are_those_of_its_derivatives_at_rest() -> None:
    bare, torus = random_force_field(bulk("Si"), (2, 2, 2), {2: "full"})
    local = local_basis(bare.basis.crystal, LocalSettings(4.0, 3, 2))
    values = np.random.default_rng(3).standard_normal(local.n_functions)
    alone = np.append(np.zeros(bare.basis.n_parameters), values)
    kernel = Expansion(bare.basis, local=local).on(torus).kernel(alone)
    moved = displaced(torus)
    found = _forces_by_order(kernel, moved, ProjectionLimits(n_points=16))
    atoms = np.arange(torus.n_atoms)
    first = atoms[:: torus.n_cells]
    for order, forces in found.items():
        constants = local_force_constants(local.tables, values, order, torus)
        rows = ForceConstants(order, torus, *constants).dense(first, atoms)
        expected = CompactTensor(torus, first, rows).forces(moved)
        np.testing.assert_allclose(forces, expected, atol=1e-7 * np.abs(expected).max())
