"""Force constants of another source in the basis of an expansion, order by order.

The forces F_n of order n are homogeneous polynomials of degree n - 1 in the displacements. Parameters w_n of
the basis whose forces X_n w_n come nearest to F_n, averaged over independent normal displacements of all
atoms, are found by least squares; where the basis holds F_n they are exact. Sum rules, symmetry, images in a
supercell and cutoffs are thereby those of the basis, whatever those of the source. A long-range interaction
that the expansion adds by itself is taken off order 2 before. The local part of a force field is carried as
it is where the expansion has the same functions, and order by order where it has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import factorial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.polynomial import chebyshev, polynomial

from mlff_dyn.lattice.topology import map_crystal
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.projection_limits import PROJECTION_LIMITS, ProjectionLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlff_dyn.kernels import ForceKernel
    from mlff_dyn.kernels.strain.kernel import StrainedKernel
    from mlff_dyn.local.basis import LocalBasis
    from mlff_dyn.model.force_field import ForceField

_NULL = 1e-11
"""Eigenvalue over the largest that is rounding of a sum of products: the supercell tells nothing there."""


class SourceForces(Protocol):
    """Forces of single orders on a supercell of the crystal of the basis."""

    @property
    def torus(self) -> Torus:
        """The supercell."""

    @property
    def orders(self) -> tuple[int, ...]:
        """Orders that the source knows."""

    @property
    def local_parameters(self) -> NDArray[np.float64] | None:
        """Parameters of the local part of the expansion (eV); None where the source knows none."""

    def forces(self, displacements: NDArray[np.float64]) -> Mapping[int, NDArray[np.float64]]:
        """Forces of each order (eV/Å, shape (n_atoms, 3)) at displacements (Å) in the order of the torus."""


def project_forces(
    expansion: Expansion,
    source: SourceForces,
    *,
    seed: int = 0,
    limits: ProjectionLimits = PROJECTION_LIMITS,
) -> NDArray[np.float64]:
    """Parameters whose forces come nearest to those of a source, order by order.

    Parameters
    ----------
    expansion : Expansion
    source : SourceForces
    seed : int
        Of the displacements.
    limits : ProjectionLimits

    Returns
    -------
    ndarray, shape (n_parameters,)     eV/Å^order; zero for what the source does not know
    """
    basis, supercell = expansion.basis, expansion.on(source.torus)
    generator = np.random.default_rng(seed)
    here = {order: np.flatnonzero(basis.parameter_orders == order) for order in basis.orders}
    known = {order: columns for order, columns in here.items() if order in source.orders}
    grams = {order: np.zeros((len(columns),) * 2) for order, columns in known.items()}
    moments = {order: np.zeros(len(columns)) for order, columns in known.items()}
    most = max((len(columns) for columns in known.values()), default=0)
    per_frame = 3 * source.torus.n_atoms
    n_frames = limits.fewest_frames + int(limits.rows_per_parameter * most / per_frame)
    for _ in range(n_frames):
        u = generator.standard_normal((source.torus.n_atoms, 3))
        u -= u.mean(axis=0)
        rows, _ = supercell.lattice_rows(u)
        forces = dict(source.forces(u))
        if supercell.dipole_dipole is not None and 2 in forces:
            forces[2] = forces[2] - supercell.dipole_dipole.energy_forces(u)[1]
        for order, columns in known.items():
            design = rows[:, columns]
            grams[order] += design.T @ design
            moments[order] += design.T @ forces[order].ravel()
    result = np.zeros(expansion.n_parameters)
    for order, columns in known.items():
        result[columns] = _least_squares(grams[order], moments[order])
    if source.local_parameters is not None:
        result[basis.n_parameters :] = source.local_parameters
    return result


def _least_squares(gram: NDArray[np.float64], moment: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solution of smallest length: what a small supercell cannot tell apart is shared evenly."""
    values, vectors = np.linalg.eigh(gram)
    seen = values > _NULL * values.max(initial=0.0)
    return np.asarray(vectors[:, seen] @ ((vectors[:, seen].T @ moment) / values[seen]))


