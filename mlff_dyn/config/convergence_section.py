"""Section `convergence` of the configuration."""

from typing import Annotated

from pydantic import Field

from mlff_dyn.config.fields import Integer, Real, Supercell, Temperatures
from mlff_dyn.config.section import Section


class FrequencyCheckConfig(Section):
    """Frequencies of order 2 with their posterior standard deviations."""

    q_points: Annotated[tuple[tuple[Real, Real, Real], ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Wave vectors in vectors of the reciprocal primitive cell; null: the special points of "
        "the lattice.",
    )
    limit_thz: Real | None = Field(
        default=None, gt=0.0, description="Limit of the standard deviation of each; null: told, not judged."
    )


class ElasticCheckConfig(Section):
    """Elastic constants at rest with their standard deviations."""

    limit_gigapascal: Real | None = Field(
        default=None, gt=0.0, description="Limit of the standard deviation of each; null: told, not judged."
    )


class ObservablesConfig(Section):
    """Observables whose error bars are checked besides that of the forces."""

    frequencies: FrequencyCheckConfig | None = Field(default=None, description=FrequencyCheckConfig.__doc__)
    elastic: ElasticCheckConfig | None = Field(default=None, description=ElasticCheckConfig.__doc__)


class ConvergenceConfig(Section):
    """The check on independent trajectories, without reference calculations."""

    force_error_limit_relative: Real = Field(
        default=0.05,
        gt=0.0,
        description="Limit of the predicted force error, relative to the root mean square force.",
    )
    n_replicas: Integer = Field(default=4, ge=1, description="Independent trajectories per temperature.")
    n_steps: Integer = Field(default=20000, ge=1, description="Steps of each trajectory.")
    temperatures_kelvin: Temperatures | None = Field(
        default=None, description="Temperatures that are checked; null: those of `md`."
    )
    supercell: Supercell | None = Field(
        default=None,
        description="Cell of the trajectories, as `structure.supercell`; null: that of `md`, then the "
        "training cell.",
    )
    time_without_call_picoseconds: Real | None = Field(
        default=None,
        gt=0.0,
        description="End of each trajectory in which no calculation would have been called for; null: any.",
    )
    observables: ObservablesConfig = Field(default=ObservablesConfig(), description=ObservablesConfig.__doc__)
