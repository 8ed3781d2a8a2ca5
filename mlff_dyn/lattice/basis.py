"""The symmetry-reduced basis of the force constants of all orders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlff_dyn.errors import BasisError
from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms
from mlff_dyn.lattice.clusters import decode, enumerate_clusters
from mlff_dyn.lattice.invariants import OrbitTerms, build_terms
from mlff_dyn.lattice.lattice_limits import LATTICE_LIMITS, LatticeLimits
from mlff_dyn.lattice.longitudinal import part_longitudinal
from mlff_dyn.lattice.orbits import Identity, InCrystal, OnTorus, close_under_group, find_orbits
from mlff_dyn.lattice.other_supercells import restore_translations
from mlff_dyn.lattice.rotations import rotational_constraints
from mlff_dyn.lattice.sum_rules import acoustic_sum_rule, constraint_nullspace, whitening_matrix
from mlff_dyn.lattice.symmetric_powers import symmetric_powers
from mlff_dyn.lattice.wigner_seitz import (
    compatible_operations,
    identity_first,
    largest_safe_cutoff,
    wigner_seitz_pairs,
    wigner_seitz_triples,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus

FULL = "full"
FULL_CLUSTERS = {2: wigner_seitz_pairs, 3: wigner_seitz_triples}


@dataclass(frozen=True, eq=False)
class ClusterClasses:
    """What the orbit parameters of one order belong to, for priors that know the structure of the expansion.

    Attributes
    ----------
    whitened : ndarray, shape (n_orbit_parameters, n_parameters)
        Orbit parameters, orthonormal within each orbit, per independent parameter; orthonormal columns.
    n_bodies : ndarray of int, shape (n_orbit_parameters,)
    longest_steps : ndarray, shape (n_orbit_parameters,)       between neighbors along the cluster, Å
    multiplicities : ndarray of int, shape (n_orbit_parameters,)
        Clusters of the orbit per primitive cell.
    is_longitudinal : ndarray of bool, shape (n_orbit_parameters,), or None
        Force constants of pairs along their bond; None if they are not parted from those across it.
    """

    whitened: NDArray[np.float64]
    n_bodies: NDArray[np.int64]
    longest_steps: NDArray[np.float64]
    multiplicities: NDArray[np.int64]
    is_longitudinal: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class ForceConstantBasis:
    """Force constants of a crystal as a linear function of independent parameters.

    Parameters of all orders are concatenated in ascending order; those of order n have the unit eV/Å^n,
    and their squared length is the squared norm of the order's force constants around one primitive cell.

    Attributes
    ----------
    crystal : Crystal
    polynomial : CellPolynomial
        Energy of a primitive cell, linear in orbit parameters (before sum rules).
    nullspaces : tuple of ndarray
        For each order, orbit parameters per independent parameter, shape (n_orbit_parameters, n_parameters).
    orders : tuple of int
        Orders present; order 1 only where the site symmetry allows it.
    classes : tuple of ClusterClasses
        One per order.

    Examples
    --------
    Force constants of fcc copper to third order between nearest neighbors.

    >>> from ase.build import bulk
    >>> from mlff_dyn.lattice.crystal import build_crystal
    >>> cell = bulk("Cu", "fcc", a=3.6)
    >>> crystal = build_crystal(cell.cell.array, cell.positions, cell.numbers)
    >>> basis = build_basis(crystal, {2: 3.0, 3: {2: 3.0}})
    >>> basis.orders, basis.n_parameters_per_order
    ((2, 3), {2: 3, 3: 3})
    """

    crystal: Crystal
    polynomial: CellPolynomial
    nullspaces: tuple[NDArray[np.float64], ...]
    orders: tuple[int, ...]
    classes: tuple[ClusterClasses, ...]

    @property
    def n_parameters(self) -> int:
        """Number of independent parameters."""
        return sum(null.shape[1] for null in self.nullspaces)

    @property
    def n_parameters_per_order(self) -> dict[int, int]:
        """Number of independent parameters of each order."""
        return {order: null.shape[1] for order, null in zip(self.orders, self.nullspaces, strict=True)}

    @property
    def parameter_orders(self) -> NDArray[np.int64]:
        """Order of each independent parameter, shape (n_parameters,)."""
        return np.repeat(self.orders, [null.shape[1] for null in self.nullspaces])

    def up_to(self, order: int) -> ForceConstantBasis:
        """Return the basis without the orders above one; the parameters of the others stay what they are."""
        n_orders = sum(each <= order for each in self.orders)
        if n_orders == len(self.orders):
            return self
        return replace(
            self,
            polynomial=self.polynomial.first_orders(n_orders),
            nullspaces=self.nullspaces[:n_orders],
            orders=self.orders[:n_orders],
            classes=self.classes[:n_orders],
        )

    def expand(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Orbit parameters, shape (..., n_orbit_parameters), of independent ones, (..., n_parameters)."""
        parts, start = [], 0
        for null in self.nullspaces:
            stop = start + null.shape[1]
            parts.append(parameters[..., start:stop] @ null.T)
            start = stop
        return np.concatenate(parts, axis=-1)

    def reduce_columns(self, design: NDArray[np.float64]) -> NDArray[np.float64]:
        """Design matrix in independent parameters from one in orbit parameters."""
        parts, start = [], 0
        for null in self.nullspaces:
            stop = start + null.shape[0]
            parts.append(design[..., start:stop] @ null)
            start = stop
        return np.concatenate(parts, axis=-1)


