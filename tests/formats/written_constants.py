"""Energies of single orders, from a force field and from force constants of files that tests read."""

import math

import numpy as np
from numpy.typing import NDArray

from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.force_field import ForceField

_DEGREE = 13


def energies_by_order(
    force_field: ForceField, torus: Torus, displacements: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Taylor coefficients of the energy along a displacement, by order, eV; shape (n_orders,)."""
    on_torus = force_field.on(torus)
    steps = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    energies = [on_torus.energy_forces(step * displacements)[0] for step in steps]
    return np.polynomial.polynomial.polyfit(steps, energies, _DEGREE)


def energy_of_clusters(
    torus: Torus,
    positions: NDArray[np.float64],
    sites: NDArray[np.int64],
    offsets: NDArray[np.int64],
    blocks: NDArray[np.float64],
    displacements: NDArray[np.float64],
) -> float:
    """Energy of one order, all cells of a supercell together, eV.

    Clusters of the infinite crystal: sites (n, order), whose positions are given (n_sites, 3), offsets
    (n, order, 3) in primitive vectors.
    """
    order = sites.shape[1]
    energy = 0.0
    homes, away = torus.match(positions)
    np.testing.assert_allclose(away, 0.0, atol=1e-6)
    first, cells = np.divmod(homes, torus.n_cells)
    shifts = torus.offsets[cells][sites]
    for cell in torus.offsets:
        moved = displacements[first[sites] * torus.n_cells + torus.cell_index(offsets + shifts + cell)]
        contracted = blocks
        for place in range(order):
            contracted = np.einsum("na...,na->n...", contracted, moved[:, place])
        energy += contracted.sum() / math.factorial(order)
    return energy


def largest_defect_of_sum_rule(
    sites: NDArray[np.int64], offsets: NDArray[np.int64], blocks: NDArray[np.float64]
) -> float:
    """Largest sum of the blocks of clusters that differ in their last atom only."""
    others = np.concatenate([sites[:, :-1], offsets[:, :-1].reshape(len(sites), -1)], axis=1)
    groups, rows = np.unique(others, axis=0, return_inverse=True)
    sums = np.zeros((len(groups), *blocks.shape[1:]))
    np.add.at(sums, rows.reshape(-1), blocks)
    return float(np.abs(sums).max())
