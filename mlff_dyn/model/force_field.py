"""A trained force field: the basis, the posterior of its parameters, and what it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError, check_shape
from mlff_dyn.lattice.deformation import stress_of_virial
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.labelled_frame import stress_design
from mlff_dyn.regression.data.conditions import Conditions, RowKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels import ForceKernel
    from mlff_dyn.kernels.strain.kernel import StrainedKernel
    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.local.basis import LocalBasis
    from mlff_dyn.model.fitting.prior_guess import PriorGuessSummary
    from mlff_dyn.model.long_range import LongRange
    from mlff_dyn.regression.fit.posterior import Posterior


@dataclass(frozen=True, eq=False)
class TrainingSummary:
    """What the data of a fit were.

    Attributes
    ----------
    n_snapshots : int
    displacement_rms_angstrom : float          over all components
    displacement_max_angstrom : float          largest displacement of an atom
    force_rms_ev_per_angstrom : float          over all components, without static forces
    rmse_force_ev_per_angstrom : float         residual of the fit
    rmse_energy_ev_per_atom : float or None    None without energies of unstrained cells
    reference_energy_ev_per_cell : float       energy of a primitive cell at rest; 0 without energies
    """

    n_snapshots: int
    displacement_rms_angstrom: float
    displacement_max_angstrom: float
    force_rms_ev_per_angstrom: float
    rmse_force_ev_per_angstrom: float
    rmse_energy_ev_per_atom: float | None
    reference_energy_ev_per_cell: float


@dataclass(frozen=True, eq=False)
class ForceErrors:
    """Standard deviations of forces, eV/Å, each of shape (n_atoms, 3); or of another quantity, in its unit.

    Attributes
    ----------
    epistemic : ndarray      what more data remove
    truncation : ndarray     what the expansion leaves out, and numerical noise
    predictive : ndarray     both; the size of the error to expect
    """

    epistemic: NDArray[np.float64]
    truncation: NDArray[np.float64]
    predictive: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScalarModel:
    """What the errors of the energy per atom, or of the stress, need beyond the posterior of the parameters.

    The unknown zero (of the energy; the stress at rest) given the parameters w is
    zero - coupling (w - their mean), with its own sd.

    Attributes
    ----------
    zero : ndarray, shape (n,)                        at the posterior mean
    coupling : ndarray, shape (n, n_parameters)
    zero_factor : ndarray, shape (n, n_any)           G with covariance G Gᵀ of the zero, parameters known
    calibration : float                               factor on all standard deviations
    coherent_sd : float
        What the expansion leaves out on average, and the zero hides at the amplitudes of the data: its
        standard deviation at the reference amplitude of the noise.
    largest_amplitude : float                         of the data, Å
    smallest_amplitude : float
        Of the data, Å; 0 where it is not known.
    """

    zero: NDArray[np.float64]
    coupling: NDArray[np.float64]
    zero_factor: NDArray[np.float64]
    calibration: float
    coherent_sd: float
    largest_amplitude: float
    smallest_amplitude: float = 0.0


@dataclass(frozen=True, eq=False)
class ForceField:
    """An anharmonic force field with calibrated errors.

    Attributes
    ----------
    basis : ForceConstantBasis
    posterior : Posterior
        Of the independent parameters, eV/Å^order.
    calibration : float
        Factor on all standard deviations, from held-out configurations.
    training : TrainingSummary
    energy : ScalarModel or None
        Errors of the energy per atom; None where fewer than two energies were fitted.
    stress : ScalarModel or None
        Errors of the stress; None where fewer than two stresses were fitted.
    long_range : LongRange or None
        Dipole-dipole interaction that is added to the expansion.
    local : LocalBasis or None
        Functions of distances and angles beside the force constants.
    prior_guess : PriorGuessSummary or None
        What a cheaper source contributed; None if there was none.
    site_scales : ndarray, shape (n_sites,), or None
        Factors on the standard deviations of the forces on each site beside the calibration; None: all one.
    near_rest : ForceField or None
        Of the same expansion, fitted to small displacements as well; None: it is itself, or there are none.

    Examples
    --------
    Train on three frames of fcc copper, labelled by the EMT potential of ASE.

    >>> import numpy as np
    >>> from ase import Atoms
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from mlff_dyn.lattice.basis import build_basis
    >>> from mlff_dyn.lattice.crystal import build_crystal
    >>> from mlff_dyn.lattice.torus import input_supercell
    >>> from mlff_dyn.model.fitting.fit import fit_force_field
    >>> from mlff_dyn.model.fitting.fit_data import FitData
    >>> from mlff_dyn.model.fitting.labelled_frame import labelled_frame
    >>> cell = bulk("Cu", "fcc", a=3.59, cubic=True)
    >>> crystal = build_crystal(cell.cell.array, cell.positions, cell.numbers)
    >>> torus = input_supercell(crystal, (2, 2, 2))
    >>> basis = build_basis(crystal, {2: 3.0}, torus)
    >>> supercell = Expansion(basis).on(torus)
    >>> frames = []
    >>> for moved in 0.02 * np.random.default_rng(1).standard_normal((3, torus.n_atoms, 3)):
    ...     moved -= moved.mean(axis=0)
    ...     atoms = Atoms(torus.numbers, torus.positions + moved, cell=torus.lattice, pbc=True)
    ...     atoms.calc = EMT()
    ...     frames.append(labelled_frame(supercell, moved, atoms.get_forces(), atoms.get_potential_energy()))
    >>> trained = fit_force_field(basis, FitData(frames)).on(torus)
    >>> energy, forces = trained.energy_forces(moved)
    >>> found = np.sqrt(np.mean((forces - atoms.get_forces()) ** 2))
    >>> expected = np.sqrt(np.mean(trained.force_errors(moved).predictive ** 2))
    >>> print(f"rms error {found:.3f} eV/Å, expected {expected:.3f} eV/Å")
    rms error 0.013 eV/Å, expected 0.015 eV/Å
    """

    basis: ForceConstantBasis
    posterior: Posterior
    calibration: float
    training: TrainingSummary
    energy: ScalarModel | None = None
    stress: ScalarModel | None = None
    long_range: LongRange | None = None
    local: LocalBasis | None = None
    prior_guess: PriorGuessSummary | None = None
    site_scales: NDArray[np.float64] | None = None
    near_rest: ForceField | None = None

    def __post_init__(self) -> None:
        """Refuse parameters and parts of another crystal or expansion."""
        n_local = 0
        if self.local is not None:
            crystal = self.basis.crystal
            self.local.check_crystal(crystal.lattice, crystal.positions, crystal.numbers)
            n_local = self.local.n_parameters
        n_parameters = self.basis.n_parameters + n_local
        check_shape("mean", self.posterior.mean, (n_parameters,))
        check_shape("covariance_factor", self.posterior.covariance_factor, (n_parameters, None))
        if not 0.0 <= self.calibration < np.inf:
            raise DataError(f"a calibration of {self.calibration}", fix="give a factor above zero")
        if self.site_scales is not None:
            check_shape("site_scales", self.site_scales, (self.basis.crystal.n_sites,))
            if not (np.isfinite(self.site_scales) & (self.site_scales >= 0.0)).all():
                raise DataError("site_scales are no factors", fix="give factors above zero")

    @cached_property
    def expansion(self) -> Expansion:
        """The basis with its kernel tables."""
        return Expansion(self.basis, self.long_range, self.local)

    @property
    def at_rest(self) -> ForceField:
        """The force field to ask for derivatives of the energy at rest, itself where no other is known."""
        return self if self.near_rest is None else self.near_rest

    @cached_property
    def static_forces(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Forces on the undisplaced sites and their standard deviations, each (n_sites, 3), eV/Å."""
        crystal = self.basis.crystal
        none = np.zeros((crystal.n_sites, 3))
        if 1 not in self.basis.orders:
            return none, none
        rows, _ = self.expansion.on(Torus(crystal, np.eye(3, dtype=np.int64))).rows(none)
        sds = np.sqrt(self.posterior.variance(rows)).reshape(-1, 3)
        return (rows @ self.posterior.mean).reshape(-1, 3), self.force_scales(len(sds)) * sds

    def force_scales(self, n_atoms: int) -> NDArray[np.float64]:
        """Factors on the standard deviations of the forces on the atoms of a torus, shape (n_atoms, 1)."""
        of_sites = np.ones(self.basis.crystal.n_sites) if self.site_scales is None else self.site_scales
        return self.calibration * np.repeat(of_sites, n_atoms // len(of_sites))[:, None]

    def static_forces_on(self, torus: Torus) -> NDArray[np.float64]:
        """Forces on the undisplaced atoms of a supercell, shape (n_atoms, 3), eV/Å."""
        return np.repeat(self.static_forces[0], torus.n_cells, axis=0)

    def on(
        self,
        torus: Torus,
        *,
        strain: NDArray[np.float64] | None = None,
        precision: str = "double",
        n_threads: int | None = 1,
    ) -> SupercellForceField:
        """Return the force field on a supercell.

        Parameters
        ----------
        torus : Torus
        strain : ndarray, shape (3, 3), optional
            Symmetric; displacements are then measured from the sites (1 + strain) R.
        precision : str
            ``double`` or ``single`` arithmetic of the kernel.
        n_threads : int or None
            Threads of the kernel; None: as many as pay.
        """
        return SupercellForceField(self, self.expansion.on(torus, strain), precision, n_threads)


class SupercellForceField:
    """A force field on one supercell, strained or not, in the atom order of its torus.

    Parameters
    ----------
    force_field : ForceField
    supercell : SupercellExpansion
    precision : str
        ``double`` or ``single`` arithmetic of energy, forces and dynamics.
    n_threads : int or None
    known_kernel : StrainedKernel, optional
        Of the same supercell under any strain, which makes the one of this strain at little cost.
    """

    def __init__(
        self,
        force_field: ForceField,
        supercell: SupercellExpansion,
        precision: str = "double",
        n_threads: int | None = 1,
        *,
        known_kernel: StrainedKernel | None = None,
    ) -> None:
        self.force_field = force_field
        self.torus = supercell.torus
        self._supercell = supercell
        self._precision = precision
        self._n_threads = n_threads
        self._known_kernel = known_kernel

    @property
    def strain(self) -> NDArray[np.float64]:
        """Strain of the supercell, shape (3, 3)."""
        return self._supercell.strain

    @property
    def lattice(self) -> NDArray[np.float64]:
        """Vectors of the supercell as rows, Å."""
        return self._supercell.lattice

    def strained(self, strain: NDArray[np.float64]) -> SupercellForceField:
        """Return the same supercell under another strain, at little cost."""
        return SupercellForceField(
            self.force_field,
            self.force_field.expansion.on(self.torus, strain),
            self._precision,
            self._n_threads,
            known_kernel=self.strained_kernel if np.any(strain) else None,
        )

    @cached_property
    def kernel(self) -> ForceKernel | StrainedKernel:
        """Compiled energy, forces and dynamics at the posterior mean."""
        if self.strain.any():
            return self.strained_kernel
        mean = self.force_field.posterior.mean
        return self._supercell.kernel(mean, precision=self._precision, n_threads=self._n_threads)

    @cached_property
    def strained_kernel(self) -> StrainedKernel:
        """Compiled kernel that knows its virial and can be strained."""
        if self._known_kernel is not None:
            return self._known_kernel.strained(self.strain)
        mean = self.force_field.posterior.mean
        known = self.force_field.stress
        return self._supercell.strained_kernel(
            mean,
            stress_at_rest=None if known is None else known.zero,
            precision=self._precision,
            n_threads=self._n_threads,
        )

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Energy (eV, the reference energy included) and forces (eV/Å, shape (n_atoms, 3)).

        Raises
        ------
        DataError
            If an atom is farther from its site than the local part knows neighbors for.
        """
        self.check_displacements(displacements)
        energy, forces = self.kernel.energy_forces(displacements)
        return energy + self.reference_energy, forces

    def check_displacements(self, displacements: NDArray[np.float64]) -> None:
        """Refuse an atom that is farther from its site than the local part knows neighbors for."""
        if self._supercell.local is not None:
            self._supercell.local.check_displacements(displacements)

    @property
    def reference_energy(self) -> float:
        """Energy of the crystal at rest without strain, eV."""
        return self.force_field.training.reference_energy_ev_per_cell * self.torus.n_cells

    @property
    def volume(self) -> float:
        """Volume of the strained supercell, Å³."""
        return self._supercell.volume

    def vibrational_forces(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Forces without those on the undisplaced atoms, shape (n_atoms, 3), eV/Å: the size of errors."""
        _, forces = self.energy_forces(displacements)
        return forces - self.force_field.static_forces_on(self.torus)

    def stress(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Stress at given displacements (Å); measured from the crystal at rest if none was fitted.

        Of a deformation that moves sites and displaced atoms alike, as ASE defines it.

        Returns
        -------
        ndarray, shape (6,)
            Components xx, yy, zz, yz, xz, xy, positive under tension, eV/Å³.
        """
        _, forces = self.kernel.energy_forces(displacements)
        virial = self.strained_kernel.virial(displacements)
        return np.asarray(stress_of_virial(virial, forces, displacements, self.strain) / self.volume)

    def force_errors(self, displacements: NDArray[np.float64]) -> ForceErrors:
        """Standard deviations of all force components at given displacements (Å, shape (n_atoms, 3))."""
        variances = self._supercell.force_variances(
            displacements, self.force_field.posterior.covariance_factor, n_threads=self._n_threads
        )
        return errors_of_variances(
            self.force_field, variances, self._supercell.force_conditions(displacements)
        )

    def energy_errors(self, displacements: NDArray[np.float64]) -> ForceErrors | None:
        """Standard deviations of the energy per atom (eV), each of shape (1,); None if it was not fitted."""
        if self.force_field.energy is None:
            return None
        row = self._supercell.rows(displacements)[1] / len(displacements)
        return energy_errors_of_row(self.force_field, row, self._supercell.amplitude(displacements))

    def stress_errors(self, displacements: NDArray[np.float64]) -> ForceErrors | None:
        """Standard deviations of the stress (eV/Å³), each of shape (6,); None if it was not fitted."""
        if self.force_field.stress is None:
            return None
        rows = stress_design(self._supercell, displacements, self._supercell.rows(displacements)[0])
        return stress_errors_of_rows(self.force_field, rows, self._supercell.amplitude(displacements))


def errors_of_rows(force_field: ForceField, rows: NDArray[np.float64], conditions: Conditions) -> ForceErrors:
    """Standard deviations of forces whose rows are at hand; see `errors_of_variances`.

    Parameters
    ----------
    force_field : ForceField
    rows : ndarray, shape (3 * n_atoms, n_parameters)
        Design matrix of the forces.
    conditions : Conditions, of n_atoms
        See `SupercellExpansion.force_conditions`.
    """
    return errors_of_variances(force_field, force_field.posterior.variance(rows), conditions)


def errors_of_variances(
    force_field: ForceField, variances: NDArray[np.float64], conditions: Conditions
) -> ForceErrors:
    """Standard deviations of forces whose epistemic variances, n_atoms times 3, are at hand."""
    noise = force_field.posterior.noise.variance(conditions.amplitudes, conditions.ratios)
    by_atom = variances.reshape(-1, 3)
    scales = force_field.force_scales(len(by_atom))
    return _parts(scales, by_atom, np.broadcast_to(noise[:, None], by_atom.shape))


def energy_errors_of_row(
    force_field: ForceField, row: NDArray[np.float64], amplitude_angstrom: float
) -> ForceErrors | None:
    """Standard deviations of an energy per atom (eV) whose row is at hand; None if it was not fitted.

    Parameters
    ----------
    force_field : ForceField
    row : ndarray, shape (n_parameters,)
        Of the energy per atom.
    amplitude_angstrom : float
        See `SupercellExpansion.amplitude`.
    """
    if force_field.energy is None:
        return None
    return _scalar_errors(force_field, force_field.energy, RowKind.ENERGY, row[None], amplitude_angstrom)


def stress_errors_of_rows(
    force_field: ForceField, rows: NDArray[np.float64], amplitude_angstrom: float
) -> ForceErrors | None:
    """Standard deviations of a stress (eV/Å³) whose rows, shape (6, n_parameters), are at hand."""
    if force_field.stress is None:
        return None
    return _scalar_errors(force_field, force_field.stress, RowKind.STRESS, rows, amplitude_angstrom)


def _scalar_errors(
    force_field: ForceField,
    model: ScalarModel,
    kind: RowKind,
    rows: NDArray[np.float64],
    amplitude_angstrom: float,
) -> ForceErrors:
    variances = force_field.posterior.variance(rows - model.coupling)
    variances = variances + np.einsum("ij,ij->i", model.zero_factor, model.zero_factor)
    noise = force_field.posterior.hyperparameters.other_noise[kind]
    amplitudes = np.array([amplitude_angstrom, model.smallest_amplitude, model.largest_amplitude])
    grown, smallest, largest = (amplitudes / noise.reference_amplitude) ** noise.exponent
    beyond = model.coherent_sd / model.calibration * max(0.0, grown - largest, smallest - grown)
    total = noise.variance(amplitude_angstrom) + beyond**2
    return _parts(model.calibration, variances, np.broadcast_to(total, variances.shape))


def _parts(
    scale: float | NDArray[np.float64], epistemic: NDArray[np.float64], noise: NDArray[np.float64]
) -> ForceErrors:
    """Standard deviations from variances before calibration."""
    return ForceErrors(scale * np.sqrt(epistemic), scale * np.sqrt(noise), scale * np.sqrt(epistemic + noise))
