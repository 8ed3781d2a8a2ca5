"""Which functions the local part of a crystal has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import BasisError
from mlff_dyn.kernels.local_tables import LocalTables
from mlff_dyn.local.environments import find_environments
from mlff_dyn.local.radial import gaussians

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_FUNCTIONS = 5000


@dataclass(frozen=True)
class LocalSettings:
    """Size of the local part.

    Attributes
    ----------
    cutoff_angstrom : float
        Atoms farther away do not count.
    n_radial : int
        Radial functions per kind of neighbor.
    l_max : int
        Largest degree of the angular functions.
    """

    cutoff_angstrom: float = 5.0
    n_radial: int = 5
    l_max: int = 3


@dataclass(frozen=True, eq=False)
class LocalBasis:
    """Functions of the local part of a crystal.

    Attributes
    ----------
    settings : LocalSettings
    largest_displacement : float
        Å; farther from their sites, atoms might have neighbors that the tables do not have.
    tables : LocalTables
    bodies : ndarray of int, shape (n_functions,)
        2 for functions of distances, 3 for those of pairs of neighbors.
    radial_indices : ndarray of int, shape (n_functions, 2)
        Radial functions of the two channels; twice the same for two bodies.
    degrees : ndarray of int, shape (n_functions,)
        l; 0 for two bodies.
    """

    settings: LocalSettings
    largest_displacement: float
    tables: LocalTables
    bodies: NDArray[np.int64]
    radial_indices: NDArray[np.int64]
    degrees: NDArray[np.int64]

    @property
    def n_functions(self) -> int:
        """Number of functions."""
        return self.tables.n_functions


def build_local_basis(
    lattice: NDArray[np.float64],
    positions: NDArray[np.float64],
    numbers: NDArray[np.int64],
    settings: LocalSettings,
    *,
    largest_displacement: float,
    periodic: tuple[bool, bool, bool] = (True, True, True),
) -> LocalBasis:
    """Functions of a crystal: one set for each species of the central atom.

    A function of the distance between two species is the same from either side. Functions of species that are
    not within the cutoff of each other are left out.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
    positions : ndarray, shape (n_sites, 3), Å
    numbers : ndarray, shape (n_sites,)
        Atomic numbers.
    settings : LocalSettings
    largest_displacement : float, Å
        How far atoms may be from their sites.
    periodic : tuple of bool

    Raises
    ------
    BasisError
        If there are too many functions.
    """
    kinds = np.unique(numbers, return_inverse=True)[1].astype(np.int32)
    reach = settings.cutoff_angstrom + 2.0 * largest_displacement
    found = find_environments(lattice, positions, kinds, reach, periodic)
    centers = kinds[np.repeat(np.arange(len(kinds)), np.diff(found.starts))]
    meets = np.zeros((kinds.max() + 1, kinds.max() + 1), bool)
    meets[centers, kinds[found.slots[:, 0]]] = True
    _check_number(meets, settings)
    pairs, triples, labels = _number(meets, settings)
    tables = LocalTables(
        kinds=kinds,
        starts=found.starts,
        slots=found.slots,
        vectors=found.vectors,
        cutoff=settings.cutoff_angstrom,
        radial=gaussians(settings.cutoff_angstrom, settings.n_radial),
        l_max=settings.l_max,
        pair_functions=pairs,
        triple_functions=triples,
        n_functions=len(labels),
    )
    bodies, first, second, degrees = np.array(labels, np.int64).reshape(-1, 4).T
    return LocalBasis(
        settings, largest_displacement, tables, bodies, np.stack([first, second], axis=1), degrees
    )


def _check_number(meets: NDArray[np.bool_], settings: LocalSettings) -> None:
    channels = meets.sum(axis=1) * settings.n_radial
    products = int((channels * (channels + 1) // 2).sum()) * (settings.l_max + 1)
    found = products + int(np.triu(meets).sum()) * settings.n_radial
    if found > _MOST_FUNCTIONS:
        raise BasisError(
            f"the local part has {found} functions for {len(meets)} species; more than {_MOST_FUNCTIONS} "
            "cannot be fitted",
            fix="reduce expansion.local.n_radial or expansion.local.l_max",
        )


def _number(
    meets: NDArray[np.bool_], settings: LocalSettings
) -> tuple[NDArray[np.int32], NDArray[np.int32], list[tuple[int, int, int, int]]]:
    """Numbers of the functions of each product, and (bodies, n, n', l) of each function."""
    n_kinds, n = len(meets), settings.n_radial
    channels = np.arange(n_kinds * n)
    pairs = np.full((n_kinds, len(channels)), -1, np.int32)
    triples = np.full((n_kinds, settings.l_max + 1, len(channels), len(channels)), -1, np.int32)
    labels: list[tuple[int, int, int, int]] = []
    for kind in range(n_kinds):
        for other in range(kind, n_kinds):
            for k in range(n if meets[kind, other] else 0):
                pairs[kind, other * n + k] = pairs[other, kind * n + k] = len(labels)
                labels.append((2, k, k, 0))
    for kind in range(n_kinds):
        present = channels[meets[kind, channels // n]]
        for degree in range(settings.l_max + 1):
            for place, c in enumerate(present):
                for d in present[place:]:
                    triples[kind, degree, c, d] = triples[kind, degree, d, c] = len(labels)
                    labels.append((3, c % n, d % n, degree))
    return pairs, triples, labels
