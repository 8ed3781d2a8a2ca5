"""Ramps of a training: how fast the temperature may rise, how far, and what is told of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.errors import ConfigError
from mlff_dyn.training.exploration import LEFT_TRUSTED_REGION
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.training.ramp import Ramp
from mlff_dyn.units import FS_PER_PS, format_kelvin
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
        What has been calculated: where ramps have left the trusted region above all temperatures asked for,
        later ones do not go there.
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
    if len(_left_beyond(known, highest)) >= limits.most_ramps_out:
        top = highest
    if not lowest < top:
        return None
    return Ramp(lowest, top, highest, rate / FS_PER_PS * timestep, hold, limits)


def ramp_warnings(config: Config, known: Sequence[Provenance], limits: DecisionLimits = LIMITS) -> list[str]:
    """Say that ramps no longer go beyond the temperatures asked for, and why."""
    highest = max(config.training.temperatures_kelvin)
    left = _left_beyond(known, highest)
    if config.training.exploration.ramp is None or len(left) < limits.most_ramps_out:
        return []
    reached = " and ".join(f"{format_kelvin(kelvin)} K" for kelvin in left[-limits.most_ramps_out :])
    line = (
        f"ramps left the trusted region at {reached}, above all temperatures asked for, so later ones end at "
        f"{format_kelvin(highest)} K: do not use the force field much above it"
    )
    return [line]


def named_in_journal(where: Where, exploration: Exploration) -> dict[str, float]:
    """Name of an exploration in the journal: its temperature, and that from which a ramp came to it."""
    if exploration.ramped_kelvin is None:
        return {"temperature_kelvin": float(where or 0.0)}
    first, last = exploration.ramped_kelvin
    return {"temperature_kelvin": last, RAMP_FROM: first}


def _left_beyond(known: Sequence[Provenance], highest_kelvin: float) -> list[float]:
    """Temperatures above the highest one asked for at which ramps have left the trusted region."""
    return [
        label.temperature_kelvin
        for label in known
        if label.is_of_ramp
        and (label.reason or "").startswith(LEFT_TRUSTED_REGION)
        and (label.temperature_kelvin or 0.0) > highest_kelvin
        and label.temperature_kelvin is not None
    ]
