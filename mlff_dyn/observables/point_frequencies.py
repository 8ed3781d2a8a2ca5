"""Frequencies of order 2 at single wave vectors, with their standard deviations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.sampled_phonons import Estimate, sampled_phonons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField


def point_frequencies(
    force_field: ForceField,
    torus: Torus,
    q_points: Sequence[Sequence[float]] | None = None,
    *,
    n_samples: int = 16,
    seed: int = 0,
) -> tuple[dict[str, tuple[float, ...]], Estimate]:
    """Frequencies (THz, imaginary ones negative) at wave vectors.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Supercell of the force constants, a repetition of the cell that the user gave.
    q_points : sequence of three numbers, optional
        In vectors of the reciprocal primitive cell; default: the special points of the lattice.
    n_samples : int
        Samples of the posterior, two at least.
    seed : int
        Of the samples.

    Returns
    -------
    dict
        Wave vectors by name.
    Estimate
        Shape (n_points, n_modes).

    Raises
    ------
    UsageError
        If the supercell is not a repetition of that cell.
    """
    phonons = sampled_phonons(force_field, torus, n_samples=n_samples, seed=seed)
    if q_points is None:
        points = _special_points(np.asarray(phonons.phonon.primitive.cell))
    else:
        points = {_name(point): tuple(map(float, point)) for point in q_points}
    vectors = np.array(list(points.values()))

    def measure(number: int) -> dict[str, NDArray[np.float64]]:
        phonon = phonons.choose(number)
        phonon.run_qpoints(vectors)
        return {"frequencies": np.asarray(phonon.qpoints.frequencies)}

    return points, Estimate(measure(0)["frequencies"], phonons.spread(measure)["frequencies"])


def _special_points(cell: NDArray[np.float64]) -> dict[str, tuple[float, ...]]:
    """Special points of the Bravais lattice of a primitive cell, as ASE knows them."""
    from ase.cell import Cell

    found = Cell(cell).bandpath(npoints=0).special_points
    return {name.replace("G", "Γ"): tuple(map(float, point)) for name, point in found.items()}


def _name(point: Sequence[float]) -> str:
    return "(" + ", ".join(f"{component:.4g}" for component in point) + ")"
