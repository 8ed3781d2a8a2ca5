"""Force constants of the infinite crystal: folded on any supercell they are those of the supercell."""

import numpy as np
import pytest
from ase.build import bulk, graphene

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.crystal_constants import CrystalConstants, crystal_constants
from mlff_dyn.model.force_constants import force_constants_of
from mlff_dyn.model.force_field import ForceField
from tests.models import random_force_field, with_local_part

WURTZITE = bulk("ZnS", "wurtzite", a=3.8, c=6.2)


def force_field(name: str) -> ForceField:
    if name == "full":
        return random_force_field(WURTZITE, (2, 2, 1), {2: "full", 3: "full", 4: 2.4})[0]
    if name == "layer":
        layer = graphene(a=2.46, vacuum=6.0)
        layer.pbc = True
        return random_force_field(layer, (3, 3, 1), {2: "full", 3: 2.6, 4: 1.5})[0]
    found, _ = random_force_field(WURTZITE, (2, 2, 1), {2: 3.0, 3: 2.5})
    return with_local_part(found, LocalSettings(4.3, 2, 1))


def folded(constants: CrystalConstants, torus: Torus) -> np.ndarray:
    """Dense array of a supercell, its first axis over the atoms of the home cell."""
    n_sites, n_cells, order = torus.crystal.n_sites, torus.n_cells, constants.order
    atoms = constants.sites * n_cells + torus.cell_index(constants.offsets)
    array = np.zeros((n_sites, *(torus.n_atoms,) * (order - 1), *(3,) * order))
    np.add.at(array, (constants.sites[:, 0], *atoms[:, 1:].T), constants.blocks)
    return array


@pytest.mark.parametrize("name", ["full", "layer", "local"])
@pytest.mark.parametrize(
    ("order", "matrix"), [(2, (1, 2, 1)), (2, (3, 3, 1)), (3, (2, 2, 1)), (4, (1, 1, 1))]
)
def test_folded_on_a_supercell_they_are_its_own(name: str, order: int, matrix: tuple[int, int, int]) -> None:
    field = force_field(name)
    constants = crystal_constants(field, order)
    torus = Torus(field.basis.crystal, np.diag(matrix))
    expected = force_constants_of(field, order, torus)
    first = torus.n_cells * np.arange(torus.crystal.n_sites)
    expected = expected.dense(first, np.arange(torus.n_atoms))
    np.testing.assert_allclose(folded(constants, torus), expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("order", [2, 3])
def test_they_have_the_symmetry_of_the_crystal(order: int) -> None:
    """Also those of pairs and triples on the boundary of the training supercell."""
    crystal = force_field("full").basis.crystal
    constants = crystal_constants(force_field("full"), order)
    by_atoms = {
        (*sites.tolist(), *offsets.ravel().tolist()): block
        for sites, offsets, block in zip(constants.sites, constants.offsets, constants.blocks, strict=True)
    }
    largest = np.abs(constants.blocks).max()
    for operation in range(crystal.n_operations):
        rotation = crystal.cartesian_rotations[operation]
        sites = crystal.site_map[operation][constants.sites]
        offsets = constants.offsets @ crystal.rotations[operation].T
        offsets += crystal.site_shift[operation][constants.sites]
        offsets -= offsets[:, :1]
        for place in range(0, len(sites), 7):
            turned = constants.blocks[place]
            for axis in range(order):
                turned = np.moveaxis(np.tensordot(rotation, turned, axes=(1, axis)), 0, axis)
            image = by_atoms[(*sites[place].tolist(), *offsets[place].ravel().tolist())]
            np.testing.assert_allclose(image, turned, atol=1e-9 * largest)


def test_an_order_that_no_part_has_is_refused() -> None:
    with pytest.raises(DataError, match="no order 5"):
        crystal_constants(force_field("full"), 5)
