"""Atoms of one crystal in terms of another of the same topology: other lattice constants, other elements.

With rows as vectors, target lattice vectors correspond to the source vectors A = U L_s, U unimodular, and
L_t = A F up to volume. The deformation F = R P has a rotation R, which carries vectors of the source to the
target, and a strain P, which is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.aperiodic import leave_vacuum_alone
from mlff_dyn.lattice.lattice_limits import LATTICE_LIMITS, LatticeLimits
from mlff_dyn.lattice.magnetism import another_order
from mlff_dyn.lattice.torus import Torus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal

_NOBLE_GASES = np.array([0, 2, 10, 18, 36, 54, 86, 118])


@dataclass(frozen=True, eq=False)
class CrystalMap:
    """Where the atoms of a target crystal lie in a source crystal.

    Atom (s, n) of the target is atom (sites[s], n @ vectors + shifts[s]) of the source.

    Attributes
    ----------
    source : Crystal
    vectors : ndarray of int, shape (3, 3)        target lattice vectors (rows) in source lattice vectors
    rotation : ndarray, shape (3, 3)              Cartesian row vectors: target = source @ rotation
    sites : ndarray of int, shape (n_sites,)
    shifts : ndarray of int, shape (n_sites, 3)
    """

    source: Crystal
    vectors: NDArray[np.int64]
    rotation: NDArray[np.float64]
    sites: NDArray[np.int64]
    shifts: NDArray[np.int64]

    def carry(self, torus: Torus) -> tuple[Torus, NDArray[np.int64]]:
        """Supercell of the source that a supercell of the target means, and its atom for each target atom."""
        carried = Torus(self.source, torus.matrix @ self.vectors)
        offsets = torus.offsets @ self.vectors
        cells = carried.cell_index(offsets[None] + self.shifts[:, None])
        return carried, (self.sites[:, None] * carried.n_cells + cells).ravel()


def map_crystal(source: Crystal, target: Crystal, limits: LatticeLimits = LATTICE_LIMITS) -> CrystalMap:
    """Find corresponding atoms of two crystals of one space group.

    Of all correspondences the one is chosen that keeps elements, or else columns of the periodic table, then
    the one of least strain, shift of sites and rotation. The length of a vacuum does not matter.

    Raises
    ------
    DataError
        If the crystals are of another space group, number of sites or topology, or periodic along other axes.
    """
    if source.periodic != target.periodic:
        raise DataError(
            f"the crystal is periodic along {_axes(target)}, the source along {_axes(source)}",
            fix="use a source of the same structure.periodic",
        )
    if source.space_group != target.space_group or source.n_sites != target.n_sites:
        raise DataError(
            f"the crystal has space group {target.space_group} and {target.n_sites} sites, the source "
            f"{source.space_group} and {source.n_sites}",
            fix="use a source of the same structure type",
        )
    best: tuple[tuple[float, ...], CrystalMap] | None = None
    for strain, vectors, rotation in _lattice_maps(source, target, limits.largest_strain_of_source):
        for chemistry, shift, sites, shifts in _site_maps(
            source, target, vectors, limits.largest_shift_of_bond
        ):
            turn = float(np.linalg.norm(rotation - np.eye(3)))
            cost = (chemistry, round(strain, 3), round(shift, 3), round(turn, 3))
            if best is None or cost < best[0]:
                best = (cost, CrystalMap(source, vectors, rotation, sites, shifts))
    if best is None:
        raise DataError(
            "the atoms of the source do not correspond to those of the crystal",
            fix="use a source of the same structure type",
        )
    return best[1]


def _lattice_maps(
    source: Crystal, target: Crystal, largest_strain: float
) -> Iterator[tuple[float, NDArray[np.int64], NDArray[np.float64]]]:
    """Correspondences of lattice vectors with a small strain: strain, vectors, rotation."""
    rows = np.array(list(product((-1, 0, 1), repeat=9)), np.int64).reshape(-1, 3, 3)
    unimodular = rows[(np.rint(np.linalg.det(rows)) == 1) & leave_vacuum_alone(rows, source.periodic)]
    deformation = np.linalg.inv(unimodular @ _compact_lattice(source)) @ _compact_lattice(target)
    deformation /= np.abs(np.linalg.det(deformation))[:, None, None] ** (1 / 3)
    left, stretch, right = np.linalg.svd(deformation)
    strain = np.abs(np.log(stretch)).max(axis=1)
    for k in np.flatnonzero(strain < largest_strain):
        yield float(strain[k]), unimodular[k], left[k] @ right[k]


def _compact_lattice(crystal: Crystal) -> NDArray[np.float64]:
    """Lattice whose vectors across a vacuum are as long as the first periodic one, rows, Å."""
    lattice, inside = np.array(crystal.lattice), np.array(crystal.periodic)
    lengths = np.linalg.norm(lattice, axis=1)
    lattice[~inside] *= (lengths[inside][0] / lengths[~inside])[:, None]
    return lattice


def _axes(crystal: Crystal) -> str:
    return ", ".join(str(axis + 1) for axis in np.flatnonzero(crystal.periodic))


def _site_maps(
    source: Crystal, target: Crystal, vectors: NDArray[np.int64], largest_shift_of_bond: float
) -> Iterator[tuple[float, float, NDArray[np.int64], NDArray[np.int64]]]:
    """Correspondences of sites: chemical difference, shift of sites (share of a bond), sites, shifts."""
    lattice = _compact_lattice(target)
    ours = target.positions @ np.linalg.inv(lattice)
    theirs = source.positions @ np.linalg.inv(vectors @ _compact_lattice(source))
    limit = largest_shift_of_bond * target.nearest_neighbor_distance
    for first in range(source.n_sites):
        difference = theirs[None] - ours[:, None] - (theirs[first] - ours[0])
        whole = np.rint(difference) * np.array(target.periodic)
        distance = np.linalg.norm((difference - whole) @ lattice, axis=-1)
        _, sites = linear_sum_assignment(distance)
        shift = float(distance[np.arange(len(sites)), sites].max())
        pairs = set(zip(target.numbers.tolist(), source.numbers[sites].tolist(), strict=True))
        one_to_one = len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})
        if shift > limit or not one_to_one or not _same_order(source, target, sites):
            continue
        offset = np.rint(whole[np.arange(len(sites)), sites]).astype(np.int64)
        yield _chemical_difference(pairs), shift / limit, sites, -offset @ vectors


def _same_order(source: Crystal, target: Crystal, sites: NDArray[np.int64]) -> bool:
    """Whether moments of any size correspond, if both crystals have them; one without may stand for any."""
    ours, theirs = target.magnetic_moments, source.magnetic_moments
    if ours is None or theirs is None:
        return True
    scaled = theirs[sites] * (np.abs(ours).max() / np.abs(theirs).max())
    return another_order(target.numbers, ours, scaled) is None


def _chemical_difference(pairs: set[tuple[int, int]]) -> float:
    """Zero for equal elements, small for the same column of the periodic table."""
    return float(sum(0.0 if a == b else 0.1 + abs(_column(a) - _column(b)) for a, b in pairs))


def _column(number: int) -> int:
    """Electrons beyond the last noble gas, or minus those missing to the next."""
    place = int(np.searchsorted(_NOBLE_GASES, number))
    beyond = number - int(_NOBLE_GASES[place - 1])
    return beyond if beyond <= 2 else number - int(_NOBLE_GASES[place])
