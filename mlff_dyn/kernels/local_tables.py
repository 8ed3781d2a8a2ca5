"""Vocabulary of the local part of the energy: functions of the distances and angles around each atom.

Atoms of one kind share their functions. With the distance r, the direction d and the kind of each neighbor j
of an atom i,

    A_clm(i) = sum_(j of the kind of c) g_n(r_ij) Y_lm(d_ij),     c = (kind, n)

    E = sum_i [ sum_c p_c A_c00(i) + sum_l sum_cc' t_lcc' sum_m A_clm(i) A_c'lm(i)
                + sum_(a = cl, b = c'l', d = c''l'') q_abd sum_mm'm'' w_mm'm'' A_am(i) A_bm'(i) A_dm''(i) ]

    g_n(r) = (1 - r^2 / r_c^2)^3 sum_k G_nk T_k(2 r / r_c - 1)  for r < r_c,  else 0

with real spherical harmonics whose squares add up to 1 for each l, so that the sum over m is that over pairs
of neighbors of g_n(r_ij) g_n'(r_ij') P_l(cos), and Chebyshev polynomials T_k. The coefficients w of three
neighbors are those of `mlff_dyn.kernels.reference.couplings.coupling`.

| symbol | variable |
|---|---|
| r_c | LocalTables.cutoff |
| G | LocalTables.radial |
| p, t | LocalTables.coefficients |
| q | LocalTables.quadruples |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError, check_shape
from mlff_dyn.kernels.degrees import is_coupled
from mlff_dyn.kernels.placement import check_range, check_slot_atoms
from mlff_dyn.kernels.slot_atoms import as_slot_atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.slot_atoms import SlotAtoms

CUTOFF_POWER = 3
"""Power of 1 - r^2 / r_c^2: functions have two continuous derivatives at the cutoff."""
LARGEST_L = 6
"""Largest l that the compiled kernels know."""
_LARGEST_OFFSET = 1 << 20


@dataclass(frozen=True, eq=False)
class LocalTables:
    """Functions of a crystal and the neighbors that each site may have.

    Attributes
    ----------
    kinds : ndarray, shape (n_sites,), int32
        Kind of each site, numbered from 0.
    starts : ndarray, shape (n_sites + 1,), int32
        Neighbors of site s are starts[s] to starts[s + 1].
    slots : ndarray, shape (n_neighbors, 4), int32
        (site, offset) of each neighbor, as seen from a site of the home cell; sorted by kind within a site.
        Each of two neighbors has the other in its list.
    vectors : ndarray, shape (n_neighbors, 3), Å
        From the site to the neighbor in the crystal at rest.
    cutoff : float
        Å.
    radial : ndarray, shape (n_radial, n_polynomials)
        Chebyshev coefficients of the radial functions.
    l_max : int
    pair_functions : ndarray, shape (n_kinds, n_channels), int32
        Function that each A_c00 of a kind of central atom belongs to, -1 for none; channel = kind * n_radial
        + n.
    triple_functions : ndarray, shape (n_kinds, l_max + 1, n_channels, n_channels), int32
        The same for products of two channels, symmetric.
    quadruples : ndarray, shape (n_quadruples, 8), int32
        Products of three factors: kind of the central atom, three channels, their three l, function.
    n_functions : int
    """

    kinds: NDArray[np.int32]
    starts: NDArray[np.int32]
    slots: NDArray[np.int32]
    vectors: NDArray[np.float64]
    cutoff: float
    radial: NDArray[np.float64]
    l_max: int
    pair_functions: NDArray[np.int32]
    triple_functions: NDArray[np.int32]
    quadruples: NDArray[np.int32]
    n_functions: int

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit: kernels read and write where they point."""
        if not (is_whole(self.l_max) and 0 <= self.l_max <= LARGEST_L):
            raise DataError(
                f"l_max {self.l_max} is not from 0 to {LARGEST_L}", fix=f"use l_max up to {LARGEST_L}"
            )
        if not (is_whole(self.n_functions) and self.n_functions >= 0):
            raise DataError(f"{self.n_functions} functions is no number of them", fix="count the functions")
        if not 0.0 < self.cutoff < np.inf:
            raise DataError(f"a cutoff of {self.cutoff} Å", fix="give a length above zero")
        check_shape("kinds", self.kinds, (None,))
        check_shape("radial", self.radial, (None, None))
        if not (self.radial.size and np.isfinite(self.radial).all()):
            raise DataError(
                "radial holds no functions, or something else than finite numbers", fix="give finite numbers"
            )
        check_shape("pair_functions", self.pair_functions, (None, self.n_channels))
        check_shape("triple_functions", self.triple_functions, self._shape_of_triples)
        check_indices("kinds", self.kinds, 0, self.n_kinds)
        for name in ("pair_functions", "triple_functions"):
            check_indices(name, getattr(self, name), -1, self.n_functions)
        if (self.triple_functions != self.triple_functions.swapaxes(2, 3)).any():
            raise DataError("triple_functions are not symmetric", fix="number each product once")
        self._check_quadruples()
        self._check_neighbors()

    @property
    def _shape_of_triples(self) -> tuple[int, int, int, int]:
        return self.n_kinds, self.l_max + 1, self.n_channels, self.n_channels

    def _check_quadruples(self) -> None:
        """Refuse products of three factors that there are not."""
        check_shape("quadruples", self.quadruples, (None, 8))
        ends = (self.n_kinds, *(self.n_channels,) * 3, *(self.l_max + 1,) * 3, self.n_functions)
        for column, end in zip(self.quadruples.T, ends, strict=True):
            check_indices("quadruples", column, 0, end)
        if not is_coupled(*self.quadruples[:, 4:7].T).all():
            raise DataError(
                "quadruples have degrees that no invariant has",
                fix="let each l be at most the sum of the others",
            )

    def _check_neighbors(self) -> None:
        """Refuse lists of neighbors that kernels cannot walk through."""
        check_shape("slots", self.slots, (None, 4))
        check_shape("vectors", self.vectors, (len(self.slots), 3))
        check_shape("starts", self.starts, (self.n_sites + 1,))
        check_indices("starts", self.starts, 0, len(self.slots) + 1)
        ends = self.starts[0] == 0 and self.starts[-1] == len(self.slots)
        if not (ends and (np.diff(self.starts) >= 0).all()):
            raise DataError(
                f"starts do not partition the {len(self.slots)} neighbors",
                fix="let starts ascend from 0 to the number of neighbors",
            )
        check_indices("sites of slots", self.slots[:, 0], 0, self.n_sites)
        check_indices("offsets of slots", self.slots[:, 1:], -_LARGEST_OFFSET, _LARGEST_OFFSET)
        if not np.isfinite(self.vectors).all():
            raise DataError("vectors hold something else than finite numbers", fix="give finite numbers")
        kinds, centers = self.kinds[self.slots[:, 0]], self.centers
        if ((np.diff(kinds) < 0) & (np.diff(centers) == 0)).any():
            raise DataError("neighbors of a site are not sorted by kind", fix="sort them by kind")
        own = np.column_stack([centers, self.slots])
        of_others = np.column_stack([self.slots[:, 0], centers, -self.slots[:, 1:]])
        if not np.array_equal(np.unique(own, axis=0), np.unique(of_others, axis=0)):
            raise DataError(
                "a site is a neighbor of another one, but not the other way around",
                fix="list each of two neighbors for the other",
            )

    @property
    def n_sites(self) -> int:
        """Sites of a primitive cell."""
        return len(self.kinds)

    @property
    def n_kinds(self) -> int:
        """Kinds of atoms."""
        return len(self.pair_functions)

    @property
    def n_radial(self) -> int:
        """Radial functions."""
        return len(self.radial)

    @property
    def n_channels(self) -> int:
        """Channels (kind of neighbor, radial function)."""
        return self.n_kinds * self.n_radial

    @property
    def centers(self) -> NDArray[np.int64]:
        """Site whose neighbor each one is, shape (n_neighbors,)."""
        return np.repeat(np.arange(self.n_sites), np.diff(self.starts))

    @property
    def atoms_of_one_cell(self) -> NDArray[np.int32]:
        """Atom of each neighbor in the torus of one cell, shape (n_neighbors, 1): its site."""
        return np.ascontiguousarray(self.slots[:, :1])

    def coefficients(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coefficients p of A_c00 and t of the products of two channels, from one value for each function.

        Parameters
        ----------
        values : ndarray, shape (n_functions,)
            eV.

        Returns
        -------
        pair : ndarray, shape (n_kinds, n_channels)
        triple : ndarray, shape (n_kinds, l_max + 1, n_channels, n_channels)
            Symmetric; a product of two different channels is shared by its two places.
        """
        check_shape("values", values, (self.n_functions,))
        padded = np.append(values, 0.0)
        triple = padded[self.triple_functions]
        off_diagonal = 0.5 + 0.5 * np.eye(self.n_channels)
        return padded[self.pair_functions], triple * off_diagonal


class _OnTorus:
    """Tables for the cells of a strained torus."""

    tables: LocalTables
    neighbor_atoms: SlotAtoms | NDArray[np.int32]
    strain: NDArray[np.float64]

    @property
    def n_atoms(self) -> int:
        """Atoms of the torus."""
        return self.tables.n_sites * self.slot_atoms.n_cells

    @cached_property
    def slot_atoms(self) -> SlotAtoms:
        """Atom that each neighbor of the tables means for each home cell."""
        return as_slot_atoms(self.neighbor_atoms)

    def check_neighbors(self) -> None:
        """Refuse neighbors that the tables or the torus do not have."""
        tables = self.tables
        check_slot_atoms("neighbor_atoms", self.neighbor_atoms, len(tables.slots), tables.n_sites)

    @property
    def vectors(self) -> NDArray[np.float64]:
        """From each site to its neighbors in the strained crystal, shape (n_neighbors, 3), Å."""
        return self.tables.vectors @ (np.eye(3) + self.strain)

    def check_displacements(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacements as a contiguous array of shape (n_atoms, 3), or a message that says what is wrong."""
        check_shape("displacements", displacements, (self.n_atoms, 3))
        return np.ascontiguousarray(displacements, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LocalTerms(_OnTorus):
    """The local part of the energy of a torus at given values, as force kernels take it.

    Attributes
    ----------
    tables : LocalTables
    values : ndarray, shape (n_functions,), eV
    neighbor_atoms : SlotAtoms, or ndarray, shape (n_neighbors, n_cells), int32
        Atom that each neighbor of the tables means for each home cell.
    strain : ndarray, shape (3, 3)
        Neighbors are at (1 + strain) times their vectors, plus displacements.
    energy_at_rest : float
        eV of the whole torus, which is taken off.
    """

    tables: LocalTables
    values: NDArray[np.float64]
    neighbor_atoms: SlotAtoms | NDArray[np.int32]
    strain: NDArray[np.float64]
    energy_at_rest: float = 0.0

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit."""
        check_shape("values", self.values, (self.tables.n_functions,))
        self.check_neighbors()
        check_shape("strain", self.strain, (3, 3))


@dataclass(frozen=True, eq=False)
class LocalPlace(_OnTorus):
    """Functions of the local part on a torus, strained or not.

    Attributes
    ----------
    tables : LocalTables
    neighbor_atoms : SlotAtoms, or ndarray, shape (n_neighbors, n_cells), int32
        Atom that each neighbor of the tables means for each home cell.
    strain : ndarray, shape (3, 3)
        Neighbors are at (1 + strain) times their vectors, plus displacements.
    """

    tables: LocalTables
    neighbor_atoms: SlotAtoms | NDArray[np.int32]
    strain: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit."""
        self.check_neighbors()
        check_shape("strain", self.strain, (3, 3))

    def check_atoms(self, atoms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Refuse atoms that the torus does not have."""
        check_shape("atoms", atoms, (None,))
        check_range("atoms", atoms, self.n_atoms)
        return atoms


@dataclass(frozen=True, eq=False)
class LocalRows:
    """Linear functions of the values of the local part.

    Attributes
    ----------
    forces : ndarray, shape (3 * n_atoms, n_functions)     1/Å
        Row 3 * atom + axis: force = row @ values.
    energy : ndarray, shape (n_functions,)                 of the whole torus, not measured from rest
    virial : ndarray, shape (3, 3, n_functions)
        Derivative of the energy by the strain at constant displacements, symmetric.
    """

    forces: NDArray[np.float64]
    energy: NDArray[np.float64]
    virial: NDArray[np.float64]


def check_local(terms: LocalTerms, n_atoms: int) -> LocalTerms:
    """Refuse terms of another torus.

    Raises
    ------
    DataError
        If the numbers of atoms differ.
    """
    if terms.n_atoms != n_atoms:
        raise DataError(
            f"the local part has {terms.n_atoms} atoms, the torus {n_atoms}", fix="use the same supercell"
        )
    return terms


def is_whole(value: object) -> bool:
    """Whether a value is an integer."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_indices(name: str, values: NDArray[np.int32] | NDArray[np.int64], first: int, end: int) -> None:
    """Refuse anything else than integers from first to end - 1.

    Raises
    ------
    DataError
    """
    if values.dtype.kind not in "iu" or (values.size and not (values.min() >= first and values.max() < end)):
        raise DataError(
            f"{name} has something else than integers from {first} to {end - 1}",
            fix="number sites, kinds and functions from 0",
        )
