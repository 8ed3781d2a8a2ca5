"""Which local part of the energy to begin with: its cutoff and its size."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.errors import BasisError
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.local_expansion import local_basis

if TYPE_CHECKING:
    from mlff_dyn.lattice.crystal import Crystal


@dataclass(frozen=True)
class LocalLimits:
    """How large a first local part is: what served SnSe, c-BAs and copper.

    Attributes
    ----------
    cutoff_of_nearest : float
        Cutoff over the distance of nearest neighbors.
    least_of_nearest : float
        The same, at least, where neighbors are far apart.
    shortest_cutoff_angstrom, longest_cutoff_angstrom : float
    sizes : tuple of (int, int)
        (n_radial, l_max) at the longest cutoff, the largest first. At others radial functions have the same
        spacing: c-BAs, trained at 300 K on 4 calculations, errs at 900 K by 1.66 % with 5 functions to 4.2 Å,
        1.54 % with 5 to 5 Å or 4 to 4.2 Å.
    usual : int
        Place of the size to begin with.
    first_of_search : int
        Place of the size that a search begins with.
    most_parameters : int
        With more, the next smaller size is taken.
    """

    cutoff_of_nearest: float = 2.0
    least_of_nearest: float = 1.4
    shortest_cutoff_angstrom: float = 4.0
    longest_cutoff_angstrom: float = 5.0
    sizes: tuple[tuple[int, int], ...] = ((7, 4), (5, 3), (4, 2), (3, 2), (2, 1))
    usual: int = 1
    first_of_search: int = 2
    most_parameters: int = 1000

    def cutoff_angstrom(self, nearest_angstrom: float) -> float:
        """Cutoff for a distance of nearest neighbors, Å."""
        wanted = np.clip(
            self.cutoff_of_nearest * nearest_angstrom,
            self.shortest_cutoff_angstrom,
            self.longest_cutoff_angstrom,
        )
        cutoff = max(float(wanted), self.least_of_nearest * nearest_angstrom)
        return round(float(np.ceil(cutoff / 0.05 - 1e-9)) * 0.05, 2)

    def settings(self, nearest_angstrom: float, place: int) -> LocalSettings:
        """Local part of a size for a distance of nearest neighbors, Å."""
        cutoff, (n_radial, l_max) = self.cutoff_angstrom(nearest_angstrom), self.sizes[place]
        scaled = round(1 + (n_radial - 1) * cutoff / self.longest_cutoff_angstrom)
        return LocalSettings(cutoff, max(2, scaled), l_max)


LOCAL_LIMITS = LocalLimits()


class SizedLocal(NamedTuple):
    """Settings of a local part and the number of its parameters."""

    settings: LocalSettings
    n_parameters: int


@dataclass(frozen=True)
class ProposedLocal:
    """A local part and the next sizes.

    Attributes
    ----------
    chosen : SizedLocal
    cheaper, larger : SizedLocal or None
    """

    chosen: SizedLocal
    cheaper: SizedLocal | None
    larger: SizedLocal | None


def propose_local(
    crystal: Crystal, limits: LocalLimits = LOCAL_LIMITS, *, is_at_rest: bool = False
) -> ProposedLocal | None:
    """Choose a local part for a crystal; None where even the smallest has too many parameters.

    Parameters
    ----------
    crystal : Crystal
    limits : LocalLimits
    is_at_rest : bool
        See `mlff_dyn.model.local_expansion.local_basis`.
    """
    nearest = crystal.nearest_neighbor_distance
    every = [limits.settings(nearest, place) for place in range(len(limits.sizes))]
    sizes = [_sized(crystal, settings, is_at_rest=is_at_rest) for settings in every]
    for place in range(limits.usual, len(sizes)):
        chosen = sizes[place]
        if chosen is not None and chosen.n_parameters <= limits.most_parameters:
            others = [size for size in sizes if size is not None]
            fewer = [size for size in others if size.n_parameters < chosen.n_parameters]
            more = [size for size in others if size.n_parameters > chosen.n_parameters]
            by_number = attrgetter("n_parameters")
            return ProposedLocal(
                chosen, max(fewer, key=by_number, default=None), min(more, key=by_number, default=None)
            )
    return None


def _sized(crystal: Crystal, settings: LocalSettings, *, is_at_rest: bool) -> SizedLocal | None:
    try:
        return SizedLocal(settings, local_basis(crystal, settings, is_at_rest=is_at_rest).n_parameters)
    except BasisError:
        return None
