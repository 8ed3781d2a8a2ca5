"""Section `training.exploration` of the configuration."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mlff_dyn.config.fields import Integer, Real
from mlff_dyn.config.section import Section


class RampConfig(Section):
    """Heating before dynamics at each temperature, which finds where the force field stops being right."""

    from_kelvin: Real | None = Field(
        default=None,
        gt=0,
        description="First temperature; null: the lowest of `training.temperatures_kelvin`.",
    )
    to_factor: Real = Field(
        default=1.3,
        ge=1,
        description="Last temperature over the highest of `training.temperatures_kelvin`. Above that one "
        "only errors of three times the limit call.",
    )
    kelvin_per_picosecond: Real = Field(
        default=20.0,
        gt=0,
        description="Rise of the temperature; refused if errors, every 100 fs at the most, could not follow.",
    )


class ExplorationConfig(Section):
    """Where the frames that are calculated come from."""

    ensemble: Literal["nvt", "npt"] = Field(
        default="nvt",
        description="Of the dynamics. `npt`: the cell moves too, as `md.pressure_gigapascal`, "
        "`md.barostat_shape` and so on say, so that strained frames are calculated and, with `fit.stress`, "
        "their stresses fitted.",
    )
    file: Path | None = Field(
        default=None,
        description="Trajectory without labels, such as one of ab initio dynamics, in any format of ASE "
        "(XDATCAR, extended XYZ, vasprun.xml) or a `trajectory.h5`; relative to the configuration file. Its "
        "frames are predicted as those of own dynamics are, and calculated where they teach most, until "
        "their error is within the limit.",
    )
    every: Integer = Field(
        default=1, ge=1, description="Every so many frames of `file` one is looked at, the first included."
    )
    dynamics: bool = Field(
        default=True, description="Own dynamics, too; `false`: nothing but the frames of `file`."
    )

    ramp: RampConfig | None = Field(
        default=None,
        description="Heating: dynamics whose temperature rises along the way, before dynamics at each "
        "temperature.",
    )

    @model_validator(mode="after")
    def _has_frames(self) -> "ExplorationConfig":
        if not self.dynamics and self.file is None:
            raise ValueError("has no frames: give file, or leave dynamics at true")
        if not self.dynamics and self.ramp is not None:
            raise ValueError("has a ramp but no dynamics; leave dynamics at true")
        if self.file is None and self.every != 1:
            raise ValueError("has every but no file; add file")
        return self
