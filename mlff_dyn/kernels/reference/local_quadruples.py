"""Products of three sums A of an atom, in plain numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.reference.couplings import coupling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_tables import LocalTables

_FACTORS = (("abc,iqb,iqc->iqa", (1, 2)), ("abc,iqa,iqc->iqb", (0, 2)), ("abc,iqa,iqb->iqc", (0, 1)))


def quadruple_products(
    tables: LocalTables,
    kind: int,
    sums: NDArray[np.float64],
    centers: NDArray[np.int64],
    slopes: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Functions of products of three sums, and their derivatives.

    Parameters
    ----------
    tables : LocalTables
    kind : int
        Of the central atoms.
    sums : ndarray, shape (n_atoms, n_channels, n_lm)
    centers : ndarray, shape (n_pairs,)
        Atom of each pair with a neighbor.
    slopes : ndarray, shape (n_pairs, n_channels, n_lm, 3)
        Derivatives of its sums by the vector to the neighbor.

    Returns
    -------
    values : ndarray, shape (n_functions,)
        Added up over the atoms.
    derivatives : ndarray, shape (n_pairs, 3, n_functions)
        By the vectors of the pairs.
    """
    values = np.zeros(tables.n_functions)
    derivatives = np.zeros((tables.n_functions, len(centers), 3))
    rows = tables.quadruples[tables.quadruples[:, 0] == kind]
    for degrees in np.unique(rows[:, 4:7], axis=0).tolist():
        same = rows[(rows[:, 4:7] == degrees).all(axis=1)]
        parts = [slice(n**2, (n + 1) ** 2) for n in degrees]
        factors = [sums[:, same[:, 1 + k], part] for k, part in enumerate(parts)]
        for k, (product, others) in enumerate(_FACTORS):
            by_factor = np.einsum(product, coupling(*degrees), *(factors[k] for k in others), optimize=True)
            for channel in np.unique(same[:, 1 + k]):
                mine = same[:, 1 + k] == channel
                found = np.einsum(
                    "pma,pqm->qpa", slopes[:, channel, parts[k]], by_factor[centers][:, mine], optimize=True
                )
                np.add.at(derivatives, same[mine, 7], found)
        np.add.at(values, same[:, 7], (by_factor * factors[2]).sum(axis=(0, 2)))
    return values, derivatives.transpose(1, 2, 0)
