"""Ramps of a training: how fast the temperature may rise, how far, and what is told of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import ConfigError
from mlff_dyn.training.exploration import LEFT_TRUSTED_REGION
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.training.ramp import Ramp
from mlff_dyn.units import FS_PER_PS
from mlff_dyn.workflows.training.training_journal import RAMP_FROM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.config.schema import Config
    from mlff_dyn.store.provenance import Provenance, Where
    from mlff_dyn.training.exploration import Exploration


def ramp_of(config: Config, known: Sequence[Provenance] = (), limits: DecisionLimits = LIMITS) -> Ramp | None:
    """Make the ramp of a training; None where there is none, or none any more.

    Parameters
    ----------
    config : Config
    known : sequence of Provenance
        What has been calculated: where ramps have left the trusted region in vain, later ones do not go.
    limits : DecisionLimits

    Raises
    ------
    ConfigError
        If the temperature does not rise, or faster than errors can be found.
    """
    given, name = config.training.exploration.ramp, "training.exploration.ramp"
    if given is None:
        return None
    asked = config.training.temperatures_kelvin
    highest, lowest = max(asked), given.from_kelvin or min(asked)
    top = given.to_factor * highest
    if not lowest < top:
        raise ConfigError(
            f"{name} does not rise: it goes from {lowest:g} to {top:g} K",
            fix=f"lower {name}.from_kelvin or raise {name}.to_factor",
        )
    rate = given.kelvin_per_picosecond
    most = limits.ramp_resolution * highest / limits.ramp_errors_every_femtoseconds * FS_PER_PS
    if rate > most:
        risen = rate / FS_PER_PS * limits.ramp_errors_every_femtoseconds
        raise ConfigError(
            f"{name}.kelvin_per_picosecond {rate:g} is too quick: between two errors, "
            f"{limits.ramp_errors_every_femtoseconds:g} fs apart, the temperature rises by {risen:.3g} K",
            fix=f"set it to {most:.3g} at most: {100 * limits.ramp_resolution:g} % of {highest:g} K each",
        )
    timestep = config.md.timestep_femtoseconds
    hold = limits.steps(limits.equilibration_femtoseconds, timestep)
    left = _given_up(known, highest, limits)
    if left:
        top = min(highest, *left)
    if not lowest < top:
        return None
    return Ramp(lowest, top, highest, rate / FS_PER_PS * timestep, hold, limits)


def ramp_warnings(config: Config, known: Sequence[Provenance], limits: DecisionLimits = LIMITS) -> list[str]:
    """Say that ramps no longer go as far as the configuration says, and why."""
    highest = max(config.training.temperatures_kelvin)
    left = _given_up(known, highest, limits)
    if config.training.exploration.ramp is None or not left:
        return []
    reached = " and ".join(f"{kelvin:.0f} K" for kelvin in left)
    return [f"ramps left the trusted region at {reached}, so later ones end at {min(highest, *left):.0f} K"]


def named_in_journal(where: Where, exploration: Exploration) -> dict[str, float]:
    """Name of an exploration in the journal: its temperature, and that from which a ramp came to it."""
    if exploration.ramped_kelvin is None:
        return {"temperature_kelvin": float(where or 0.0)}
    first, last = exploration.ramped_kelvin
    return {"temperature_kelvin": last, RAMP_FROM: first}


def _given_up(known: Sequence[Provenance], highest_kelvin: float, limits: DecisionLimits) -> list[float]:
    """Temperatures at which ramps have left the trusted region in vain; none if they are too few.

    In vain is what is above all temperatures asked for, or was predicted within its error bars: what ended
    the dynamics is not lack of data.
    """
    found = [
        label.temperature_kelvin
        for label in known
        if label.is_of_ramp
        and (label.reason or "").startswith(LEFT_TRUSTED_REGION)
        and label.temperature_kelvin is not None
        and (label.temperature_kelvin > highest_kelvin or (label.score or np.inf) < limits.accepted_score)
    ]
    return found if len(found) >= limits.most_ramps_out else []
