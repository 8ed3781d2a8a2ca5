"""First structures that dynamics has outgrown: without them frames of dynamics are predicted better.

Structures rattled by a few hundredths of an Å give the harmonic crystal before there is any dynamics. What an
expansion leaves out hardly matters there, so they weigh more in a fit than all frames of dynamics, and hold
the parameters at the slopes and curvatures at rest. Where those are not the best ones for thermal motion, as
in soft metals, the fit is better without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.fitting.error_models import held_out_forces
from mlff_dyn.model.fitting.fit import fit_force_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.fitting.prior_guess import PriorGuess
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True)
class OutgrownLimits:
    """When first structures are looked at.

    With two to nine frames of dynamics of Al (EMT, 300 and 800 K) the error held out is 5 to 30 % smaller
    without them, that of new frames 10 to 45 %; of Cu (EMT) 0 to 15 and 15 to 35 %. For Si (Tersoff) and
    c-BAs (GFN1-xTB) it is larger, and so is that of new frames: the one decides about the other.

    Attributes
    ----------
    fewest, most : int
        Frames of dynamics: one is not held out from another with less; with more the choice is made.
    """

    fewest: int = 2
    most: int = 4


OUTGROWN_LIMITS = OutgrownLimits()


def are_outgrown(
    force_field: ForceField,
    data: FitData,
    first: Sequence[int],
    of_dynamics: Sequence[int],
    *,
    guess: PriorGuess | None = None,
    limits: OutgrownLimits = OUTGROWN_LIMITS,
) -> bool:
    """Whether frames of dynamics, each held out, are predicted better by a fit without first structures.

    Parameters
    ----------
    force_field : ForceField
        Fitted to the data.
    data : FitData
    first, of_dynamics : sequence of int
        Numbers of the frames.
    guess : PriorGuess, optional
        As the fit used it.
    limits : OutgrownLimits, optional
    """
    if not first or not limits.fewest <= len(of_dynamics) <= limits.most:
        return False
    kept = [k for k in range(len(data)) if k not in set(first)]
    rest = data.updated([data.frames[k] for k in kept])
    without = fit_force_field(force_field.basis, rest, guess=guess)
    of_rest = [kept.index(k) for k in of_dynamics]
    return _held_out_error(without, rest, of_rest) < _held_out_error(force_field, data, of_dynamics)


def _held_out_error(force_field: ForceField, data: FitData, chosen: Sequence[int]) -> float:
    """Mean square error over mean square force, averaged over frames."""
    return float(
        np.mean(
            [
                np.mean(held_out_forces(force_field.posterior, data, k).errors ** 2)
                / max(np.mean(data.frames[k].forces ** 2), 1e-300)
                for k in chosen
            ]
        )
    )
