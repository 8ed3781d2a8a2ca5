"""Crystals of one structure type: corresponding atoms, whatever the cell, the elements, the orientation."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.topology import map_crystal
from mlff_dyn.lattice.torus import input_supercell
from tests.lattice.crystals import antiferromagnet
from tests.models import crystal_of


def wurtzite(symbols: str, a: float, c: float, u: float) -> Atoms:
    return bulk(symbols, "wurtzite", a=a, c=c, u=u)


PAIRS = [
    (bulk("Si", cubic=True), bulk("C"), 1e-6),
    (bulk("Ge", a=5.6), bulk("Si", cubic=True), 1e-6),
    (bulk("NaCl", "rocksalt", a=5.6, cubic=True), bulk("MgO", "rocksalt", a=4.2), 1e-6),
    (wurtzite("ZnS", 3.8, 6.2, 0.375), wurtzite("AlN", 3.11, 4.98, 0.382), 0.1),
]


def turned(atoms: Atoms, seed: int) -> Atoms:
    """The same crystal, rotated, shifted, with its atoms in another order."""
    generator = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    other = atoms[generator.permutation(len(atoms))]
    other.set_cell(atoms.cell.array @ rotation)
    other.set_positions(other.positions @ rotation + generator.standard_normal(3))
    return other


@pytest.mark.parametrize(("source", "target", "strain"), PAIRS, ids=["C", "Si", "MgO", "AlN"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neighbors_correspond(source: Atoms, target: Atoms, strain: float, seed: int) -> None:
    """Separations in a supercell agree up to the scale: the map is one of crystals, rotation included."""
    theirs, ours = crystal_of(turned(source, seed)), crystal_of(target)
    found = map_crystal(theirs, ours)
    torus = input_supercell(ours, [3, 3, 3])
    carried, atoms = found.carry(torus)
    assert sorted(atoms) == list(range(torus.n_atoms))
    scale = (abs(np.linalg.det(ours.lattice) / np.linalg.det(theirs.lattice))) ** (1 / 3)
    inverse = np.linalg.inv(torus.lattice)
    for first in (0, torus.n_atoms - 1):
        mine = torus.positions - torus.positions[first]
        other = scale * (carried.positions[atoms] - carried.positions[atoms[first]]) @ found.rotation
        difference = (mine - other) @ inverse
        misfit = np.linalg.norm((difference - np.rint(difference)) @ torus.lattice, axis=1)
        assert misfit.max() < strain * np.linalg.norm(torus.lattice, axis=1).max()


def test_elements_are_kept_where_they_can_be() -> None:
    """Both sublattices of zinc blende fit geometrically; equal elements, then equal columns, decide."""
    same = map_crystal(
        crystal_of(bulk("GaAs", "zincblende", a=5.6)), crystal_of(bulk("AsGa", "zincblende", a=5))
    )
    np.testing.assert_array_equal(same.source.numbers[same.sites], [33, 31])
    column = map_crystal(
        crystal_of(bulk("GaN", "zincblende", a=4.5)), crystal_of(bulk("AsB", "zincblende", a=4.8))
    )
    np.testing.assert_array_equal(column.source.numbers[column.sites], [7, 31])


@pytest.mark.parametrize(
    "other", [bulk("NaCl", "rocksalt", a=5.6), bulk("Cu"), bulk("GaAs", "zincblende", a=5)]
)
def test_another_structure_type_is_refused(other: Atoms) -> None:
    with pytest.raises(DataError, match="space group"):
        map_crystal(crystal_of(other), crystal_of(bulk("Si")))


@pytest.mark.parametrize("seed", [0, 1])
def test_magnetic_sublattices_correspond(seed: int) -> None:
    """An oxide of another metal with larger moments; a ferromagnet is another structure."""
    source, target = antiferromagnet(), antiferromagnet()
    source.numbers[source.numbers == 28] = 25
    source.arrays["initial_magmoms"] *= -2.3
    source.set_cell(source.cell.array * 1.05, scale_atoms=True)
    ours = crystal_of(target)
    found = map_crystal(crystal_of(turned(source, seed)), ours)
    theirs = found.source.magnetic_moments
    assert theirs is not None
    assert ours.magnetic_moments is not None
    products = theirs[found.sites] * ours.magnetic_moments
    assert abs(products.sum()) == pytest.approx(np.abs(products).sum())
    source.arrays["initial_magmoms"] = np.abs(source.arrays["initial_magmoms"])
    with pytest.raises(DataError, match="the crystal has space group R-3m"):
        map_crystal(crystal_of(source), ours)
