"""Random cell polynomials, a small torus and a direct energy, independent of the package's tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Torus:
    """Cells of a sheared supercell: its third lattice vector carries a shift along the first."""

    def __init__(self, shape: tuple[int, int, int], shear: int = 1) -> None:
        self.shape = np.array(shape)
        self.shear = shear
        self.n_cells = int(self.shape.prod())
        self._cells = np.array(list(np.ndindex(*shape)))

    def cell_index(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of the cell that these lattice coordinates mean; shape (..., 3) to (...)."""
        turns, last = np.divmod(cells[..., 2], self.shape[2])
        first = (cells[..., 0] - self.shear * turns) % self.shape[0]
        return (first * self.shape[1] + cells[..., 1] % self.shape[1]) * self.shape[2] + last

    def atom_indices(self, slots: NDArray[np.int32]) -> NDArray[np.int32]:
        """Atom of each slot for each home cell, in torus order."""
        cells = self.cell_index(slots[:, None, 1:] + self._cells[None])
        return (slots[:, :1] * self.n_cells + cells).astype(np.int32)

    def energy(
        self, polynomial: CellPolynomial, parameters: NDArray[np.float64], displacements: NDArray[np.float64]
    ) -> float:
        """Sum of coefficient * product of displacements over cells and monomials."""
        variables = (
            displacements[self.atom_indices(polynomial.slots)].transpose(0, 2, 1).reshape(-1, self.n_cells)
        )
        energy = 0.0
        first = 0
        for terms in polynomial.orders:
            own = parameters[first : first + terms.n_parameters]
            first += terms.n_parameters
            energy += float(terms.coefficients(own) @ variables[terms.monomials].prod(axis=1).sum(axis=1))
        return energy


def random_polynomial(
    rng: np.random.Generator,
    orders: tuple[int, ...],
    *,
    n_sites: int = 3,
    n_slots: int = 7,
    n_monomials: int = 60,
    n_parameters: int = 5,
) -> CellPolynomial:
    """Random slots, monomials with frequent repetitions, and a random sparse parameter matrix."""
    offsets = rng.integers(-1, 2, size=(4 * n_slots, 3))
    slots = np.column_stack([rng.integers(n_sites, size=4 * n_slots), offsets])
    slots = np.unique(slots, axis=0)
    slots = rng.permutation(slots)[:n_slots].astype(np.int32)
    terms = []
    for order in orders:
        members = rng.integers(len(slots), size=(n_monomials, order))
        repeated = rng.random(size=(n_monomials, order)) < 0.3
        members[:, 1:] = np.where(repeated[:, 1:], members[:, :-1], members[:, 1:])
        monomials = np.unique(np.sort(3 * members + rng.integers(3, size=members.shape), axis=1), axis=0)
        counts = rng.integers(0, 4, size=len(monomials))
        terms.append(
            OrderTerms(
                order=order,
                monomials=monomials,
                indptr=np.concatenate([[0], np.cumsum(counts)]),
                indices=rng.integers(n_parameters, size=counts.sum()),
                data=rng.normal(size=counts.sum()),
                n_parameters=n_parameters,
            )
        )
    return CellPolynomial(n_sites=n_sites, slots=slots, orders=tuple(terms))


def spring_crystal() -> CellPolynomial:
    """Two atoms a cell, all six neighboring cells joined by springs k/2 |u_i - u_j|^2 + b/4 sum_a (du_a)^4.

    Parameter 0 is the stiffness k, parameter 1 the quartic b; translation invariant and bounded below.
    """
    offsets = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    slots = np.array([(site, *offset) for site in range(2) for offset in offsets], dtype=np.int32)
    bonds = [(0, 4)] + [(4, place) for place in (1, 2, 3)] + [(0, place) for place in (1, 2, 3)]
    return CellPolynomial(
        n_sites=2, slots=slots, orders=tuple(bond_power(bonds, order, 1.0 / order) for order in (2, 4))
    )


def bond_power(bonds: list[tuple[int, int]], order: int, factor: float) -> OrderTerms:
    """Sum over bonds and axes of factor * (u_i - u_j)^order; one parameter, powers of one atom at home."""
    coefficients: dict[tuple[int, ...], float] = {}
    for first, second in bonds:
        for axis in range(3):
            for power in range(order + 1):
                ends = [first] * (order - power) + [second] * power
                slots = ends if len(set(ends)) == 2 else [end // 4 * 4 for end in ends]
                row = tuple(sorted(3 * slot + axis for slot in slots))
                value = factor * math.comb(order, power) * (-1.0) ** power
                coefficients[row] = coefficients.get(row, 0.0) + value
    rows = sorted(coefficients)
    return OrderTerms(
        order=order,
        monomials=np.array(rows),
        indptr=np.arange(len(rows) + 1),
        indices=np.zeros(len(rows)),
        data=np.array([coefficients[row] for row in rows]),
        n_parameters=1,
    )
