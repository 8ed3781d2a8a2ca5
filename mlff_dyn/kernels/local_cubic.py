"""Products of three sums A of an atom, as one sparse polynomial for each kind of central atom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlff_dyn.kernels.reference.couplings import coupling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_tables import LocalTables


@dataclass(frozen=True, eq=False)
class CubicTerms:
    """Monomials A_a A_b A_c of the sums of one atom, each once.

    Attributes
    ----------
    places : ndarray, shape (n_terms, 3), int32
        a <= b <= c, each channel * n_lm + l^2 + l + m; in ascending order.
    coefficients : ndarray, shape (n_terms,)
    """

    places: NDArray[np.int32]
    coefficients: NDArray[np.float64]

    def second_derivatives(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Second derivatives by the sums, shape (n_sums, n_sums)."""
        result = np.zeros((len(sums), len(sums)))
        for a, b, c in permutations(self.places.T):
            np.add.at(result, (a, b), self.coefficients * sums[c])
        return result

    def third_derivatives(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places of the n sums in the products, and third derivatives by these, shape (n, n, n)."""
        used, numbers = np.unique(self.places, return_inverse=True)
        result = np.zeros((len(used),) * 3)
        for axes in permutations(numbers.reshape(-1, 3).T):
            np.add.at(result, axes, self.coefficients)
        return used.astype(np.int64), result


def cubic_terms(tables: LocalTables, values: NDArray[np.float64]) -> list[CubicTerms]:
    """Products of three sums for each kind of central atom, from one value (eV) for each function."""
    return [CubicTerms(places, of_functions @ values) for places, of_functions in _patterns(tables)]


@lru_cache(maxsize=8)
def _patterns(tables: LocalTables) -> list[tuple[NDArray[np.int32], sparse.csr_matrix]]:
    """Monomials of each kind, and their coefficients by function, shape (n_terms, n_functions)."""
    n_lm = (tables.l_max + 1) ** 2
    result = []
    for kind in range(tables.n_kinds):
        places, weights, functions = [np.zeros((0, 3), np.int64)], [np.zeros(0)], [np.zeros(0, np.int64)]
        for row in tables.quadruples[tables.quadruples[:, 0] == kind].tolist():
            channels, degrees, function = np.array(row[1:4]), np.array(row[4:7]), row[7]
            w = coupling(*degrees.tolist())
            orders = np.argwhere(w)
            places.append(channels * n_lm + degrees**2 + orders)
            weights.append(w[tuple(orders.T)])
            functions.append(np.full(len(orders), function))
        found, rows = np.unique(np.sort(np.concatenate(places), axis=1), axis=0, return_inverse=True)
        entries = (np.concatenate(weights), (rows.ravel(), np.concatenate(functions)))
        matrix = sparse.csr_matrix(entries, (len(found), tables.n_functions))
        result.append((found.astype(np.int32), matrix))
    return result
