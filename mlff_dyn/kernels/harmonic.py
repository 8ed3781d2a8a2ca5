"""Harmonic interactions on a torus by Fourier transform, in numpy.

Force constants that do not change from cell to cell are diagonal in the wave vectors q of the torus:

    f(q) = -Phi(q) u(q),   u(q) = sum_c u_c exp(-2πi q.c),   Phi(q) = sum_c Phi_c exp(2πi q.c)

with Phi_c the derivative of the gradient of cell 0 with respect to displacements of cell c. Cells and wave
vectors both run over the grid Z_d1 x Z_d2 x Z_d3, the last direction fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables

_AXES = (-3, -2, -1)

_MOST_NUMBERS = 1 << 19
"""Complex numbers of a spectrum beyond which it is worked out in parts, and not kept."""


@dataclass(frozen=True, eq=False)
class HarmonicTorus:
    """Force constants of order 2 between all atoms of a torus, numbered site * n_cells + cell.

    Attributes
    ----------
    grid : tuple of 3 int
        Extents d1, d2, d3 of the torus.
    blocks : ndarray, shape (3 * n_sites, 3 * n_sites, n_cells)
        Gradient (3 * site + axis) of cell 0 per displacement (3 * site + axis) of each cell, eV/Å²; symmetric
        as second derivatives are.

    Raises
    ------
    DataError
        If the shape does not fit.
    """

    grid: tuple[int, int, int]
    blocks: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the shape."""
        check_shape("blocks", self.blocks, (len(self.blocks), len(self.blocks), int(np.prod(self.grid))))

    @property
    def n_sites(self) -> int:
        """Atoms of a cell."""
        return len(self.blocks) // 3

    @cached_property
    def spectrum(self) -> NDArray[np.complex128]:
        """Phi(q), shape (3 * n_sites, 3 * n_sites, d1, d2, d3), eV/Å²."""
        return self.spectrum_of(slice(None))

    def spectrum_of(self, rows: slice) -> NDArray[np.complex128]:
        """Some rows of Phi(q), worked out anew."""
        on_grid = self.blocks[rows].reshape(-1, self.blocks.shape[1], *self.grid)
        return np.asarray(np.fft.ifftn(on_grid, axes=_AXES) * np.prod(self.grid))

    def spectrum_parts(self) -> Iterator[tuple[slice, NDArray[np.complex128]]]:
        """Phi(q) in parts of few rows, or the whole of a small one; the rows and their values."""
        for rows in row_slices(*self.blocks.shape):
            yield rows, self.spectrum if rows == slice(0, len(self.blocks)) else self.spectrum_of(rows)

    def plus(self, other: HarmonicTorus | None) -> HarmonicTorus:
        """Both interactions together; with None, this one."""
        return self if other is None else HarmonicTorus(self.grid, self.blocks + other.blocks)

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Energy (eV, zero at rest) and forces (eV/Å) at displacements (Å), both of shape (n_atoms, 3)."""
        n_cells = self.blocks.shape[2]
        check_shape("displacements", displacements, (self.n_sites * n_cells, 3))
        by_component = displacements.reshape(self.n_sites, n_cells, 3).swapaxes(1, 2)
        waves = np.fft.fftn(by_component.reshape(-1, *self.grid), axes=_AXES)
        products = np.empty(waves.shape, np.complex128)
        for rows, spectrum in self.spectrum_parts():
            products[rows] = -np.einsum("abxyz,bxyz->axyz", spectrum, waves)
        forces = np.fft.ifftn(products, axes=_AXES).real
        forces = forces.reshape(self.n_sites, 3, n_cells).swapaxes(1, 2).reshape(-1, 3)
        return -0.5 * float((displacements * forces).sum()), forces


def row_slices(n_rows: int, n_columns: int, n_cells: int) -> list[slice]:
    """Rows of a spectrum in parts that are small, all together where they are few."""
    step = min(n_rows, max(1, _MOST_NUMBERS // max(1, n_columns * n_cells)))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)] if n_rows else []


def opposite_pairs(grid: tuple[int, int, int]) -> NDArray[np.int32]:
    """Indices of the wave vectors q and -q of a torus, each pair once; shape (n_pairs, 2)."""
    numbers = np.arange(int(np.prod(grid))).reshape(grid)
    opposite = np.roll(numbers[::-1, ::-1, ::-1], 1, axis=(0, 1, 2)).reshape(-1)
    first = np.flatnonzero(numbers.reshape(-1) <= opposite)
    return np.stack([first, opposite[first]], axis=1).astype(np.int32)


def check_harmonic(harmonic: HarmonicTorus, n_atoms: int) -> int:
    """Cells of the torus, or a message that says what is wrong.

    Parameters
    ----------
    harmonic : HarmonicTorus
    n_atoms : int
        Atoms of the torus.

    Returns
    -------
    int

    Raises
    ------
    DataError
        If it is of another torus.
    """
    n_cells = n_atoms // harmonic.n_sites
    check_shape("blocks", harmonic.blocks, (3 * harmonic.n_sites, 3 * harmonic.n_sites, n_cells))
    return n_cells


def second_order(
    tables: GatherTables,
    parameters: NDArray[np.float64],
    home_atoms: NDArray[np.int32],
    grid: tuple[int, int, int],
) -> HarmonicTorus:
    """Order 2 of a polynomial on a torus.

    Parameters
    ----------
    tables : GatherTables
    parameters : ndarray, shape (n_parameters,)
    home_atoms : ndarray, shape (n_slots,), int32
        Atom that each slot of the tables means for cell 0.
    grid : tuple of 3 int
        Extents of the torus.
    """
    n_components, n_cells = 3 * tables.polynomial.n_sites, int(np.prod(grid, dtype=np.int64))
    chosen = tables.polynomial.parameter_orders[tables.entry_parameters] == 2
    slots, axes = np.divmod(tables.node_variables[tables.entry_nodes[chosen]], 3)
    sites, cells = np.divmod(home_atoms[slots], n_cells)
    weights = tables.entry_factors[chosen] * parameters[tables.entry_parameters[chosen]]
    blocks = np.zeros((n_components, n_components, n_cells))
    np.add.at(blocks, (tables.entry_targets[chosen], 3 * sites + axes, cells), weights)
    return HarmonicTorus(grid, blocks)
