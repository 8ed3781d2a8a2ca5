"""Section `phonons` of the configuration."""

from typing import Annotated

from pydantic import Field

from mlff_dyn.config.fields import Integer, Real, Supercell, Temperatures
from mlff_dyn.config.section import Section


class PhononsConfig(Section):
    """Harmonic phonons of the force field and what follows from them."""

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
