"""Section `conductivity` of the configuration."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mlff_dyn.config.fields import Integer, Real, Supercell, Temperatures
from mlff_dyn.config.section import Section

REST: Literal["rest"] = "rest"


def _three_numbers_or_auto(value: object) -> object:
    """Say both that may stand there in one line, not each for itself."""
    if value == "auto":
        return value
    if isinstance(value, list | tuple) and len(value) == 3 and all(type(n) is int and n > 0 for n in value):
        return value
    raise ValueError(f"{value!r} should be auto or 3 positive integers")


Mesh = Annotated[tuple[int, int, int] | Literal["auto"], BeforeValidator(_three_numbers_or_auto)]


class ConductivityConfig(Section):
    """Lattice thermal conductivity by orders 2 and 3 of the force field."""

    temperatures_kelvin: Temperatures = Field(
        default=(200.0, 300.0, 400.0, 500.0, 600.0), description="Temperatures."
    )
    method: Literal["rta", "lbte"] = Field(
        default="rta",
        description="`rta`: each mode relaxes on its own; `lbte`: full solution of the linear Boltzmann "
        "equation.",
    )
    order_2: Literal["rest", "self-consistent", "dynamics"] = Field(
        default=REST,
        description="Force constants of order 2: those of the crystal at rest, or effective ones at each "
        "temperature, of this kind and otherwise as `phonons.effective` says.",
    )
    wigner: bool = Field(
        default=False, description="Add what tunnels between modes of near frequencies (Wigner transport)."
    )
    q_mesh: Mesh = Field(
        default="auto",
        description="Wave vectors along each axis of the primitive cell; `auto`: finer meshes in turn until "
        "the error of the mesh is below `mesh_error_limit_relative`, or the next one would take more than "
        "10 min.",
    )
    mesh_error_limit_relative: Real = Field(
        default=0.03, gt=0.0, description="Error of the mesh that `auto` accepts."
    )
    error_limit_relative: Real = Field(
        default=0.1,
        gt=0.0,
        description="Error of the conductivity for which further calculations are counted.",
    )
    supercell: Supercell | None = Field(
        default=None,
        description="Cell of order 3, as `structure.supercell`; null: the training cell.",
    )
    supercell_2: Supercell | None = Field(
        default=None,
        description="Cell of order 2; null: as `supercell`. A larger one suits a model with Born charges.",
    )
    isotopes: bool = Field(default=False, description="Scattering by the natural isotopes.")
    boundary_micrometer: Real | None = Field(
        default=None, gt=0.0, description="Mean free path that boundaries leave; null: no boundaries."
    )
    n_samples: Integer = Field(
        default=8,
        ge=2,
        description="Samples of the posterior that errors by order 2 are taken from.",
    )
