"""Section `phonons` of the configuration."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlff_dyn.config.fields import Integer, Real, Supercell, Temperatures
from mlff_dyn.config.section import Section


class EffectiveConfig(Section):
    """Order 2 at a temperature, which is real where that at rest is imaginary; null: none."""

    kind: Literal["dynamics", "self-consistent"] = Field(
        description="`dynamics`: least squares on forces along trajectories of the model, which are "
        "classical; `self-consistent`: the harmonic crystal whose own thermal motion averages the forces to "
        "its own."
    )
    statistics: Literal["classical", "quantum"] | None = Field(
        default=None,
        description="Amplitudes of the motion; null: `quantum` if self-consistent, `classical` for dynamics.",
    )
    temperatures_kelvin: Temperatures = Field(default=(300.0,), description="A result for each.")
    error_limit_relative: Real = Field(
        default=0.005,
        gt=0.0,
        description="Monte Carlo error of effective forces, relative to their root mean square, that "
        "self-consistent averages are made to and dynamics is judged by; frequencies have about half of it.",
    )
    max_configurations: Integer = Field(
        default=8192, ge=64, description="The most that a self-consistent average is made of."
    )
    n_replicas: Integer = Field(default=8, ge=1, description="Independent trajectories of `dynamics`.")
    n_steps: Integer = Field(
        default=4000, ge=100, description="Steps of each, after 0.5 ps that are left out."
    )

    @model_validator(mode="after")
    def _check_statistics(self) -> "EffectiveConfig":
        if self.kind == "dynamics" and self.statistics == "quantum":
            raise ValueError("statistics of `dynamics` is classical; `kind: self-consistent` can be quantum")
        return self

    @property
    def is_quantum(self) -> bool:
        """Whether amplitudes have the zero-point motion."""
        return self.kind == "self-consistent" and self.statistics != "classical"


class SpectraConfig(Section):
    """Frequencies and linewidths of the modes, by velocities along trajectories of the model; null: none."""

    temperatures_kelvin: Temperatures = Field(
        default=(300.0,),
        description="Modes are those of `phonons.effective` at the same one, if it is there.",
    )
    n_replicas: Integer = Field(
        default=8, ge=2, description="Independent trajectories; their spread is the statistical error."
    )
    n_steps: Integer = Field(
        default=20000,
        ge=1000,
        description="Steps of each at constant energy, after 0.5 ps that are left out.",
    )
    n_samples: Integer = Field(
        default=4,
        ge=0,
        description="Samples of the posterior, of those of `phonons.n_samples`, whose trajectories are run, "
        "too, for errors of the data; 0: none.",
    )


class PhononsConfig(Section):
    """Phonons of the force field and what follows from them."""

    temperatures_kelvin: Temperatures = Field(
        default=(100.0, 200.0, 300.0, 500.0, 700.0, 1000.0),
        description="Temperatures of thermal properties, beside 0 K.",
    )
    supercell: Supercell | None = Field(
        default=None,
        description="Cell of the force constants, as `structure.supercell`; null: the training cell.",
    )
    q_mesh: (
        tuple[
            Annotated[Integer, Field(ge=1)], Annotated[Integer, Field(ge=1)], Annotated[Integer, Field(ge=1)]
        ]
        | None
    ) = Field(
        default=None,
        description="Wave vectors along each axis of the primitive cell, the zone center among them; null: "
        "by `q_spacing_per_angstrom`.",
    )
    q_spacing_per_angstrom: Real = Field(
        default=0.2, gt=0.0, description="Largest step between wave vectors, 2π included."
    )
    n_samples: Integer = Field(
        default=16, ge=2, description="Samples of the posterior that error bars are taken from."
    )
    effective: EffectiveConfig | None = Field(default=None, description=EffectiveConfig.__doc__)
    spectra: SpectraConfig | None = Field(default=None, description=SpectraConfig.__doc__)
