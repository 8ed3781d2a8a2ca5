"""Tables of the compiled force kernel for orders 1 and 2: dense matrices from slots to home sites."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.gather import GatherTables

SITES_PER_GROUP = 3
"""Sites whose nine gradient components the kernel keeps in registers."""


class SiteGroup(NamedTuple):
    """Gradient of some sites = bias + matrix * displacements of the columns, as in cpp/tables.hpp."""

    home: NDArray[np.int32]
    columns: NDArray[np.int32]
    coefficients: NDArray[np.float64]
    bias: NDArray[np.float64]


def build_site_groups(
    tables: GatherTables,
    parameters: NDArray[np.float64],
    home_atoms: NDArray[np.int32],
    present: NDArray[np.int32],
    *,
    with_pairs: bool = True,
) -> tuple[NDArray[np.int32], list[SiteGroup]]:
    """Contract orders 1 and 2 with the parameters; slots that mean the same atom on this torus are merged.

    Parameters
    ----------
    tables : GatherTables
    parameters : ndarray, shape (n_parameters,)
    home_atoms : ndarray, shape (n_slots,), int32
    present : ndarray, shape (n_present,), int32
        Slots of the gather tables that are looked up in any case.
    with_pairs : bool
        Whether order 2 is wanted; without it only order 1 is left.

    Returns
    -------
    extra : ndarray, shape (n_extra,), int32
        Slots of the gather tables to look up besides.
    groups : list of SiteGroup
        Their slots are places in `present` followed by `extra`.
    """
    _, first_slot, merged = np.unique(home_atoms, return_index=True, return_inverse=True)
    orders = tables.polynomial.parameter_orders[tables.entry_parameters]
    bias = _contract(tables, parameters, orders == 1)
    targets = 3 * tables.polynomial.n_sites
    matrix = np.zeros((targets, len(first_slot), 3))
    is_second = (orders == 2) & with_pairs
    slots, axes = np.divmod(tables.node_variables[tables.entry_nodes[is_second]], 3)
    weights = tables.entry_factors[is_second] * parameters[tables.entry_parameters[is_second]]
    np.add.at(matrix, (tables.entry_targets[is_second], merged[slots], axes), weights)
    touched = np.zeros((targets, len(first_slot)), dtype=bool)
    touched[tables.entry_targets[is_second], merged[slots]] = True
    used: NDArray[np.bool_] = np.asarray(touched.any(axis=0))
    used[merged[tables.home_slots]] = True
    place = np.full(len(first_slot), -1)
    place[merged[present]] = np.arange(len(present))
    is_extra = used & (place < 0)
    place[is_extra] = len(present) + np.arange(is_extra.sum())
    groups = []
    n_groups = -(-tables.polynomial.n_sites // SITES_PER_GROUP)
    for sites in np.array_split(np.arange(tables.polynomial.n_sites), n_groups):
        rows = (3 * sites[:, None] + np.arange(3)).reshape(-1)
        columns = np.flatnonzero(touched[rows].any(axis=0))
        groups.append(
            SiteGroup(
                home=place[merged[tables.home_slots[sites]]].astype(np.int32),
                columns=place[columns].astype(np.int32),
                coefficients=np.ascontiguousarray(matrix[rows][:, columns].transpose(1, 2, 0)).reshape(-1),
                bias=bias[rows],
            )
        )
    return first_slot[is_extra].astype(np.int32), groups


def _contract(
    tables: GatherTables, parameters: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Sum factor * parameter of the chosen entries by target."""
    weights = tables.entry_factors[chosen] * parameters[tables.entry_parameters[chosen]]
    return np.bincount(
        tables.entry_targets[chosen], weights=weights, minlength=3 * tables.polynomial.n_sites
    ).astype(np.float64)
