"""The longest step that joining the atoms of a cluster takes at least."""

import numpy as np
import pytest
from ase import Atoms
from scipy.sparse.csgraph import minimum_spanning_tree

from mlff_dyn.lattice.clusters import decode, encode, enumerate_clusters
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.invariants import longest_steps
from tests.lattice.crystals import quartz, silicon, triclinic


def crystal_of(atoms: Atoms) -> Crystal:
    return build_crystal(atoms.cell.array, atoms.positions, atoms.numbers)


@pytest.mark.parametrize("make_atoms", [silicon, quartz, triclinic])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_it_is_the_longest_edge_of_the_minimum_spanning_tree(make_atoms, order: int) -> None:
    """Against scipy, for clusters of all kinds, atoms repeated or not."""
    crystal = crystal_of(make_atoms())
    reach = 1.7 * crystal.nearest_neighbor_distance
    clusters = enumerate_clusters(crystal, order, dict.fromkeys(range(2, order + 1), reach))
    chosen = clusters[:: max(1, len(clusters) // 200)]
    found = longest_steps(crystal, chosen)
    for codes, step in zip(chosen, found, strict=True):
        sites, offsets = decode(np.unique(codes), crystal.n_sites)
        positions = crystal.positions[sites] + offsets @ crystal.lattice
        distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
        expected = minimum_spanning_tree(distances).toarray().max(initial=0.0)
        assert step == pytest.approx(expected, abs=1e-12)


def test_a_chain_is_as_long_as_its_bond() -> None:
    """Two neighbors of an atom are joined through it."""
    crystal = crystal_of(silicon())
    bond = crystal.nearest_neighbor_distance
    around = [
        (site, offset)
        for site in range(crystal.n_sites)
        for offset in np.ndindex(3, 3, 3)
        if abs(_distance(crystal, site, np.array(offset) - 1) - bond) < 1e-6
    ]
    (one, first), (other, second) = around[:2]
    sites = np.array([[0, one, other]])
    offsets = np.array([[[0, 0, 0], np.array(first) - 1, np.array(second) - 1]])
    codes = encode(sites, offsets, crystal.n_sites)
    assert longest_steps(crystal, codes)[0] == pytest.approx(bond, abs=1e-9)
    assert longest_steps(crystal, codes[:, 1:])[0] > 1.5 * bond


def _distance(crystal: Crystal, site: int, offset: np.ndarray) -> float:
    other = crystal.positions[site] + offset @ crystal.lattice
    return float(np.linalg.norm(other - crystal.positions[0]))
