"""Tables of the compiled harmonic kernel: mixed-radix Fourier transform of a torus, product, transform back.

The real displacements of sites 0, 2, 4, ... are the real parts and those of sites 1, 3, 5, ... the imaginary
parts of complex numbers z, so that one complex transform does the work of two real ones. Each atom takes four
numbers x, y, z, 0. From z at q and -q follow the displacements of all sites at q; -q need not be multiplied.

A direction of extent d is transformed in one stage for each factor p of d (Stockham's self-sorting scheme):
with n the extent that is left, m = n / p and s the product of the factors done,

    y[s (p a + k) + b] = exp(-2πi a k / n) sum_j exp(-2πi j k / p) x[s (a + m j) + b],   a < m, b < s

References
----------
Van Loan, Computational Frameworks for the Fast Fourier Transform, SIAM (1992), section 1.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.kernels.harmonic import opposite_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables
    from mlff_dyn.kernels.harmonic import HarmonicTorus

_STRIDE = 4
LOOK_UP, _PACKING, _STAGE, _RADIX, _PRODUCT = 12.0, 12.0, 6.0, 3.3, 2.0
"""Costs per cell, in units of a multiplication of the sum over pairs; measured on an x86-64 processor."""


class TransformPlan(NamedTuple):
    """What the compiled kernel is given; see cpp/harmonic_tables.hpp.

    Attributes
    ----------
    n_packed : int                                  complex numbers of a cell
    stages : ndarray, shape (n_stages, 6), int32
        Radix p, n_outer, m, s times the numbers behind one index, first twiddle, first root.
    twiddles : ndarray, shape (n_twiddles, 2)       real and imaginary parts
    pairs : ndarray, shape (n_pairs, 2), int32      q and -q
    table : ndarray, shape (n_pairs, 3 * n_sites, 2, 2 * n_packed)
        -Phi(q) / (2 n_cells) by columns; rows of even sites, then of odd sites.
    """

    n_packed: int
    stages: NDArray[np.int32]
    twiddles: NDArray[np.float64]
    pairs: NDArray[np.int32]
    table: NDArray[np.float64]


def build_transform_plan(harmonic: HarmonicTorus) -> TransformPlan:
    """Lay out the transform and the spectrum of force constants."""
    n_packed = packed_size(harmonic.n_sites)
    stages, twiddles = _stages(harmonic.grid, n_packed)
    pairs = opposite_pairs(harmonic.grid)
    return TransformPlan(n_packed, stages, twiddles, pairs, _table(harmonic, n_packed, pairs[:, 0]))


def transforms_pairs(
    tables: GatherTables,
    home_atoms: NDArray[np.int32],
    grid: tuple[int, int, int] | None,
    harmonic: HarmonicTorus | None,
) -> bool:
    """Whether order 2 costs less by transform than as a sum over pairs of atoms.

    Counted in vector operations, so that the same torus is always treated alike. Where a transform is made in
    any case, order 2 comes along for nothing.

    Parameters
    ----------
    tables : GatherTables
    home_atoms : ndarray, shape (n_slots,), int32
    grid : tuple of 3 int or None
        Extents of the torus; None where they are not known.
    harmonic : HarmonicTorus or None
        Further interactions.
    """
    if grid is None:
        return False
    orders = tables.polynomial.parameter_orders[tables.entry_parameters]
    variables = tables.node_variables[tables.entry_nodes[orders == 2]]
    if harmonic is not None or not len(variables):
        return harmonic is not None and len(variables) > 0
    n_sites = tables.polynomial.n_sites
    n_columns = len(np.unique(home_atoms[variables // 3]))
    pairs = n_columns * (LOOK_UP + 9 * n_sites)
    stages = sum(_STAGE + _RADIX * radix for extent in grid for radix in radices(extent))
    packed = packed_size(n_sites)
    return packed * (_PACKING + stages) + _PRODUCT * 6 * n_sites * packed < pairs


def packed_size(n_sites: int) -> int:
    """Complex numbers of a cell."""
    return _STRIDE * -(-n_sites // 2)


def radices(extent: int) -> list[int]:
    """Factors of an extent: fours, twos, then odd primes."""
    factors = []
    candidate = 4
    while extent > 1:
        while extent % candidate == 0:
            factors.append(candidate)
            extent //= candidate
        candidate = {4: 2, 2: 3}.get(candidate, candidate + 2)
        if candidate > 3 and candidate * candidate > extent > 1:
            candidate = extent
    return factors


def _stages(grid: tuple[int, int, int], n_packed: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    stages, numbers, count = [], [], 0
    for axis, extent in enumerate(grid):
        n_outer = int(np.prod(grid[:axis], dtype=np.int64))
        inner = int(np.prod(grid[axis + 1 :], dtype=np.int64)) * n_packed
        left = extent
        for radix in radices(extent):
            m = left // radix
            turns = np.outer(np.arange(m), np.arange(radix)).reshape(-1) % left / left
            roots = np.arange(radix) / radix
            stages.append((radix, n_outer, m, inner, count, count + len(turns)))
            numbers += [_exponentials(turns), _exponentials(roots)]
            count += len(turns) + radix
            left, inner = m, inner * radix
    twiddles = np.concatenate(numbers) if numbers else np.empty((0, 2))
    return np.array(stages, np.int32).reshape(-1, 6), np.ascontiguousarray(twiddles)


def _exponentials(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Real and imaginary parts of exp(-2πi turns)."""
    angles = 2.0 * np.pi * turns
    return np.stack([np.cos(angles), -np.sin(angles)], axis=1)


def _table(harmonic: HarmonicTorus, n_packed: int, chosen: NDArray[np.int32]) -> NDArray[np.float64]:
    n_components, n_cells = 3 * harmonic.n_sites, harmonic.blocks.shape[2]
    site, axis = np.divmod(np.arange(n_components), 3)
    places = (site % 2) * n_packed + _STRIDE * (site // 2) + axis
    table = np.zeros((len(chosen), n_components, 2, 2 * n_packed))
    for rows, part in harmonic.spectrum_parts():
        spectrum = part.reshape(-1, n_components, n_cells)[:, :, chosen].transpose(2, 1, 0)
        table[:, :, 0, places[rows]] = spectrum.real
        table[:, :, 1, places[rows]] = spectrum.imag
    table *= -0.5 / n_cells
    return table
