"""Section `training.exploration` of the configuration."""

from typing import Literal

from pydantic import Field

from mlff_dyn.config.section import Section


class ExplorationConfig(Section):
    """Where the frames that are calculated come from."""

    ensemble: Literal["nvt", "npt"] = Field(
        default="nvt",
        description="Of the dynamics. `npt`: the cell moves too, as `md.pressure_gigapascal`, "
        "`md.barostat_shape` and so on say, so that strained frames are calculated; with `fit.stress` they "
        "teach elastic constants and thermal expansion.",
    )
