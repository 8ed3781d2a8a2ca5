"""How dynamics of a training left the trusted region, and where only the limit of the user ended it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.store.provenance import RAMP
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.trusted_region import Motion, rounded_up, trusted_region
from mlff_dyn.training.walk import errors_of, no_frames
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.training.ramps import named_in_journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.store.provenance import Provenance, Where
    from mlff_dyn.training.exploration import Exploration

_GIVEN = "md.displacement_limit_angstrom"
AT_LIMIT = f"ended at {_GIVEN}"


class Departures:
    """Last departures of dynamics, by temperature.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._left: dict[Where, tuple[float, str]] = {}
        self._ended: dict[tuple[Where, int], tuple[float, int, float]] = {}

    @property
    def is_too_narrow(self) -> bool:
        """Whether dynamics at a temperature ended at the limit in vain."""
        return bool(self._ended)

    def judged(
        self,
        where: Where,
        replica: int,
        exploration: Exploration,
        force_field: SupercellForceField,
        known: Sequence[Provenance],
    ) -> Exploration:
        """Remember how dynamics ended; where only the given limit ended it, it calls for nothing.

        That is a limit below what order 2 and the data make plausible, once some calculations on the way out
        have found errors within those asked for, and where one more is expected to.

        Parameters
        ----------
        where : Where
        replica : int
        exploration : Exploration
        force_field : SupercellForceField
            Of the dynamics.
        known : sequence of Provenance
            What has been calculated.
        """
        self._left.pop(where, None)
        self._ended.pop((where, replica), None)
        if exploration.stop is None:
            return exploration
        kelvin = named_in_journal(where, exploration)["temperature_kelvin"]
        n_in_vain = sum(self._is_in_vain(label, where) for label in known)
        given = self._config.md.displacement_limit_angstrom or np.inf
        is_known = where != RAMP and n_in_vain >= LIMITS.most_out_in_vain
        is_narrow = is_known and given < self._usual_limit(force_field, kelvin)
        if is_narrow and self._is_within(force_field, exploration):
            highest = max(self._config.training.temperatures_kelvin)
            enough = rounded_up(self._usual_limit(force_field, highest))
            self._ended[where, replica] = (kelvin, n_in_vain, enough)
            return replace(exploration, reason=AT_LIMIT, to_label=no_frames(force_field.torus.n_atoms))
        self._left[where] = (kelvin, exploration.stop)
        return exploration

    @property
    def _largest(self) -> float:
        return self._config.training.criterion.force_error_limit_relative

    def _is_in_vain(self, label: Provenance, where: Where) -> bool:
        """Whether a calculation after dynamics left found no more error than is asked for."""
        found, is_of_none = label.found_force_error_relative, label.temperature_kelvin is None
        is_own = label.is_after_explosion and (label.is_of(where) or is_of_none)
        return is_own and found is not None and found <= self._largest

    def _is_within(self, force_field: SupercellForceField, exploration: Exploration) -> bool:
        """Whether the frame on the way out, if there is one, is expected to have no more error than that."""
        frames = exploration.to_label
        errors = errors_of(force_field, frames, -1) if len(frames) else None
        return errors is None or errors.predictive <= self._largest * errors.force

    def _usual_limit(self, force_field: SupercellForceField, kelvin: float) -> float:
        """Limit (Å) that would be taken if none were given."""
        config = self._config
        motion = Motion(kelvin, config.md.timestep_femtoseconds, config.training.n_steps)
        return trusted_region(force_field, motion).displacement_limit_angstrom

    def warnings(self) -> list[str]:
        """Temperatures at which the last dynamics left the trusted region."""
        given = self._config.md.displacement_limit_angstrom
        unstable = [
            f"dynamics is unstable at {format_kelvin(kelvin)} K with these data and this expansion: {stop}"
            for kelvin, stop in sorted(self._left.values())
        ]
        narrow = [
            f"dynamics at {format_kelvin(kelvin)} K ends at {_GIVEN} {given:g}, though {n_in_vain} "
            f"calculations there found errors within the limit: set it to {enough:g}, or leave it out"
            for kelvin, n_in_vain, enough in sorted(set(self._ended.values()))
        ]
        return [*unstable, *narrow]
