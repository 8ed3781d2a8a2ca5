"""Which cutoffs to begin with: shells of neighbors, within what a training cell and a fit can carry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.aperiodic import search_cell
from mlff_dyn.lattice.basis import FULL, build_basis
from mlff_dyn.lattice.clusters import enumerate_clusters, neighbors
from mlff_dyn.lattice.shells import shell_distances
from mlff_dyn.lattice.wigner_seitz import compatible_operations, largest_safe_cutoff

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus


@dataclass(frozen=True)
class ExpansionLimits:
    """How far a first expansion reaches; all by convention.

    Attributes
    ----------
    search_radius_angstrom : float
    shells : dict
        Shells of neighbors, by order.
    largest_cutoffs_angstrom : dict
        By order.
    margin_angstrom : float
        Of a cutoff above the last neighbor it is to reach.
    most_parameters : int
        Of an order, before sum rules.
    most_clusters : int
        That are worth counting.
    highest_beside_local : int
        Highest order beside functions of distances and angles, which hold more of the higher ones.
    """

    search_radius_angstrom: float = 6.5
    shells: tuple[tuple[int, int], ...] = ((3, 3), (4, 2))
    largest_cutoffs_angstrom: tuple[tuple[int, float], ...] = ((3, 5.0), (4, 4.0))
    margin_angstrom: float = 0.05
    most_parameters: int = 2000
    most_clusters: int = 200_000
    highest_beside_local: int = 3

    def beside_local(self) -> ExpansionLimits:
        """Limits of the force constants of an energy with a local part."""
        return replace(
            self, shells=tuple(each for each in self.shells if each[0] <= self.highest_beside_local)
        )


EXPANSION_LIMITS = ExpansionLimits()
WIDER_LIMITS = ExpansionLimits(
    shells=((3, 5), (4, 3)), largest_cutoffs_angstrom=((3, 6.0), (4, 4.5)), most_parameters=3000
)
"""For the larger expansion that is worth a look."""

_PAIR_TERMS = {2: 9, 3: 36, 4: 96}
"""Monomials of an order in the displacements of both atoms of a pair."""


@dataclass(frozen=True)
class ProposedExpansion:
    """Cutoffs in a training cell.

    Attributes
    ----------
    cutoffs_angstrom : dict                  order to ``"full"`` or Å
    n_parameters_per_order : dict
    largest_safe_cutoff_angstrom : float
    """

    cutoffs_angstrom: dict[int, float | str]
    n_parameters_per_order: dict[int, int]
    largest_safe_cutoff_angstrom: float

    @property
    def n_parameters(self) -> int:
        """Number of parameters of all orders."""
        return sum(self.n_parameters_per_order.values())


def propose_expansion(
    torus: Torus,
    limits: ExpansionLimits = EXPANSION_LIMITS,
    *,
    rotational_sum_rules: Collection[str] = (),
) -> ProposedExpansion:
    """Choose cutoffs that the basis accepts in a training cell.

    Order 2 takes the whole cell, order 3 reaches the third shell of neighbors, order 4 the second; where that
    is too many parameters, less.

    Raises
    ------
    BasisError
        If not even order 2 can be expanded.
    """
    crystal, safe = torus.crystal, largest_safe_cutoff(torus)
    radius = limits.search_radius_angstrom
    distances = [_from_site(crystal, site, radius) for site in range(crystal.n_sites)]
    surroundings = _Surroundings(crystal, distances, limits)
    cutoffs: dict[int, float | str] = {2: _second_order(torus, surroundings, safe)}
    for order, n_shells in limits.shells:
        largest = min(dict(limits.largest_cutoffs_angstrom)[order], np.floor(safe / 0.05) * 0.05)
        start = round(min(_shell_end(crystal, n_shells, limits), float(largest)), 2)
        chosen = surroundings.largest_small(order, start, surroundings.nearest_angstrom)
        if chosen is None:
            break
        cutoffs[order] = chosen
    return _accepted(torus, cutoffs, safe, rotational_sum_rules)


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """Sorted distances from each site of a crystal, Å, and what they say about numbers of parameters."""

    crystal: Crystal
    distances: list[NDArray[np.float64]]
    limits: ExpansionLimits

    @property
    def nearest_angstrom(self) -> float:
        """Distance within which every site has a neighbor."""
        return max((float(d[0]) if len(d) else np.inf) for d in self.distances)

    def largest_small(self, order: int, start: float, least: float) -> float | None:
        """Largest cutoff with few parameters between two lengths, Å."""
        fitting = [start, *(c for c in self._steps() if c < start)]
        return next((c for c in fitting if c >= least and self._is_small(order, c)), None)

    def _steps(self) -> list[float]:
        """Cutoffs just above a distance that a gap follows, at most one per 0.1 Å, the longest first."""
        every = np.sort(np.concatenate(self.distances))
        ends = every[np.append(np.diff(every) > 2e-3, [True] * min(1, len(every)))]
        groups = np.split(ends, np.flatnonzero(np.diff(ends // 0.1)) + 1)
        return [_rounded(g[-1] + self.limits.margin_angstrom) for g in reversed(groups) if len(g)]

    def _is_small(self, order: int, cutoff: float) -> bool:
        """Whether the clusters within a cutoff have few parameters, as if all their orbits were full."""
        crystal, most = self.crystal, self.limits.most_parameters
        reached = np.array([np.searchsorted(d, cutoff + 1e-5) for d in self.distances])
        if reached.sum() / 2 * _PAIR_TERMS[order] > most * crystal.n_operations:
            return False
        if order == 2:
            return True
        if np.sum((reached / 2.0) ** (order - 1)) > self.limits.most_clusters:
            return False
        clusters = enumerate_clusters(crystal, order, dict.fromkeys(range(2, order + 1), cutoff))
        monomials = np.ones(len(clusters))
        for place in range(order):
            same = (clusters == clusters[:, place : place + 1]).sum(axis=1)
            first = (clusters[:, :place] != clusters[:, place : place + 1]).all(axis=1)
            monomials *= np.where(first, (same + 1) * (same + 2) / 2, 1)
        return bool(monomials.sum() <= most * crystal.n_operations)


def _accepted(
    torus: Torus, cutoffs: dict[int, float | str], safe: float, rules: Collection[str]
) -> ProposedExpansion:
    """Leave out the highest order until the basis can be built."""
    try:
        basis = build_basis(torus.crystal, cutoffs, torus, rotational_sum_rules=rules)
    except BasisError:
        if len(cutoffs) == 1:
            raise
        return _accepted(torus, dict(list(cutoffs.items())[:-1]), safe, rules)
    return ProposedExpansion(cutoffs, basis.n_parameters_per_order, safe)


def _second_order(torus: Torus, surroundings: _Surroundings, safe: float) -> float | str:
    n_pairs = torus.crystal.n_sites * torus.n_atoms / 2
    most = surroundings.limits.most_parameters * len(compatible_operations(torus))
    if _PAIR_TERMS[2] * n_pairs <= most:
        return FULL
    return surroundings.largest_small(2, safe, 0.0) or safe


def _shell_end(crystal: Crystal, n_shells: int, limits: ExpansionLimits) -> float:
    lattice = search_cell(crystal.lattice, crystal.positions, crystal.periodic)
    shells = shell_distances(lattice, crystal.positions, limits.search_radius_angstrom)
    end = shells[min(n_shells, len(shells)) - 1] if shells else np.inf
    return _rounded(end + limits.margin_angstrom)


def _rounded(cutoff: float) -> float:
    return float(np.round(np.ceil(cutoff / 0.05 - 1e-9) * 0.05, 2)) if np.isfinite(cutoff) else cutoff


def _from_site(crystal: Crystal, site: int, radius: float) -> NDArray[np.float64]:
    _, positions = neighbors(crystal, site, radius)
    distances = np.linalg.norm(positions - crystal.positions[site], axis=1)
    return np.sort(distances[distances > 1e-3])
