"""Which functions the local part of a crystal has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.errors import BasisError, DataError, check_shape
from mlff_dyn.kernels.local_tables import LocalTables, check_indices
from mlff_dyn.kernels.reference.local_functions import radial_functions
from mlff_dyn.local.environments import Environments, find_environments
from mlff_dyn.local.function_limits import FUNCTION_LIMITS, FunctionLimits
from mlff_dyn.local.quadruples import number_quadruples
from mlff_dyn.local.radial import gaussians, radial_centers

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAME_PLACE = 1e-6
_MOST_CELLS = 100_000
"""Primitive cells in a training supercell, more than any has."""
KINDS = ("species", "sites")
NUMBERS_OF_BODIES = (3, 4)


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
    kinds : str
        Whose functions are the same: those of atoms of a ``species``, or only of ``sites`` that symmetry
        maps onto each other.
    n_bodies : int
        3: functions of pairs of neighbors; 4: also of three neighbors that are near.
    """

    cutoff_angstrom: float = 5.0
    n_radial: int = 5
    l_max: int = 3
    kinds: str = "species"
    n_bodies: int = 4


@dataclass(frozen=True, eq=False)
class LocalBasis:
    """Functions of the local part of a crystal.

    Attributes
    ----------
    settings : LocalSettings
    numbers : ndarray of int, shape (n_kinds,)
        Atomic number of each kind.
    largest_displacement : float
        Å; farther from their sites, atoms might have neighbors that the tables do not have.
    tables : LocalTables
    bodies : ndarray of int, shape (n_functions,)
        2 for functions of distances, 3 for those of pairs of neighbors, 4 for those of three.
    radial_indices : ndarray of int, shape (n_functions, 3)
        Radial functions of the channels; -1 where there are fewer.
    degrees : ndarray of int, shape (n_functions,)
        l, the largest one if there are several; 0 for two bodies.
    structure : ndarray, shape (n_functions, n_parameters), or None
        Values of the functions per parameter, orthonormal columns; None: every value is a parameter.
    shared_on : ndarray of int, shape (3, 3), or None
        Supercell whose periodic images share the harmonic part, see `mlff_dyn.model.shared_harmonics`;
        None: they do not.
    """

    settings: LocalSettings
    numbers: NDArray[np.int64]
    largest_displacement: float
    tables: LocalTables
    bodies: NDArray[np.int64]
    radial_indices: NDArray[np.int64]
    degrees: NDArray[np.int64]
    structure: NDArray[np.float64] | None = None
    shared_on: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together."""
        settings, tables = self.settings, self.tables
        fits = (
            settings.cutoff_angstrom == tables.cutoff
            and (settings.n_radial, settings.l_max) == (tables.n_radial, tables.l_max)
            and settings.kinds in KINDS
            and settings.n_bodies in NUMBERS_OF_BODIES
        )
        if not fits:
            raise DataError("settings and tables of the local part differ", fix="build both together")
        if not 0.0 <= self.largest_displacement < np.inf:
            raise DataError(
                f"the local part ends at displacements of {self.largest_displacement} Å",
                fix="give a length of zero or more",
            )
        n_functions = tables.n_functions
        for name, shape, first, end in (
            ("numbers", (tables.n_kinds,), 0, np.iinfo(np.int32).max),
            ("bodies", (n_functions,), 2, settings.n_bodies + 1),
            ("degrees", (n_functions,), 0, tables.l_max + 1),
            ("radial_indices", (n_functions, 3), -1, tables.n_radial),
        ):
            check_shape(name, getattr(self, name), shape)
            check_indices(name, getattr(self, name), first, end)
        n_channels = (self.radial_indices >= 0).sum(axis=1)
        of_three = np.flatnonzero(self.bodies == NUMBERS_OF_BODIES[1])
        if not (
            np.array_equal(n_channels, self.bodies - 1)
            and np.array_equal(np.sort(tables.quadruples[:, 7]), of_three)
        ):
            raise DataError(
                "numbers of bodies, channels and products of the local part differ", fix="build all together"
            )
        if self.structure is not None:
            check_shape("structure", self.structure, (n_functions, None))
        if self.shared_on is not None:
            check_shape("shared_on", self.shared_on, (3, 3))
            check_indices("shared_on", self.shared_on, -_MOST_CELLS, _MOST_CELLS)
            if not 1 <= round(abs(np.linalg.det(self.shared_on))) <= _MOST_CELLS:
                raise DataError(
                    f"shared_on {self.shared_on.tolist()} spans no supercell that a training may have",
                    fix="give the supercell of the training",
                )

    def check_crystal(
        self, lattice: NDArray[np.float64], positions: NDArray[np.float64], numbers: NDArray[np.int64]
    ) -> None:
        """Refuse a crystal whose sites and neighbors are others; see `build_local_basis`.

        Raises
        ------
        DataError
        """
        tables = self.tables
        check_shape("kinds", tables.kinds, (len(numbers),))
        ends = positions[tables.slots[:, 0]] + tables.slots[:, 1:] @ lattice
        is_placed = np.allclose(ends - positions[tables.centers], tables.vectors, rtol=0.0, atol=_SAME_PLACE)
        if not (is_placed and np.array_equal(self.numbers[tables.kinds], numbers)):
            raise DataError("the local part is that of another crystal", fix="use its own crystal")

    @property
    def n_functions(self) -> int:
        """Number of functions."""
        return self.tables.n_functions

    @property
    def n_parameters(self) -> int:
        """Number of independent values."""
        return self.n_functions if self.structure is None else self.structure.shape[1]

    @property
    def mean_radial_indices(self) -> NDArray[np.float64]:
        """Mean number of the radial functions of each function, shape (n_functions,)."""
        numbers = np.maximum(self.radial_indices, 0).sum(axis=1)
        return np.asarray(numbers / (self.radial_indices >= 0).sum(axis=1))

    def values(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of the functions, shape (n_functions, ...), of parameters, shape (n_parameters, ...)."""
        return parameters if self.structure is None else self.structure @ parameters

    def parameters(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameters whose values come nearest to given ones."""
        return values if self.structure is None else values @ self.structure

    def reduce_columns(self, design: NDArray[np.float64]) -> NDArray[np.float64]:
        """Columns per parameter from columns per function, shape (..., n_functions)."""
        return design if self.structure is None else design @ self.structure

    def has_functions_of(self, other: LocalBasis) -> bool:
        """Whether values of the functions of another local part mean the same here."""
        same = self.settings == other.settings and np.array_equal(self.numbers, other.numbers)
        arrays = ("radial", "pair_functions", "triple_functions", "quadruples")
        return same and all(
            np.array_equal(getattr(self.tables, name), getattr(other.tables, name)) for name in arrays
        )


def build_local_basis(
    lattice: NDArray[np.float64],
    positions: NDArray[np.float64],
    numbers: NDArray[np.int64],
    settings: LocalSettings,
    *,
    largest_displacement: float,
    sites: NDArray[np.int64] | None = None,
    periodic: tuple[bool, bool, bool] = (True, True, True),
    limits: FunctionLimits = FUNCTION_LIMITS,
) -> LocalBasis:
    """Functions of a crystal: one set for each kind of the central atom.

    A function of the distance between two kinds is the same from either side. Functions of kinds that are not
    within the cutoff of each other are left out.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
    positions : ndarray, shape (n_sites, 3), Å
    numbers : ndarray, shape (n_sites,)
        Atomic numbers.
    settings : LocalSettings
    largest_displacement : float, Å
        How far atoms may be from their sites.
    sites : ndarray, shape (n_sites,), optional
        Equal numbers for sites whose functions are the same; those of a species by default.
    periodic : tuple of bool
    limits : FunctionLimits

    Raises
    ------
    BasisError
        If there are too many functions.
    """
    _, places, of_sites = np.unique(
        numbers if sites is None else sites, return_index=True, return_inverse=True
    )
    species, kinds = numbers[places], of_sites.astype(np.int32)
    reach = settings.cutoff_angstrom + 2.0 * largest_displacement
    found = find_environments(lattice, positions, kinds, reach, periodic)
    radial = gaussians(settings.cutoff_angstrom, settings.n_radial, limits)
    functions = _choose(_nearest(kinds, found), radial, settings, limits)
    tables = LocalTables(
        kinds=kinds,
        starts=found.starts,
        slots=found.slots,
        vectors=found.vectors,
        cutoff=settings.cutoff_angstrom,
        radial=radial,
        l_max=settings.l_max,
        pair_functions=functions.pairs,
        triple_functions=functions.triples,
        quadruples=functions.quadruples,
        n_functions=len(functions.labels),
    )
    bodies, *radial_indices, degrees = np.array(functions.labels, np.int64).reshape(-1, 5).T
    channels = np.stack(radial_indices, axis=1)
    return LocalBasis(settings, species, largest_displacement, tables, bodies, channels, degrees)


class _Functions(NamedTuple):
    """Numbers of the functions of each product, and (bodies, n, n', n'', l) of each function, -1 for none."""

    pairs: NDArray[np.int32]
    triples: NDArray[np.int32]
    quadruples: NDArray[np.int32]
    labels: list[tuple[int, ...]]


def _choose(
    nearest: NDArray[np.float64],
    radial: NDArray[np.float64],
    settings: LocalSettings,
    limits: FunctionLimits,
) -> _Functions:
    sizes = _sizes(nearest, radial, settings.cutoff_angstrom, limits)
    present = sizes > limits.negligible
    _check_number(_count(present, settings), len(nearest), limits)
    pairs, triples, labels = _number(present, settings)
    quadruples = np.zeros((0, 8), np.int32)
    if settings.n_bodies == NUMBERS_OF_BODIES[1]:
        channels = np.where(present, sizes, 0.0).reshape(len(nearest), -1)
        centers = radial_centers(settings.cutoff_angstrom, settings.n_radial)
        quadruples = number_quadruples(
            channels,
            centers,
            nearest.min(axis=1),
            l_max=settings.l_max,
            first=len(labels),
            limits=limits,
        )
    numbers, degrees = quadruples[:, 1:4] % settings.n_radial, quadruples[:, 4:7].max(axis=1, initial=0)
    labels += [(4, *each, degree) for each, degree in zip(numbers.tolist(), degrees.tolist(), strict=True)]
    _check_number(len(labels), len(nearest), limits)
    return _Functions(pairs, triples, quadruples, labels)


def _nearest(kinds: NDArray[np.int32], found: Environments) -> NDArray[np.float64]:
    """Smallest distance of two kinds in the crystal at rest, Å, shape (n_kinds, n_kinds)."""
    nearest = np.full((kinds.max() + 1,) * 2, np.inf)
    centers = kinds[np.repeat(np.arange(len(kinds)), np.diff(found.starts))]
    np.minimum.at(nearest, (centers, kinds[found.slots[:, 0]]), np.linalg.norm(found.vectors, axis=1))
    return nearest


def _count(present: NDArray[np.bool_], settings: LocalSettings) -> int:
    """Number of the functions of two and of three bodies."""
    channels = present.sum(axis=(1, 2))
    products = int((channels * (channels + 1) // 2).sum()) * (settings.l_max + 1)
    return products + int(present[np.triu_indices(len(present))].sum())


def _check_number(found: int, n_kinds: int, limits: FunctionLimits) -> None:
    if found > limits.most_functions:
        raise BasisError(
            f"the local part has {found} functions for {n_kinds} species; more than {limits.most_functions} "
            "cannot be fitted",
            fix="reduce expansion.local.n_bodies, n_radial or l_max",
        )


def _sizes(
    nearest: NDArray[np.float64], radial: NDArray[np.float64], cutoff: float, limits: FunctionLimits
) -> NDArray[np.float64]:
    """Largest value of each channel for atoms of each kind, at all distances that may occur.

    Parameters
    ----------
    nearest : ndarray, shape (n_kinds, n_kinds)
        Smallest distance of two kinds in the crystal at rest, Å.
    radial : ndarray, shape (n_radial, n_polynomials)
    cutoff : float, Å
    limits : FunctionLimits

    Returns
    -------
    ndarray, shape (n_kinds, n_kinds, n_radial)
    """
    shares = np.linspace(0.0, 1.0, limits.n_distances)
    closest = np.minimum(limits.closest_of_distance * nearest, cutoff)
    distances = closest[..., None] + shares * (cutoff - closest)[..., None]
    sizes = np.abs(radial_functions(radial, cutoff, distances.ravel())[0])
    return np.asarray(sizes.reshape(*distances.shape, len(radial)).max(axis=2))


def _number(
    present: NDArray[np.bool_], settings: LocalSettings
) -> tuple[NDArray[np.int32], NDArray[np.int32], list[tuple[int, ...]]]:
    """Numbers of the functions of products of one and of two, and their labels; see `_Functions`."""
    n_kinds, n = len(present), settings.n_radial
    channels = np.arange(n_kinds * n)
    pairs = np.full((n_kinds, len(channels)), -1, np.int32)
    triples = np.full((n_kinds, settings.l_max + 1, len(channels), len(channels)), -1, np.int32)
    labels: list[tuple[int, ...]] = []
    for kind in range(n_kinds):
        for other in range(kind, n_kinds):
            for k in np.flatnonzero(present[kind, other]).tolist():
                pairs[kind, other * n + k] = pairs[other, kind * n + k] = len(labels)
                labels.append((2, k, -1, -1, 0))
    for kind in range(n_kinds):
        own = channels[present[kind].ravel()]
        for degree in range(settings.l_max + 1):
            for place, c in enumerate(own):
                for d in own[place:]:
                    triples[kind, degree, c, d] = triples[kind, degree, d, c] = len(labels)
                    labels.append((3, c % n, d % n, -1, degree))
    return pairs, triples, labels
