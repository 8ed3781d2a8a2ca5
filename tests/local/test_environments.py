"""Neighbors of the sites of a crystal."""

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from mlff_dyn.local.environments import find_environments


@pytest.mark.parametrize(
    "atoms", [bulk("Cu", "fcc", a=3.59, cubic=True), bulk("ZnO", "wurtzite", a=3.25, c=5.2)]
)
def test_each_of_two_neighbors_has_the_other_also_at_the_very_end_of_the_reach(atoms):
    atoms.rotate(17.0, (1.0, 2.0, 3.0), rotate_cell=True)
    distances = neighbor_list("d", atoms, 6.0)
    kinds = np.unique(atoms.numbers, return_inverse=True)[1].astype(np.int32)
    for reach in np.unique(distances)[::3]:
        found = find_environments(atoms.cell.array, atoms.positions, kinds, reach)
        centers = np.repeat(np.arange(len(atoms)), np.diff(found.starts)).tolist()
        pairs = {(c, *slot) for c, slot in zip(centers, found.slots.tolist(), strict=True)}
        assert pairs == {(other, c, *(-n for n in offset)) for c, other, *offset in pairs}
        expected = atoms.positions[found.slots[:, 0]] + found.slots[:, 1:] @ atoms.cell.array
        np.testing.assert_allclose(found.vectors, expected - atoms.positions[centers], atol=1e-12)
