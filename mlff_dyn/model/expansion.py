"""The expansion laid on a supercell: design matrices and force kernels from the basis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels import ForceKernel, force_variances, reduced_rows, stress_rows
from mlff_dyn.kernels.gather import energy_row
from mlff_dyn.kernels.harmonic import HarmonicTorus
from mlff_dyn.kernels.placement import Placement, place_tables
from mlff_dyn.kernels.slot_atoms import cell_slices
from mlff_dyn.kernels.strain.kernel import StrainableTorus, StrainedKernel, check_strain
from mlff_dyn.kernels.strain.moves import gauss_sum
from mlff_dyn.lattice.bonds import Bonds, bonded_atoms, neighborhood_amplitudes, relative_amplitude
from mlff_dyn.lattice.deformation import from_voigt, strained_lattice, stress_of_strain_slope, to_voigt
from mlff_dyn.lattice.lattice_limits import LATTICE_LIMITS
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.dipole_strain import StrainedDipoles
from mlff_dyn.model.lattice_part import LatticePart
from mlff_dyn.model.local_expansion import LocalExpansion
from mlff_dyn.model.shared_harmonics import with_shared_harmonics
from mlff_dyn.regression.data.conditions import Conditions, RowKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_tables import LocalTerms
    from mlff_dyn.kernels.strain.harmonic import StrainableHarmonic
    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.local.basis import LocalBasis
    from mlff_dyn.model.long_range import LongRange

_SMALLEST_AMPLITUDE = 1e-12
"""Å, of a frame at rest, which has no ratio."""
_NO_NET_FORCE = 1e-9
"""eV/Å per unit of a parameter, rounding of the sum of the rows of all atoms."""


class Expansion:
    """The energy as a linear function of parameters, with its kernel tables; lay it on a supercell with `on`.

    Parameters are those of the force constants, then one for each function of the local part.

    Parameters
    ----------
    basis : ForceConstantBasis
    long_range : LongRange, optional
        Dipoles, whose forces are no part of the basis.
    local : LocalBasis, optional
        Functions of distances and angles beside the force constants.

    Examples
    --------
    Forces are linear in the parameters: three for the nearest neighbors of fcc copper.

    >>> import numpy as np
    >>> from ase.build import bulk
    >>> from mlff_dyn.lattice.basis import build_basis
    >>> from mlff_dyn.lattice.crystal import build_crystal
    >>> from mlff_dyn.lattice.torus import input_supercell
    >>> cell = bulk("Cu", "fcc", a=3.6, cubic=True)
    >>> crystal = build_crystal(cell.cell.array, cell.positions, cell.numbers)
    >>> supercell = Expansion(build_basis(crystal, {2: 3.0})).on(input_supercell(crystal, (2, 2, 2)))
    >>> of_forces, of_energy = supercell.rows(0.05 * np.eye(32, 3))
    >>> of_forces.shape, of_energy.shape
    ((96, 3), (3,))
    """

    def __init__(
        self,
        basis: ForceConstantBasis,
        long_range: LongRange | None = None,
        local: LocalBasis | None = None,
    ) -> None:
        self.basis = basis
        self.long_range = long_range
        self.local = local
        self.lattice = LatticePart(basis, np.arange(basis.n_parameters))
        self._on: dict[bytes, SupercellExpansion] = {}

    def on(self, torus: Torus, strain: NDArray[np.float64] | None = None) -> SupercellExpansion:
        """Return the expansion on a supercell, the same object for the same one; or on a strained one.

        Parameters
        ----------
        torus : Torus
        strain : ndarray, shape (3, 3), optional
            Symmetric; displacements are then measured from the sites (1 + strain) R.
        """
        key = torus.matrix.tobytes()
        if key not in self._on:
            self._on[key] = SupercellExpansion(_Supercell(self, torus))
        plain = self._on[key]
        return plain if strain is None or not np.any(strain) else plain.strained(strain)

    @property
    def n_parameters(self) -> int:
        """Number of parameters of both parts."""
        return self.basis.n_parameters + (0 if self.local is None else self.local.n_parameters)

    @property
    def parameter_orders(self) -> NDArray[np.int64]:
        """Order of each parameter, 0 for those of the local part; shape (n_parameters,)."""
        own = self.basis.parameter_orders
        return np.append(own, np.zeros(self.n_parameters - len(own), own.dtype))

    @property
    def displacement_powers(self) -> NDArray[np.int64]:
        """Power of displacements that the force per parameter grows with, shape (n_parameters,).

        Functions of the local part have a natural size, and are not scaled.
        """
        return np.maximum(self.parameter_orders - 1, 0)

    @cached_property
    def strained_lattice(self) -> LatticePart:
        """Force constants of strained cells and of other ones than the training supercell.

        See `mlff_dyn.model.shared_harmonics`.
        """
        training = self._training
        if self.local is None or training is None:
            return self.lattice
        basis = with_shared_harmonics(self.basis, self.local, training)
        orders = np.where(self.parameter_orders, self.parameter_orders, 2)
        return self.lattice if basis is None else LatticePart(basis, np.argsort(orders, kind="stable"))

    def lattice_on(self, torus: Torus) -> LatticePart:
        """Force constants of an unstrained supercell."""
        training = self._training
        is_shared = training is not None and not training.consists_of(torus)
        return self.strained_lattice if is_shared else self.lattice

    @cached_property
    def _training(self) -> Torus | None:
        """Supercell whose images share the harmonic part of the local energy."""
        if self.local is None or self.local.shared_on is None:
            return None
        return Torus(self.basis.crystal, self.local.shared_on)

    @cached_property
    def strained_dipoles(self) -> StrainedDipoles | None:
        """Dipoles under strain; None where the crystal has none."""
        if self.long_range is None:
            return None
        pairs = (
            classes.longest_steps[classes.n_bodies == 2]
            for order, classes in zip(self.basis.orders, self.basis.classes, strict=True)
            if order == 3
        )
        reaches = [] if self.local is None else [np.array([self.local.settings.cutoff_angstrom])]
        lengths = np.concatenate([np.empty(0), *pairs, *reaches])
        reach = float(lengths.max()) if len(lengths) else None
        return StrainedDipoles(self.long_range, self.basis.crystal, reach)


@dataclass(frozen=True, eq=False)
class _Supercell:
    """What does not depend on the strain."""

    expansion: Expansion
    torus: Torus

    @cached_property
    def lattice(self) -> LatticePart:
        """Force constants without strain."""
        return self.expansion.lattice_on(self.torus)

    @cached_property
    def place(self) -> Placement:
        """Their kernel tables."""
        return place_tables(self.lattice.tables, self.torus.slot_atoms(self.lattice.tables.slots))

    @cached_property
    def strainable_place(self) -> Placement:
        """Kernel tables of the force constants under strain, without any."""
        tables = self.expansion.strained_lattice.tables
        return (
            self.place
            if tables is self.place.tables
            else place_tables(tables, self.torus.slot_atoms(tables.slots))
        )

    @cached_property
    def local(self) -> LocalExpansion | None:
        """The local part; None where the energy has none."""
        local = self.expansion.local
        return None if local is None else LocalExpansion(local, self.torus)

    @cached_property
    def bonds(self) -> Bonds:
        """Bonds of the unstrained supercell."""
        return bonded_atoms(self.torus)

    @cached_property
    def dipoles(self) -> StrainableHarmonic | None:
        """Dipoles under any strain; None where the crystal has none."""
        dipoles = self.expansion.strained_dipoles
        return None if dipoles is None else dipoles.on(self.torus)

    @cached_property
    def dipoles_at_rest(self) -> HarmonicTorus | None:
        """Dipoles without strain; None where the crystal has none."""
        long_range = self.expansion.long_range
        return None if long_range is None else long_range.on(self.torus)


class SupercellExpansion:
    """The expansion on one supercell, strained or not, in the atom order of its torus; see `Expansion.on`."""

    def __init__(self, supercell: _Supercell, strain: NDArray[np.float64] | None = None) -> None:
        expansion = supercell.expansion
        self.expansion = expansion
        self.basis = expansion.basis
        self.long_range = expansion.long_range
        self.local = supercell.local
        self.torus = supercell.torus
        self.strain = np.zeros((3, 3)) if strain is None else check_strain(strain)
        self._supercell = supercell
        self._lattice, self._place = supercell.lattice, supercell.place
        if strain is not None:
            self._lattice, place = expansion.strained_lattice, supercell.strainable_place
            moves = self._lattice.slot_positions @ self.strain
            self._place = place_tables(place.tables, place.slot_atoms, moves)

    def strained(self, strain: NDArray[np.float64]) -> SupercellExpansion:
        """Return the expansion on the same supercell under a strain, symmetric, shape (3, 3)."""
        return SupercellExpansion(self._supercell, strain)

    @cached_property
    def lattice(self) -> NDArray[np.float64]:
        """Vectors of the (strained) supercell as rows, Å."""
        return strained_lattice(self.torus.lattice, self.strain)

    @property
    def volume(self) -> float:
        """Volume of the (strained) supercell, Å³."""
        return abs(float(np.linalg.det(self.lattice)))

    def rows(self, displacements: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows of the design matrix for the forces and for the energy.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3)     Å

        Returns
        -------
        force_rows : ndarray, shape (3 * n_atoms, n_parameters)     Å^(order - 1)
        energy_row : ndarray, shape (n_parameters,)                 Å^order
            Of the energy measured from that of the unstrained crystal at rest.
        """
        forces, energy = self._all_lattice_rows(displacements)
        if self.local is None:
            return forces, energy
        local = self.local.rows(displacements, self.strain)
        return self._in_all_columns(forces, local.forces), self._in_all_columns(energy, local.energy)

    def _in_all_columns(
        self, lattice: NDArray[np.float64], local: NDArray[np.float64], part: LatticePart | None = None
    ) -> NDArray[np.float64]:
        """Sum of both parts; the lattice is that of the supercell by default."""
        result = np.zeros((*lattice.shape[:-1], self.expansion.n_parameters))
        result[..., (part or self._lattice).columns] = lattice
        result[..., self.basis.n_parameters :] += local
        return result

    def lattice_rows(
        self, displacements: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows of the parameters of the force constants alone, the first columns of `rows`."""
        forces, energy = self._all_lattice_rows(displacements)
        own = self._lattice.columns < self.basis.n_parameters
        return (forces, energy) if own.all() else (forces[:, own], energy[own])

    def _all_lattice_rows(
        self, displacements: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        lattice = self._lattice
        forces = self._reduced(displacements)
        orders = lattice.basis.parameter_orders
        if not self._place.is_strained:
            return forces, energy_row(forces, displacements, orders)
        centered = displacements - displacements.mean(axis=0)
        work = gauss_sum(lambda x: centered.ravel() @ self._reduced(x * centered), int(orders.max()) - 1)
        rest = self.torus.n_cells * lattice.strain_energy.energy(self.strain)
        by_atom = forces.reshape(len(displacements), 3, -1) - self._net_force_rows
        return by_atom.reshape(forces.shape), lattice.basis.reduce_columns(rest) - work

    def _reduced(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        return reduced_rows(self._place, self._lattice.reduction, displacements)

    @cached_property
    def _net_force_rows(self) -> NDArray[np.float64]:
        """Mean force on the atoms of the strained crystal, which is taken off; shape (3, n_parameters)."""
        tables = self._place.tables
        one_cell = place_tables(tables, tables.slots[:, :1], self._place.moves)
        rows = reduced_rows(one_cell, self._lattice.reduction, np.zeros((one_cell.n_atoms, 3)))
        return np.asarray(rows.reshape(one_cell.n_atoms, 3, -1).mean(axis=0))

    def force_variances(
        self,
        displacements: NDArray[np.float64],
        covariance_factor: NDArray[np.float64],
        *,
        atoms: NDArray[np.int64] | None = None,
        n_threads: int | None = 1,
    ) -> NDArray[np.float64]:
        """Variance of the force components, in memory that does not grow with the design matrix.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3)     Å
        covariance_factor : ndarray, shape (n_parameters, any)
        atoms : ndarray, optional
            Atoms whose variances are wanted; all by default.
        n_threads : int or None
            Threads for a large torus; None: all cores.

        Returns
        -------
        ndarray, shape (n_atoms or len(atoms), 3)     (eV/Å)²
        """
        if self._place.is_strained and np.abs(self._net_force_rows).max(initial=0.0) > _NO_NET_FORCE:
            every = self._variances_without_net_force(displacements, covariance_factor)
            return every if atoms is None else every[atoms]
        local, factor = None, covariance_factor
        if self.local is not None:
            local = self.local.place(displacements, self.strain)
            values = self.local.basis.values(factor[self.basis.n_parameters :])
            factor = np.vstack([factor[self._lattice.columns], values])
        given = (self._place, self._lattice.reduction, displacements, factor)
        return force_variances(*given, atoms=atoms, local=local, n_threads=n_threads)

    def _variances_without_net_force(
        self, displacements: NDArray[np.float64], covariance_factor: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        place = self._place
        lattice, local = (
            covariance_factor[self._lattice.columns],
            covariance_factor[self.basis.n_parameters :],
        )
        atoms = np.arange(place.n_atoms).reshape(place.n_sites, place.n_cells)
        variances = np.empty((place.n_sites, place.n_cells, 3))
        for cells in cell_slices(place.n_cells, 3 * place.n_sites * self.expansion.n_parameters):
            rows = reduced_rows(place, self._lattice.reduction, displacements, cells)
            rows = (rows.reshape(-1, 3, rows.shape[1]) - self._net_force_rows).reshape(rows.shape)
            products = rows @ lattice
            if self.local is not None:
                own = self.local.force_rows(displacements, self.strain, atoms[:, cells].ravel())
                products += own @ local
            variances[:, cells] = (products**2).sum(axis=1).reshape(place.n_sites, -1, 3)
        return variances.reshape(-1, 3)

    def stress_rows(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of the stress at constant displacements, measured from that of the unstrained crystal at rest.

        The strain moves the sites; a strain that takes the displacements along does further work against the
        forces, see `mlff_dyn.lattice.deformation.stress_of_displacing`.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3)     Å

        Returns
        -------
        ndarray, shape (6, n_parameters)
            Components xx, yy, zz, yz, xz, xy, positive under tension: stress = row @ parameters, eV/Å³.
        """
        centered = displacements - displacements.mean(axis=0)
        lattice = self.expansion.strained_lattice
        place = self._place if self._place.is_strained else self._supercell.strainable_place
        slope = stress_rows(place, lattice.slot_positions, centered)
        if place.is_strained:
            slope = slope + self._slope_at_rest
        stress = lattice.basis.reduce_columns(stress_of_strain_slope(slope, self.strain)) / self.volume
        if self.local is None:
            return stress
        local = to_voigt(self.local.rows(displacements, self.strain).virial)
        of_local = stress_of_strain_slope(local, self.strain) / self.volume
        return self._in_all_columns(stress, of_local, lattice)

    @cached_property
    def _slope_at_rest(self) -> NDArray[np.float64]:
        """Slope of the energy at rest by the strain, shape (6, n_orbit_parameters)."""
        energy = self.expansion.strained_lattice.strain_energy
        return self.torus.n_cells * to_voigt(energy.gradient(self.strain))

    def amplitude(self, displacements: NDArray[np.float64]) -> float:
        """Relative amplitude of a frame, which truncation errors grow with (Å); displacements in Å."""
        return relative_amplitude(self._supercell.bonds, displacements, self.strain)

    def force_conditions(
        self, displacements: NDArray[np.float64], smallest_ratio: float = LATTICE_LIMITS.smallest_ratio
    ) -> Conditions:
        """What the noise of the force on each atom depends on; displacements in Å, shape (n_atoms, 3)."""
        n_atoms = len(displacements)
        amplitude = self.amplitude(displacements)
        local = neighborhood_amplitudes(self._supercell.bonds, displacements, self.strain)
        ratios = np.maximum(local / max(amplitude, _SMALLEST_AMPLITUDE), smallest_ratio)
        return Conditions(np.full(n_atoms, amplitude), ratios, np.full(n_atoms, int(RowKind.FORCE)))

    @property
    def dipole_dipole(self) -> HarmonicTorus | None:
        """Long-range interaction on the unstrained supercell; None where the crystal has no dipoles."""
        return self._supercell.dipoles_at_rest

    @property
    def dipoles(self) -> StrainableHarmonic | None:
        """Long-range interaction on the supercell under any strain; None where the crystal has no dipoles."""
        return self._supercell.dipoles

    def kernel(
        self, parameters: NDArray[np.float64], *, precision: str = "double", n_threads: int | None = 1
    ) -> ForceKernel | StrainedKernel:
        """Compiled energy, forces and dynamics for given independent parameters, the long range included."""
        if self._place.is_strained:
            return self.strained_kernel(parameters, precision=precision, n_threads=n_threads)
        return ForceKernel(
            self._place.tables,
            self._lattice.orbit_parameters(parameters),
            self._place.slot_atoms,
            precision,
            n_threads,
            grid=self.torus.grid,
            harmonic=self.dipole_dipole,
            local=self._local_terms(parameters),
        )

    def switched_kernel(
        self, parameters: NDArray[np.float64], harmonic: HarmonicTorus, coupling: float
    ) -> ForceKernel:
        """Kernel of coupling times the energy and (1 - coupling) times a harmonic one.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
            Of the whole energy, of the unstrained supercell.
        harmonic : HarmonicTorus
            Of the same supercell.
        coupling : float
        """
        scaled, blocks = coupling * parameters, (1.0 - coupling) * harmonic.blocks
        if self.dipole_dipole is not None:
            blocks = blocks + coupling * self.dipole_dipole.blocks
        return ForceKernel(
            self._place.tables,
            self._lattice.orbit_parameters(scaled),
            self._place.slot_atoms,
            grid=self.torus.grid,
            harmonic=HarmonicTorus(self.torus.grid, blocks),
            local=self._local_terms(scaled),
        )

    def lattice_kernel(self, parameters: NDArray[np.float64]) -> ForceKernel:
        """Kernel of the force constants alone, for given parameters of all parts."""
        place, coefficients = self._place, self._lattice.orbit_parameters(parameters)
        return ForceKernel(place.tables, coefficients, place.slot_atoms, grid=self.torus.grid)

    def _local_terms(self, parameters: NDArray[np.float64]) -> LocalTerms | None:
        if self.local is None:
            return None
        return self.local.terms(parameters[self.basis.n_parameters :], np.zeros((3, 3)))

    def strained_kernel(
        self,
        parameters: NDArray[np.float64],
        *,
        stress_at_rest: NDArray[np.float64] | None = None,
        precision: str = "double",
        n_threads: int | None = 1,
    ) -> StrainedKernel:
        """Compile a kernel that knows its virial and can be strained, the long range included.

        Parameters
        ----------
        parameters : ndarray, shape (n_parameters,)
        stress_at_rest : ndarray, shape (6,), optional
            Of the unstrained crystal, eV/Å³; zero by default.
        precision : str
        n_threads : int or None
        """
        volume = abs(float(np.linalg.det(self.basis.crystal.lattice)))
        lattice = self.expansion.strained_lattice
        torus = StrainableTorus(
            lattice.strain_tables,
            lattice.strain_energy,
            lattice.orbit_parameters(parameters),
            self.torus.slot_atoms,
            precision,
            n_threads,
            None if stress_at_rest is None else volume * from_voigt(stress_at_rest),
            self.dipoles,
            local=self._local_terms(parameters),
        )
        return StrainedKernel(torus, self.strain)
