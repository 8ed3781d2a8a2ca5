"""What small displacements that are not fitted tell of truncation at rest.

A fit to frames of thermal motion is right at their amplitudes. What it leaves out there acts like a change of
the constants at rest, of which such frames tell nothing; that it is like the end of the expansion is an
assumption (`mlff_dyn.observables.truncation`). Frames of small displacements that thermal motion has outgrown
test it: with the errors e of their forces, the standard deviations p that the posterior and the noise give
them, and what the changes T do to them, the factor k on T with which errors are as large as expected is

    k² = (Σ e² - Σ p²) / Σ (X T)²,    at least 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.force_field import errors_of_rows
from mlff_dyn.observables.truncation import truncation_changes
from mlff_dyn.report.numbers import format_percent

_TOLD = 1.5
"""Factor from which on it is told."""

if TYPE_CHECKING:
    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True)
class NearRest:
    """Errors of the forces at small displacements that are not fitted.

    Attributes
    ----------
    found_relative, expected_relative : float
        Root mean squares of the error and of its standard deviation, truncation as assumed, over the force.
    factor : float
        On what truncation does to the parameters, one at least.
    """

    found_relative: float
    expected_relative: float
    factor: float

    def describe(self) -> list[str]:
        """Tell what it means, in a line, if it matters."""
        if self.factor < _TOLD:
            return []
        found, expected = format_percent(self.found_relative), format_percent(self.expected_relative)
        text = f"forces near rest err by {found} where {expected} were expected: error bars of phonons and "
        return [f"{text}elastic constants count {self.factor:.1f} times what the expansion leaves out"]


def near_rest(force_field: ForceField, data: FitData) -> NearRest:
    """Test a force field on small displacements.

    Parameters
    ----------
    force_field : ForceField
        Whose `rest_factor` is one.
    data : FitData
        Frames of small displacements that it is not fitted to, for the orders that it has.
    """
    changes = force_field.calibration * truncation_changes(force_field)
    found = noise = truncation = force = 0.0
    for number, frame in enumerate(data.frames):
        rows = data.force_rows(number)
        errors = frame.targets.forces - rows @ force_field.posterior.mean
        expected = errors_of_rows(force_field, rows, frame.conditions).predictive
        found += float(errors @ errors)
        noise += float(np.sum(expected**2))
        truncation += float(np.sum((rows @ changes) ** 2))
        force += float(frame.forces @ frame.forces)
    square = max(1.0, (found - noise) / truncation) if truncation > 0.0 else 1.0
    size = max(force, 1e-300)
    return NearRest(
        found_relative=float(np.sqrt(found / size)),
        expected_relative=float(np.sqrt((noise + truncation) / size)),
        factor=float(np.sqrt(square)),
    )
