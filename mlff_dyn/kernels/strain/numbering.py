"""Monomials as rows of integers that lattice translations shift alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms

_BASE = 1 << 11
_HALF = _BASE >> 1


class Removed(NamedTuple):
    """What is left of monomials without one variable.

    Attributes
    ----------
    rows : ndarray, shape (n_rows, order - 1)
    sources : ndarray, shape (n_rows,)          the monomial
    factors : ndarray, shape (n_rows,)          how often it held the variable
    axes : ndarray, shape (n_rows,)             of the variable
    arms : ndarray, shape (n_rows, 3), Å
        Position of its atom from the mean position of those that are left.
    """

    rows: NDArray[np.int64]
    sources: NDArray[np.int64]
    factors: NDArray[np.float64]
    axes: NDArray[np.int64]
    arms: NDArray[np.float64]


class Numbering:
    """Variables as integers 3 * (pack(offset) * n_sites + site) + axis, with pack linear in the offset."""

    def __init__(
        self, n_sites: int, lattice: NDArray[np.float64], site_positions: NDArray[np.float64]
    ) -> None:
        self._n_sites = n_sites
        self._lattice = lattice
        self._site_positions = site_positions

    def canonical(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ascending variables, translated so that the first is in the home cell."""
        ordered = np.sort(rows, axis=1)
        per_cell = 3 * self._n_sites
        return np.asarray(ordered - ordered[:, :1] // per_cell * per_cell)

    def decode(self, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sites and offsets of variables // 3."""
        packed, sites = np.divmod(codes, self._n_sites)
        offsets = []
        for _ in range(3):
            digit = (packed + _HALF) % _BASE - _HALF
            packed = (packed - digit) // _BASE
            offsets.append(digit)
        return sites, np.stack(offsets[::-1], axis=-1)

    def positions(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cartesian positions, Å."""
        sites, offsets = self.decode(codes)
        return np.asarray(self._site_positions[sites] + offsets @ self._lattice)

    def remove_each(self, rows: NDArray[np.int64]) -> list[Removed]:
        """Take out each variable in turn; a repeated one once, its multiplicity being the factor."""
        positions = self.positions(rows // 3)
        pieces = []
        for place in range(rows.shape[1]):
            is_first = np.ones(len(rows), dtype=bool) if place == 0 else rows[:, place] != rows[:, place - 1]
            sources = np.flatnonzero(is_first)
            variables = rows[sources, place]
            rest = np.delete(rows[sources], place, axis=1)
            origins = np.delete(positions[sources], place, axis=1).mean(axis=1)
            pieces.append(
                Removed(
                    rows=self.canonical(rest),
                    sources=sources,
                    factors=(rows[sources] == variables[:, None]).sum(axis=1).astype(np.float64),
                    axes=variables % 3,
                    arms=positions[sources, place] - origins,
                )
            )
        return pieces


def monomial_keys(polynomial: CellPolynomial, terms: OrderTerms) -> NDArray[np.int64]:
    """Monomials as the numbers of `Numbering`."""
    offsets = polynomial.slots[:, 1:].astype(np.int64)
    packed = (offsets[:, 0] * _BASE + offsets[:, 1]) * _BASE + offsets[:, 2]
    codes = packed * polynomial.n_sites + polynomial.slots[:, 0]
    return np.asarray(3 * codes[terms.monomials // 3] + terms.monomials % 3)
