"""Section `thermodynamics` of the configuration."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlff_dyn.config.fields import Integer, Real, Supercell, Temperatures
from mlff_dyn.config.section import Section

Quantity = Literal["elastic", "expansion", "free_energy"]


def _distinct(value: tuple[Quantity, ...]) -> tuple[Quantity, ...]:
    if len(set(value)) < len(value):
        raise ValueError("should name each quantity once")
    return value


class ThermodynamicsConfig(Section):
    """Elastic constants, thermal expansion and free energy of the force field, by its own dynamics."""

    quantities: Annotated[tuple[Quantity, ...], Field(min_length=1), AfterValidator(_distinct)] = Field(
        default=("elastic", "expansion", "free_energy"),
        description="`elastic`: elastic constants at rest and at each temperature; `expansion`: thermal "
        "expansion by dynamics at constant pressure and by quasi-harmonic phonons; `free_energy`: free "
        "energy, entropy and heat capacity by thermodynamic integration from order 2.",
    )
    temperatures_kelvin: Temperatures = Field(
        default=(150.0, 300.0, 450.0, 600.0),
        description="Temperatures; the slope of the expansion takes them all together.",
    )
    pressure_gigapascal: Real = Field(default=0.0, description="Pressure of thermal expansion.")
    supercell: Supercell | None = Field(
        default=None, description="Cell of the dynamics, as `structure.supercell`; null: the training cell."
    )
    n_frames: Integer = Field(default=400, ge=20, description="Frames of each run that are averaged.")
    sample_every: Integer = Field(default=20, ge=1, description="Steps between two frames.")
    n_equilibration_steps: Integer = Field(
        default=1000, ge=10, description="Steps before the first frame; at constant pressure the cell adapts."
    )
    n_couplings: Integer = Field(
        default=4, ge=1, le=20, description="Points between the harmonic crystal and the whole energy."
    )
    q_spacing_per_angstrom: Real = Field(
        default=0.2, gt=0.0, description="Largest step between wave vectors, 2π included."
    )
    n_samples: Integer = Field(
        default=16,
        ge=2,
        description="Samples of the posterior that errors of phonons are taken from.",
    )
