"""How far dynamics may go: what the data cover and what order 2 predicts at a temperature.

Displacements of a classical harmonic crystal are normal, so the largest of N independent ones is the value
that one in N exceeds. The kinetic energy of equilibrium obeys chi-square statistics in any potential; the
potential energy, measured from the crystal at rest, has mean and fluctuation of equipartition where that
crystal is a minimum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols
from scipy.special import chdtri

from mlff_dyn.errors import ConfigError
from mlff_dyn.md.start import displacement_limit
from mlff_dyn.model.harmonic_modes import modes_of_order_2
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K, format_kelvin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import MdRun
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import SupercellForceField, TrainingSummary
    from mlff_dyn.model.harmonic_modes import HarmonicModes


@dataclass(frozen=True)
class Motion:
    """What is to be run.

    Attributes
    ----------
    temperature_kelvin, timestep_femtoseconds : float
    n_steps : int
    displacement_limit_angstrom : float or None
        Given by the user; None: derived.
    """

    temperature_kelvin: float
    timestep_femtoseconds: float
    n_steps: int
    displacement_limit_angstrom: float | None = None


@dataclass(frozen=True)
class TrustedRegion:
    """Where dynamics is sound.

    Attributes
    ----------
    temperature_kelvin : float
    displacement_limit_angstrom : float
    is_given : bool                            the limit is the user's
    is_of_local : bool                         the limit is where the local part has no more neighbors
    expected_angstrom : float or None
        Largest displacement that order 2 predicts in all the steps; None where it is not stable.
    expected_rms_angstrom : float or None
        Root mean square of a component.
    trained_angstrom : float                   largest displacement of the data
    largest_kinetic_energy : float             of all atoms, eV
    least_potential_energy : float             from the crystal at rest, eV
    longest_timestep_femtoseconds : float      that resolves the fastest vibration
    """

    temperature_kelvin: float
    displacement_limit_angstrom: float
    is_given: bool
    is_of_local: bool
    expected_angstrom: float | None
    expected_rms_angstrom: float | None
    trained_angstrom: float
    largest_kinetic_energy: float
    least_potential_energy: float
    longest_timestep_femtoseconds: float

    def check_timestep(self, timestep_femtoseconds: float) -> None:
        """Refuse a time step h that does not resolve the fastest vibration, of angular frequency w.

        The measured kinetic energy of that mode is too low by (w h)^2 / 4.

        Raises
        ------
        ConfigError
            If the time step is longer than that.
        """
        longest = self.longest_timestep_femtoseconds
        if timestep_femtoseconds <= longest:
            return
        period = 2.0 * np.pi * longest / LIMITS.largest_phase_of_step
        raise ConfigError(
            f"md.timestep_femtoseconds {timestep_femtoseconds:g} is too long: "
            f"the fastest vibration of order 2 has a period of {period:.3g} fs ({1e3 / period:.3g} THz)",
            fix=f"set md.timestep_femtoseconds to {_rounded_down(longest):g} at most, better to half of that",
        )

    def at(self, temperature_kelvin: float) -> TrustedRegion:
        """Return the region with the energies of a lower temperature, whose displacements stay the same."""
        scale = temperature_kelvin / self.temperature_kelvin
        return replace(
            self,
            temperature_kelvin=temperature_kelvin,
            largest_kinetic_energy=scale * self.largest_kinetic_energy,
            least_potential_energy=scale * self.least_potential_energy,
        )

    def is_usual(self, run: MdRun) -> NDArray[np.bool_]:
        """Whether the samples of a run have energies of equilibrium, shape (n_samples,)."""
        cold = run.kinetic_energies <= self.largest_kinetic_energy
        return np.asarray(cold & (run.potential_energies >= self.least_potential_energy))

    def escape(self, run: MdRun) -> str | None:
        """Say which energy of a run is none of equilibrium; None if all are."""
        unusual = np.flatnonzero(~self.is_usual(run))
        if not len(unusual):
            return None
        kinetic, potential = run.kinetic_energies[unusual[0]], run.potential_energies[unusual[0]]
        n_atoms = run.displacements.shape[1]
        if not kinetic <= self.largest_kinetic_energy:
            kelvin = 2.0 * kinetic / (3.0 * max(1, n_atoms - 1) * BOLTZMANN_EV_PER_K)
            return f"the atoms move as at {kelvin:.0f} K"
        return f"the energy is {-potential / n_atoms:.3g} eV per atom below that of the crystal at rest"

    def describe_stop(self, run: MdRun, step: int, torus: Torus) -> str | None:
        """Say how a run that ends at a step left the region; None if it did not."""
        where = f"at {format_kelvin(self.temperature_kelvin)} K, step {step}, "
        if run.stopped_step is None:
            energy = self.escape(run)
            return None if energy is None else where + energy
        atom = run.stopped_atom or 0
        length = _stopped_distance(run)
        distance = f"{length:.3g} Å from its site" if np.isfinite(length) else "nowhere (not a finite number)"
        element = chemical_symbols[torus.numbers[atom]]
        return f"{where}atom {atom} ({element}) is {distance}; {self.describe_limit()}"

    def describe_limit(self) -> str:
        """Say where the limit of the displacement comes from."""
        if self.is_of_local:
            origin = "half way to the next site, where the local part of the energy ends"
        elif self.is_given:
            origin = "md.displacement_limit_angstrom"
        elif self.expected_angstrom is None:
            origin = "order 2 is not stable and predicts no displacement"
        else:
            origin = f"order 2 predicts at most {self.expected_angstrom:.3g} Å"
        return (
            f"the limit is {self.displacement_limit_angstrom:.3g} Å ({origin}, "
            f"the data reach {self.trained_angstrom:.3g} Å)"
        )

    def remedy(self, run: MdRun, torus: Torus) -> str:
        """Say what lets a run that was stopped go on, in the imperative."""
        train = f"train at {format_kelvin(self.temperature_kelvin)} K or above"
        if run.stopped_step is None or self._runs_away(run, torus):
            return (
                f"the force field is not stable there, whatever md.displacement_limit_angstrom: {train}, "
                "add the next even order to expansion.cutoffs_angstrom, set expansion.local, or lower the "
                "temperature"
            )
        if self.is_of_local:
            return f"an atom changed its site: {train}, or lower the temperature"
        farthest = max(_stopped_distance(run), LIMITS.thermal_margin * (self.expected_angstrom or 0.0))
        value = f"set md.displacement_limit_angstrom to {rounded_up(LIMITS.advised_margin * farthest):g}"
        return f"{value} to go on" + (", or leave it out" if self.is_given else f", or {train}")

    def _runs_away(self, run: MdRun, torus: Torus) -> bool:
        """Whether the atom that stopped a run is faster than any in equilibrium."""
        atom = run.stopped_atom or 0
        if not np.isfinite(_stopped_distance(run)):
            return True
        inertia = torus.masses[atom] * AMU_ANGSTROM2_PER_FS2_EV
        kinetic = 0.5 * inertia * float(np.sum(run.state.velocities[atom] ** 2))
        thermal = BOLTZMANN_EV_PER_K * self.temperature_kelvin
        return not kinetic < LIMITS.fastest_atom * thermal


def trusted_region(
    force_field: SupercellForceField, motion: Motion, limits: DecisionLimits = LIMITS
) -> TrustedRegion:
    """Find how far dynamics may go.

    Parameters
    ----------
    force_field : SupercellForceField
    motion : Motion
    limits : DecisionLimits
    """
    torus, model = force_field.torus, force_field.force_field
    trained = model.training.displacement_max_angstrom
    expected = rms = None
    longest = np.inf
    modes = modes_of_order_2(model.expansion, model.posterior.mean, torus)
    if modes is not None:
        longest = limits.largest_phase_of_step / max(modes.largest_angular_frequency, 1e-12)
        expected, rms = _expected_displacements(modes, torus.n_atoms, motion)
    derived = _plausible_limit(expected, torus, limits)
    given = motion.displacement_limit_angstrom
    wanted = given or max(limits.data_margin * trained, derived)
    farthest = np.inf if model.local is None else model.local.largest_displacement
    thermal = BOLTZMANN_EV_PER_K * motion.temperature_kelvin
    n_freedoms = 3 * max(1, torus.n_atoms - 1)
    unlikely = float(chdtri(n_freedoms, limits.hot_probability))
    depth = limits.energy_margin_sd * thermal * float(np.sqrt(0.5 * n_freedoms))
    return TrustedRegion(
        temperature_kelvin=motion.temperature_kelvin,
        displacement_limit_angstrom=min(wanted, farthest),
        is_given=given is not None,
        is_of_local=wanted > farthest,
        expected_angstrom=expected,
        expected_rms_angstrom=rms,
        trained_angstrom=trained,
        largest_kinetic_energy=limits.start_factor * 0.5 * thermal * unlikely,
        least_potential_energy=-np.inf if expected is None else -depth,
        longest_timestep_femtoseconds=longest,
    )


def thermal_limit(
    modes: HarmonicModes, torus: Torus, motion: Motion, limits: DecisionLimits = LIMITS
) -> float:
    """Largest displacement (Å) that modes make plausible where there are no data.

    Parameters
    ----------
    modes : HarmonicModes
    torus : Torus
        Supercell of the dynamics.
    motion : Motion
    limits : DecisionLimits
    """
    return _plausible_limit(_expected_displacements(modes, torus.n_atoms, motion)[0], torus, limits)


def _plausible_limit(expected: float | None, torus: Torus, limits: DecisionLimits) -> float:
    if not expected:
        return displacement_limit(torus.crystal)
    farthest = limits.largest_fraction_of_bond * torus.crystal.nearest_neighbor_distance
    return min(limits.thermal_margin * expected, farthest)


def _expected_displacements(
    modes: HarmonicModes, n_atoms: int, motion: Motion
) -> tuple[float | None, float | None]:
    """Largest displacement among all atoms and periods of the fastest mode, and rms of a component, Å."""
    covariances = modes.thermal_covariances(motion.temperature_kelvin)
    if covariances is None:
        return None, None
    duration = motion.n_steps * motion.timestep_femtoseconds
    n_periods = max(1.0, duration * modes.largest_angular_frequency / (2.0 * np.pi))
    sd = float(np.sqrt(np.linalg.eigvalsh(covariances).max()))
    largest = sd * float(np.sqrt(chdtri(3, 1.0 / (n_atoms * n_periods + 1.0))))
    return largest, float(np.sqrt(np.einsum("saa->", covariances) / (3 * len(covariances))))


def is_extrapolated(
    trained: TrainingSummary, rms_angstrom: float, maximum_angstrom: float, limits: DecisionLimits = LIMITS
) -> bool:
    """Whether displacements go so far beyond those of the data that nothing has tested the errors there.

    Parameters
    ----------
    trained : TrainingSummary
    rms_angstrom, maximum_angstrom : float
        Of a component, and of an atom.
    limits : DecisionLimits
    """
    is_larger = rms_angstrom > limits.coverage_factor * trained.displacement_rms_angstrom
    return is_larger and maximum_angstrom > limits.coverage_factor * trained.displacement_max_angstrom


def _stopped_distance(run: MdRun) -> float:
    return float(np.linalg.norm(run.state.displacements[run.stopped_atom or 0]))


def _rounded_down(value: float) -> float:
    """Two significant digits, not above the value."""
    digit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / digit) * digit)


def rounded_up(value: float) -> float:
    """Two significant digits, not below the value."""
    digit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / digit) * digit)