def build_basis(
    crystal: Crystal,
    cutoffs: Mapping[int, float | str | Mapping[int, float]],
    torus: Torus | None = None,
    *,
    rotational_sum_rules: Collection[str] = (),
    limits: LatticeLimits = LATTICE_LIMITS,
) -> ForceConstantBasis:
    """Build the basis: clusters, orbits, invariants, sum rules.

    Parameters
    ----------
    crystal : Crystal
    cutoffs : mapping
        Per order from 2 on: the largest pair distance in Å, the same per number of bodies, or ``"full"``
        (orders 2 and 3: every pair or triple of the training supercell, by its shortest images).
    torus : Torus, optional
        Training supercell. With it, cutoffs that reach its periodic images are refused.
    rotational_sum_rules : collection of str
        Rotational sum rules of order 2 besides, ``"huang"`` and ``"born-huang"``.
    limits : LatticeLimits

    Raises
    ------
    BasisError
        If a cutoff cannot be resolved in the training supercell, or ``full`` is asked for without one or for
        an order above 3, or an order has too many parameters.
    """
    powers = symmetric_powers(crystal.cartesian_rotations, max(cutoffs, default=1))
    built: dict[int, tuple[OrbitTerms, NDArray[np.float64], ClusterClasses]] = {}
    for order in (1, *sorted(cutoffs)):
        clusters, identity, operations = _order_clusters(crystal, order, cutoffs.get(order, {}), torus)
        terms = build_terms(crystal, find_orbits(crystal, clusters, identity, operations), powers)
        if terms.n_parameters > limits.most_parameters:
            raise BasisError(
                f"order {order} has {terms.n_parameters} parameters before sum rules; "
                f"more than {limits.most_parameters} cannot be fitted",
                fix=f"reduce the cutoff of order {order} in expansion.cutoffs_angstrom",
            )
        rules = acoustic_sum_rule(crystal, terms, operations, identity)
        if order == 2 and rotational_sum_rules:
            rotational = rotational_constraints(crystal, terms, rotational_sum_rules)
            rules = sparse.vstack([rules, rotational]).tocsr()
        whitening = whitening_matrix(terms)
        null, whitened = constraint_nullspace(terms, rules, whitening)
        if null.shape[1]:
            turned, along = part_longitudinal(crystal, terms, whitening, whitened)
            classes = ClusterClasses(turned, terms.n_bodies, terms.longest_steps, terms.multiplicities, along)
            if order == 3 and isinstance(identity, OnTorus):
                terms = restore_translations(terms, null, crystal.n_sites)
            built[order] = (terms, null, classes)
    if not built:
        raise BasisError("the expansion has no parameter", fix="enlarge expansion.cutoffs_angstrom")
    return ForceConstantBasis(
        crystal=crystal,
        polynomial=_polynomial(crystal.n_sites, {order: part[0] for order, part in built.items()}),
        nullspaces=tuple(part[1] for part in built.values()),
        orders=tuple(built),
        classes=tuple(part[2] for part in built.values()),
    )


def _order_clusters(
    crystal: Crystal, order: int, cutoff: float | str | Mapping[int, float], torus: Torus | None
) -> tuple[NDArray[np.int64], Identity, NDArray[np.int64]]:
    """Clusters of one order, what makes two of them the same, and the operations of their group."""
    if cutoff == FULL:
        if torus is None or order not in FULL_CLUSTERS:
            raise BasisError(
                f"order {order} cannot be 'full'" + ("" if torus is None else ", only orders 2 and 3 can"),
                fix="give a training supercell and a cutoff in Å for orders above 3",
            )
        return FULL_CLUSTERS[order](torus), OnTorus(torus), compatible_operations(torus)
    by_bodies = _by_bodies(order, cutoff)
    if torus is not None:
        _check_safe(order, by_bodies, torus)
    every = identity_first(crystal.rotations, crystal.site_shift, np.arange(crystal.n_operations))
    clusters = close_under_group(crystal, enumerate_clusters(crystal, order, by_bodies), every)
    return clusters, InCrystal(crystal.n_sites), every


def _by_bodies(order: int, cutoff: float | str | Mapping[int, float]) -> dict[int, float]:
    if isinstance(cutoff, str):
        raise BasisError(f"cutoff {cutoff!r} of order {order} is not understood", fix="give Å or 'full'")
    if isinstance(cutoff, (int, float)):
        return {n_bodies: float(cutoff) for n_bodies in range(2, order + 1)}
    return {n_bodies: float(value) for n_bodies, value in cutoff.items()}


def _check_safe(order: int, by_bodies: dict[int, float], torus: Torus) -> None:
    largest = max(by_bodies.values(), default=0.0)
    safe = largest_safe_cutoff(torus)
    if largest > safe:
        raise BasisError(
            f"cutoff {largest:g} Å of order {order} reaches the periodic images of the training supercell",
            fix=f"use at most {safe:.3f} Å"
            + (", or 'full'," if order in FULL_CLUSTERS else "")
            + " or a larger supercell",
        )


def _polynomial(n_sites: int, terms: dict[int, OrbitTerms]) -> CellPolynomial:
    codes = np.unique(np.concatenate([t.codes.ravel() for t in terms.values()]))
    sites, offsets = decode(codes, n_sites)
    return CellPolynomial(
        n_sites=n_sites,
        slots=np.concatenate([sites[:, None], offsets], axis=1).astype(np.int32),
        orders=tuple(
            OrderTerms(
                order=order,
                monomials=(3 * np.searchsorted(codes, t.codes) + t.axes).astype(np.int32),
                indptr=t.table.indptr.astype(np.int64),
                indices=t.table.indices,
                data=t.table.data,
                n_parameters=t.n_parameters,
            )
            for order, t in terms.items()
        ),
    )