class ForceFieldSource:
    """A force field of the same or a related crystal, on the atoms of a supercell.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Of the crystal of the basis.
    local : LocalBasis, optional
        Local part of the expansion that takes the forces.
    limits : ProjectionLimits

    Raises
    ------
    DataError
        If the crystals are not of the same topology.
    """

    def __init__(
        self,
        force_field: ForceField,
        torus: Torus,
        local: LocalBasis | None = None,
        limits: ProjectionLimits = PROJECTION_LIMITS,
    ) -> None:
        self.torus = torus
        self._limits = limits
        n_lattice = force_field.basis.n_parameters
        own = force_field.local
        self.local_parameters: NDArray[np.float64] | None = None
        if own is not None and local is not None and own.has_functions_of(local):
            self.local_parameters = local.parameters(own.values(force_field.posterior.mean[n_lattice:]))
        self._map = map_crystal(force_field.basis.crystal, torus.crystal)
        carried, self._atoms = self._map.carry(torus)
        self._dipoles = force_field.expansion.on(carried).dipole_dipole
        supercell = force_field.expansion.on(carried)
        orders, mean = force_field.expansion.parameter_orders.copy(), force_field.posterior.mean
        if self.local_parameters is not None:
            orders[orders == 0] = 2
        self._kernels = {
            order: supercell.lattice_kernel(np.where(orders == order, mean, 0.0))
            for order in force_field.basis.orders
        }
        self._local = None
        if own is not None and self.local_parameters is None:
            alone = np.append(np.zeros(n_lattice), force_field.posterior.mean[n_lattice:])
            self._local = Expansion(force_field.basis, local=own).on(carried).kernel(alone)

    @property
    def orders(self) -> tuple[int, ...]:
        """Orders that the source knows."""
        own = set(self._kernels)
        return tuple(sorted(own if self._local is None else own | set(self._limits.orders_of_local)))

    def forces(self, displacements: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
        """Forces of each order."""
        theirs = np.zeros_like(displacements)
        theirs[self._atoms] = displacements @ self._map.rotation.T
        found = {order: kernel.energy_forces(theirs)[1] for order, kernel in self._kernels.items()}
        if self._local is not None:
            for order, forces in _forces_by_order(self._local, theirs, self._limits).items():
                found[order] = found.get(order, 0.0) + forces
        if self._dipoles is not None and 2 in found:
            found[2] = found[2] + self._dipoles.energy_forces(theirs)[1]
        return {order: forces[self._atoms] @ self._map.rotation for order, forces in found.items()}


def _forces_by_order(
    kernel: ForceKernel | StrainedKernel, displacements: NDArray[np.float64], limits: ProjectionLimits
) -> dict[int, NDArray[np.float64]]:
    """Terms of the Taylor series of the forces along a displacement, from forces at points near rest."""
    largest = float(np.linalg.norm(displacements, axis=1).max(initial=0.0))
    points = chebyshev.chebpts1(limits.n_points)
    scale = limits.near_rest_angstrom / max(largest, limits.near_rest_angstrom)
    forces = [kernel.energy_forces(x * scale * displacements)[1].ravel() for x in points]
    series = polynomial.polyfit(points, np.array(forces), limits.n_points - 1)
    return {n: (series[n - 1] / scale ** (n - 1)).reshape(-1, 3) for n in limits.orders_of_local}


@dataclass(frozen=True, eq=False)
class CompactTensor:
    """Force constants of one order on a supercell, one row for each site of the primitive cell.

    Attributes
    ----------
    torus : Torus
    first : ndarray of int, shape (n_sites,)
        Atom of the torus that each row belongs to, one for each site.
    rows : ndarray, shape (n_sites, n_atoms, ..., n_atoms, 3, ..., 3)
        All atoms in the order of the torus; as many axes 3 as atoms, eV/Å^order.
    """

    torus: Torus
    first: NDArray[np.int64]
    rows: NDArray[np.float64]

    @property
    def order(self) -> int:
        """Number of atoms."""
        return self.rows.ndim // 2

    @cached_property
    def _matrices(self) -> NDArray[np.float64]:
        """Rows with one axis for each atom and its direction, shape (n_sites, 3, 3 n_atoms, ...)."""
        pairs = [axis for atom in range(1, self.order) for axis in (atom, self.order + atom)]
        tensor = self.rows.transpose(0, self.order, *pairs)
        n_variables = 3 * self.torus.n_atoms
        return np.ascontiguousarray(tensor).reshape(len(self.rows), 3, *(n_variables,) * (self.order - 1))

    def forces(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Forces, eV/Å, shape (n_atoms, 3), at displacements (Å) in the order of the torus."""
        torus = self.torus
        by_cell = displacements.reshape(torus.crystal.n_sites, torus.n_cells, 3)
        forces = np.zeros_like(by_cell)
        for matrix, atom in zip(self._matrices, self.first.tolist(), strict=True):
            site, home = divmod(atom, torus.n_cells)
            for cell, offset in enumerate(torus.offsets - torus.offsets[home]):
                u = by_cell[:, torus.cell_index(torus.offsets + offset)].ravel()
                work = matrix
                for _ in range(1, self.order):
                    work = work @ u
                forces[site, cell] = -work / factorial(self.order - 1)
        return forces.reshape(-1, 3)


class TensorSource:
    """Force constants on a supercell of the same or a related crystal.

    A training supercell that tiles theirs is used in its place: displacements repeat, which folds them.

    Parameters
    ----------
    tensor : CompactTensor
    training : Torus
        Training supercell of the crystal of the basis.

    Raises
    ------
    DataError
        If the crystals are not of the same topology.
    """

    def __init__(self, tensor: CompactTensor, training: Torus) -> None:
        crystal = training.crystal
        self._tensor = tensor
        self._map = map_crystal(tensor.torus.crystal, crystal)
        inverse = np.rint(np.linalg.inv(self._map.vectors)).astype(np.int64)
        theirs = Torus(crystal, tensor.torus.matrix @ inverse)
        ratio = theirs.matrix @ np.linalg.inv(training.matrix)
        self.torus = training if np.abs(ratio - np.rint(ratio)).max() < 1e-6 else theirs
        sites = np.arange(crystal.n_sites)[:, None]
        self._images = (sites * self.torus.n_cells + self.torus.cell_index(theirs.offsets)).ravel()
        self._first = np.unique(self._images, return_index=True)[1]
        _, self._atoms = self._map.carry(theirs)

    @property
    def orders(self) -> tuple[int, ...]:
        """Orders that the source knows."""
        return (self._tensor.order,)

    @property
    def local_parameters(self) -> None:
        """Nothing: force constants have no local part."""

    def forces(self, displacements: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
        """Forces of its order."""
        theirs = np.zeros((len(self._atoms), 3))
        theirs[self._atoms] = displacements[self._images] @ self._map.rotation.T
        forces = self._tensor.forces(theirs)[self._atoms[self._first]]
        return {self._tensor.order: forces @ self._map.rotation}
