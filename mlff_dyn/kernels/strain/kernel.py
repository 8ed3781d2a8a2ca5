"""Energy, forces, virial and dynamics of a homogeneously strained crystal, on top of either force kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError, check_shape
from mlff_dyn.kernels import ForceKernel, local_virial
from mlff_dyn.kernels.slot_atoms import as_slot_atoms
from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains
from mlff_dyn.kernels.strain.series import StrainSeries
from mlff_dyn.kernels.strain.stress_at_rest import second_order_strain, strained_virial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import Dynamics, MdRun, MdState
    from mlff_dyn.kernels.gather import GatherTables
    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.kernels.local_tables import LocalTerms
    from mlff_dyn.kernels.slot_atoms import SlotAtoms
    from mlff_dyn.kernels.strain.energy import StrainEnergy
    from mlff_dyn.kernels.strain.harmonic import StrainableHarmonic
    from mlff_dyn.kernels.strain.polynomial import StrainTables

_MOST_ATOMS_OF_KEPT_KERNELS = 20_000


@dataclass(frozen=True, eq=False)
class StrainableTorus:
    """A torus at given parameters, and what its kernels have in common under any strain.

    Attributes
    ----------
    tables : StrainTables
    strain_energy : StrainEnergy
        Of every parameter.
    parameters : ndarray, shape (n_parameters,)
    atom_indices : callable
        From slots, shape (n_slots, 4), to the atoms that they mean for each home cell.
    precision : str
        See `ForceKernel`.
    n_threads : int or None
    stress_at_rest : ndarray, shape (3, 3), or None
        Stress of the crystal at rest times the volume of its primitive cell, eV.
    harmonic : StrainableHarmonic or None
        Further interactions between all atoms.
    local : LocalTerms or None
        Functions of distances and angles, without strain. Their stress at rest is not contained in energies
        and virials: it is part of `stress_at_rest`.
    force_kernel : type
        Backend; the one in use by default.
    """

    tables: StrainTables
    strain_energy: StrainEnergy
    parameters: NDArray[np.float64]
    atom_indices: Callable[[NDArray[np.int32]], SlotAtoms | NDArray[np.int32]]
    precision: str = "double"
    n_threads: int | None = 1
    stress_at_rest: NDArray[np.float64] | None = None
    harmonic: StrainableHarmonic | None = None
    local: LocalTerms | None = None
    force_kernel: type[ForceKernel] = ForceKernel

    @property
    def n_cells(self) -> int:
        """Primitive cells of the torus."""
        return self._slot_atoms[0].n_cells

    @cached_property
    def coefficients(self) -> list[NDArray[np.float64]]:
        """Coefficients of the unstrained crystal by order."""
        return self.tables.coefficients(self.parameters)

    @cached_property
    def rest_energy(self) -> StrainEnergy:
        """Energy of a primitive cell at rest, of one column."""
        return self.strain_energy.with_parameters(self.parameters, self.stress_at_rest)

    @cached_property
    def local_virial_at_rest(self) -> NDArray[np.float64]:
        """Virial of the local part of the undisplaced, unstrained torus, shape (3, 3), eV."""
        if self.local is None:
            return np.zeros((3, 3))
        one_cell = replace(self.local, neighbor_atoms=self.local.tables.atoms_of_one_cell)
        return self.n_cells * local_virial(one_cell, np.zeros((one_cell.n_atoms, 3)))

    def strained_local(self, strain: NDArray[np.float64]) -> LocalTerms | None:
        """Local part at a strain, its energy measured from rest and the work of its stress at rest."""
        if self.local is None:
            return None
        work = float((self.local_virial_at_rest * second_order_strain(strain)).sum())
        return replace(self.local, strain=strain, energy_at_rest=self.local.energy_at_rest + work)

    def kernel(
        self,
        coefficients: list[NDArray[np.float64]],
        *,
        is_virial: bool = False,
        highest: int | None = None,
        harmonic: HarmonicTorus | None = None,
        local: LocalTerms | None = None,
    ) -> ForceKernel:
        """Force kernel of coefficients of all orders, for the virial of all but the highest.

        With ``highest``, of the orders up to this one, whatever their number.
        """
        tables = self.tables.virial_gather if is_virial else self.tables.gather
        slot_atoms = self._slot_atoms[is_virial]
        if highest is not None:
            tables, slot_atoms = self._up_to(highest)
        return self.force_kernel(
            tables,
            np.concatenate(coefficients),
            slot_atoms,
            self.precision,
            self.n_threads,
            grid=None if harmonic is None else harmonic.grid,
            harmonic=harmonic,
            local=local,
        )

    def _up_to(self, order: int) -> tuple[GatherTables, SlotAtoms]:
        if order not in self._lower:
            tables = self.tables.gather_up_to(order)
            self._lower[order] = tables, as_slot_atoms(self.atom_indices(tables.slots))
        return self._lower[order]

    @cached_property
    def _lower(self) -> dict[int, tuple[GatherTables, SlotAtoms]]:
        return {}

    @cached_property
    def _slot_atoms(self) -> tuple[SlotAtoms, SlotAtoms]:
        """For all orders, and for the virial."""
        of_all, of_virial = (
            as_slot_atoms(self.atom_indices(tables.slots))
            for tables in (self.tables.gather, self.tables.virial_gather)
        )
        return of_all, of_virial


class StrainedKernel:
    """A torus under a fixed strain; `strained` gives the same torus under another one.

    Atoms are at (1 + strain) R + u. Energies are measured from that of the crystal at rest and include that
    of the strain.

    Parameters
    ----------
    torus : StrainableTorus
    strain : ndarray, shape (3, 3)
        Symmetric.

    Raises
    ------
    DataError
        If the strain is not a symmetric tensor.
    """

    def __init__(self, torus: StrainableTorus, strain: NDArray[np.float64]) -> None:
        self.strain = check_strain(strain)
        self._torus = torus
        self._coefficients = torus.tables.strain_coefficients(torus.coefficients, self.strain)
        rest = float(torus.rest_energy.energy(self.strain)[0])
        self._local = torus.strained_local(self.strain)
        if torus.harmonic is not None:
            rest += float(torus.harmonic.rest_energy.energy(self.strain)[0])
        self.n_atoms: int = torus.n_cells * torus.tables.gather.polynomial.n_sites
        self._rest = torus.n_cells * rest

    @cached_property
    def _kernel(self) -> ForceKernel:
        harmonic = self._torus.harmonic
        if harmonic is None:
            return self._torus.kernel(self._coefficients, local=self._local)
        first, *others = self._coefficients
        first = first + harmonic.site_gradient(self.strain).ravel()
        strained = harmonic.strained(self.strain)
        return self._torus.kernel([first, *others], harmonic=strained, local=self._local)

    def strained(self, strain: NDArray[np.float64]) -> StrainedKernel:
        """Return the same crystal under another strain, shape (3, 3), not on top of the present one."""
        return StrainedKernel(self._torus, strain)

    @property
    def series(self) -> StrainSeries | None:
        """The same crystal under strains that change all the time; None where that saves no time."""
        return StrainSeries(self._torus) if StrainSeries.pays(self._torus) else None

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Potential energy and forces.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3), Å
            From the strained sites.

        Returns
        -------
        tuple of float and ndarray, shape (n_atoms, 3)
            eV of the whole torus; eV/Å.
        """
        energy, forces = self._kernel.energy_forces(displacements)
        return energy + self._rest, forces

    def virial(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the energy with respect to the strain at constant displacements.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3), Å

        Returns
        -------
        ndarray, shape (3, 3), eV
            Symmetric; dE = sum_ab virial_ab dstrain_ab.
        """
        virial = np.array(self._virial_at_rest)
        is_large = self.n_atoms > _MOST_ATOMS_OF_KEPT_KERNELS
        kernels = self._make_virial_kernels() if is_large else self._virial_kernels
        for (a, b), kernel in zip(VOIGT, kernels, strict=True):
            value = kernel.energy_forces(displacements)[0]
            virial[a, b] += value
            if a != b:
                virial[b, a] += value
        if self._torus.harmonic is not None:
            virial += self._torus.harmonic.virial(displacements, self.strain)
        if self._local is not None:
            virial += local_virial(self._local, displacements)
            virial -= strained_virial(self._torus.local_virial_at_rest, self.strain)
        return virial

    def run(self, state: MdState, dynamics: Dynamics, n_steps: int, sample_every: int) -> MdRun:
        """Molecular dynamics under constant strain; see `ForceKernel.run`."""
        run = self._kernel.run(state, dynamics, n_steps, sample_every)
        return self._with_rest(run)

    def run_replicas(
        self, states: Sequence[MdState], dynamics: Sequence[Dynamics], n_steps: int, sample_every: int
    ) -> list[MdRun]:
        """Molecular dynamics of independent trajectories; see `ForceKernel.run_replicas`."""
        runs = self._kernel.run_replicas(states, dynamics, n_steps, sample_every)
        return [self._with_rest(run) for run in runs]

    def _with_rest(self, run: MdRun) -> MdRun:
        return replace(run, potential_energies=run.potential_energies + self._rest)

    @cached_property
    def _virial_at_rest(self) -> NDArray[np.float64]:
        return np.asarray(self._torus.n_cells * self._torus.rest_energy.gradient(self.strain)[..., 0])

    @cached_property
    def _virial_kernels(self) -> list[ForceKernel]:
        return list(self._make_virial_kernels())

    def _make_virial_kernels(self) -> Iterator[ForceKernel]:
        """One after the other, so that those of a large torus need not be in memory together."""
        tables = self._torus.tables
        for unit in unit_strains():
            slopes = [
                tables.remove(order, unit, self._coefficients[order - 1])
                for order in range(2, tables.max_order + 1)
            ] or [np.zeros_like(self._coefficients[0])]
            yield self._torus.kernel(slopes, is_virial=True)


def check_strain(strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strain as an array, or a message that says what is wrong.

    Parameters
    ----------
    strain : ndarray, shape (3, 3)

    Returns
    -------
    ndarray, shape (3, 3)

    Raises
    ------
    DataError
        If it is not a finite symmetric tensor.
    """
    check_shape("strain", strain, (3, 3))
    tensor = np.array(strain, dtype=np.float64)
    if not np.isfinite(tensor).all() or np.abs(tensor - tensor.T).max() > 1e-12:
        raise DataError(
            f"strain {tensor.tolist()} is not a symmetric tensor",
            fix="give 3 x 3 finite numbers with equal off-diagonal pairs",
        )
    return np.asarray(0.5 * (tensor + tensor.T))
