"""What the parts of `thermodynamics` calculate, as plain values that can be kept, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.observables.canonical_samples import Sampling, canonical_samples
from mlff_dyn.observables.free_energy import AnharmonicPart, anharmonic_part
from mlff_dyn.observables.harmonic_properties import mesh_of
from mlff_dyn.observables.isothermal_elastic import isothermal_elastic
from mlff_dyn.observables.quasi_harmonic import QuasiHarmonic, quasi_harmonic
from mlff_dyn.observables.rest_energy import RestEnergy
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.observables.thermal_averages import ThermalAverage
from mlff_dyn.observables.thermal_expansion import mean_strains
from mlff_dyn.training.trusted_region import Motion, trusted_region
from mlff_dyn.units import BOLTZMANN_EV_PER_K, EV_PER_ANGSTROM3_GPA, format_kelvin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlff_dyn.config.thermodynamics_section import ThermodynamicsConfig
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.observables.sampled_phonons import SampledPhonons
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.training.trusted_region import TrustedRegion
    from mlff_dyn.workflows.results.kept_parts import KeptParts


@dataclass(frozen=True)
class DynamicsChoice:
    """How the dynamics run.

    Attributes
    ----------
    timestep_share : float
        Of the longest step that resolves the fastest vibration. Twice of it makes that mode 16 % too cold.
    friction_per_fs : float
        Of the thermostat; about that of the crystal, by which energies forget fastest.
    """

    timestep_share: float = 0.5
    friction_per_fs: float = 0.002


CHOICE = DynamicsChoice()
_STREAM = 7


@dataclass(frozen=True, eq=False)
class Calculations:
    """A force field on a supercell and what is asked of it.

    Attributes
    ----------
    force_field : ForceField
    torus : Torus
    settings : ThermodynamicsConfig
    seed : int
    kept : KeptParts
    progress : Progress
    """

    force_field: ForceField
    torus: Torus
    settings: ThermodynamicsConfig
    seed: int
    kept: KeptParts
    progress: Progress

    @cached_property
    def rest(self) -> RestEnergy:
        """The crystal at rest under the pressure that is asked for."""
        return RestEnergy(self.force_field, self.settings.pressure_gigapascal / EV_PER_ANGSTROM3_GPA)

    @property
    def mesh(self) -> tuple[int, int, int]:
        """Wave vectors along each axis."""
        return mesh_of(self.torus, self.settings.q_spacing_per_angstrom)

    @cached_property
    def phonons(self) -> SampledPhonons:
        """Phonons with samples of the posterior."""
        n_samples = self.settings.n_samples
        return sampled_phonons(self.force_field, self.torus, n_samples=n_samples, seed=self.seed)

    @cached_property
    def at_rest(self) -> Calculations:
        """The same by the force field of derivatives at rest."""
        return replace(self, force_field=self.force_field.at_rest)

    def region(self, kelvin: float) -> TrustedRegion:
        """How far dynamics may go at a temperature."""
        settings = self.settings
        n_steps = settings.n_equilibration_steps + settings.n_frames * settings.sample_every
        return trusted_region(self.force_field.on(self.torus), Motion(kelvin, 1.0, n_steps))

    def sampling(self, kelvin: float, number: int) -> Sampling:
        """Run at a temperature; ``number`` tells apart the kinds of runs."""
        settings, region = self.settings, self.region(kelvin)
        return Sampling(
            temperature_kelvin=kelvin,
            timestep_fs=CHOICE.timestep_share * region.longest_timestep_femtoseconds,
            friction_per_fs=CHOICE.friction_per_fs,
            n_equilibration=settings.n_equilibration_steps,
            n_samples=settings.n_frames,
            sample_every=settings.sample_every,
            displacement_limit=region.displacement_limit_angstrom,
            seed=(self.seed, _STREAM, number, round(1e6 * kelvin)),
        )

    @property
    def _lengths(self) -> list[int]:
        settings = self.settings
        return [settings.n_frames, settings.sample_every, settings.n_equilibration_steps]

    def strains(self, kelvin: float) -> list[ThermalAverage]:
        """Mean amounts of the symmetric strains at constant pressure."""

        def make() -> dict[str, Any]:
            sampling = self.sampling(kelvin, 0)
            self.progress.start(sampling.n_steps, f"constant pressure, {format_kelvin(kelvin)} K")
            found = mean_strains(self.rest, self.torus, sampling, self.progress.update)
            return {"strains": [plain_average(each) for each in found]}

        inputs = [*self._lengths, self.settings.pressure_gigapascal]
        known = self.kept.get(f"expansion-{format_kelvin(kelvin)}K", inputs, make)
        return [average_of(each) for each in known["strains"]]

    def quasi_harmonic(self) -> dict[str, QuasiHarmonic]:
        """Thermal expansion by phonons."""
        settings = self.settings

        def make() -> dict[str, Any]:
            self.progress.start(settings.n_samples, "quasi-harmonic phonons of samples of the posterior")
            kelvin = settings.temperatures_kelvin
            rest = self.at_rest
            found = quasi_harmonic(rest.phonons, rest.rest, self.mesh, kelvin, self.progress.update)
            return {name: vars(each) for name, each in found.items()}

        inputs = [
            settings.temperatures_kelvin,
            settings.pressure_gigapascal,
            self.mesh,
            settings.n_samples,
        ]
        known = self.kept.get("quasi-harmonic", inputs, make)
        return {
            name: QuasiHarmonic(**{key: np.array(value) for key, value in each.items()})
            for name, each in known.items()
        }

    def elastic(self, kelvin: float, strain: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Isothermal elastic constants, their Monte Carlo errors and gradients, under a strain, (3, 3)."""

        def make() -> dict[str, Any]:
            sampling = self.sampling(kelvin, 1)
            name = f"constant volume, {format_kelvin(kelvin)} K"
            self.progress.start(sampling.n_steps, name)
            here = self.force_field.on(self.torus).strained(strain)
            frames = canonical_samples(here.kernel, self.torus.masses, sampling, self.progress.update)
            self.progress.start(len(frames), f"stress of the frames, {format_kelvin(kelvin)} K")
            thermal = BOLTZMANN_EV_PER_K * kelvin
            return vars(isothermal_elastic(here, frames, thermal, self.progress.update))

        known = self.kept.get(
            f"elastic-{format_kelvin(kelvin)}K", [*self._lengths, np.round(strain, 12).tolist()], make
        )
        values, errors, gradient = (
            np.array(known[name]) for name in ("values", "statistical_errors", "gradient")
        )
        return values, errors, gradient

    def anharmonic(self, kelvin: float) -> AnharmonicPart:
        """What the energy beyond order 2 adds."""
        n_couplings = self.settings.n_couplings

        def make() -> dict[str, Any]:
            sampling = self.sampling(kelvin, 2)
            n_steps = (n_couplings + 1) * sampling.n_steps
            self.progress.start(n_steps, f"thermodynamic integration, {format_kelvin(kelvin)} K")
            found = anharmonic_part(
                self.force_field, self.torus, sampling, n_points=n_couplings, tell=self.progress.update
            )
            averages = {name: plain_average(getattr(found, name)) for name in _AVERAGES}
            return {**vars(found), **averages}

        known = self.kept.get(f"free-energy-{format_kelvin(kelvin)}K", [*self._lengths, n_couplings], make)
        couplings, differences, errors = (
            np.array(known[name]) for name in ("couplings", "differences", "difference_errors")
        )
        averages = {name: average_of(known[name]) for name in _AVERAGES}
        return AnharmonicPart(couplings, differences, errors, **averages)


_AVERAGES = ("free_energy", "energy", "heat_capacity")


def plain_average(average: ThermalAverage) -> dict[str, Any]:
    """Return a thermal average as plain values."""
    return vars(average)


def average_of(values: Mapping[str, Any]) -> ThermalAverage:
    """Return the thermal average of plain values."""
    return ThermalAverage(values["value"], values["statistical_error"], np.array(values["gradient"]))
