"""Small displacements that dynamics has outgrown: without them frames of thermal motion are predicted better.

Structures rattled by a few hundredths of an Å, first ones or those of a data set that is given, tell the
harmonic crystal. What an expansion leaves out hardly matters there, so they weigh more in a fit than all
frames of thermal motion, and hold the parameters at the slopes and curvatures at rest. Where those are not
the best ones for thermal motion, as in soft metals, the fit is better without.
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
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.fitting.prior_guess import PriorGuess
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.store.provenance import Provenance


@dataclass(frozen=True)
class OutgrownLimits:
    """When small displacements are looked at.

    With two to nine frames of dynamics of Al (EMT, 300 and 800 K) the error held out is 5 to 30 % smaller
    without them, that of new frames 10 to 45 %; of Cu (EMT) 0 to 15 and 15 to 35 %. For Si (Tersoff) and
    c-BAs (GFN1-xTB) it is larger, and so is that of new frames: the one decides about the other. With five
    given frames of 300 and 800 K (Cu 600 K) beside twenty of 0.01 to 0.02 Å the error held out falls from 3.9
    to 2.3 % without these (Cu 0.18 to 0.13 %), that of new hot frames from 3.8 to 2.1 % (Cu 0.19 to 0.13 %),
    and at 300 K it stays within 0.1 %.

    Attributes
    ----------
    fewest, most : int
        Frames of dynamics: one is not held out from another with less; with more the choice is made.
    small : float
        Amplitude over the largest of all frames below which a given frame is one of small displacements:
        thermal ones of a temperature and of nine times of it are not.
    most_held_out : int
        Frames of motion that are held out in turn, of many.
    near_rest : float
        Amplitude over the largest of all frames below which a frame tells of derivatives at rest what those
        of the largest amplitude do not.
    """

    fewest: int = 2
    most: int = 4
    small: float = 1.0 / 3.0
    most_held_out: int = 16
    near_rest: float = 0.6


OUTGROWN_LIMITS = OutgrownLimits()


@dataclass(frozen=True, eq=False)
class FitWithout:
    """A fit without first structures.

    Attributes
    ----------
    force_field : ForceField
    data : FitData
    """

    force_field: ForceField
    data: FitData

    def is_of(self, frames: Sequence[LabelledFrame]) -> bool:
        """Whether it is the fit to just these frames."""
        own = self.data.frames
        return len(own) == len(frames) and all(a is b for a, b in zip(own, frames, strict=True))


def fit_without_outgrown(
    force_field: ForceField,
    data: FitData,
    first: Sequence[int],
    moving: Sequence[int],
    *,
    guess: PriorGuess | None = None,
    limits: OutgrownLimits = OUTGROWN_LIMITS,
) -> FitWithout | None:
    """Fit without small displacements, if it predicts frames of motion, each held out, better; else None.

    Parameters
    ----------
    force_field : ForceField
        Fitted to the data.
    data : FitData
    first, moving : sequence of int
        Numbers of the frames of small displacements, and of those of thermal motion.
    guess : PriorGuess, optional
        As the fit used it.
    limits : OutgrownLimits, optional
    """
    if not first or len(moving) < limits.fewest:
        return None
    places = np.linspace(0, len(moving) - 1, min(len(moving), limits.most_held_out)).round().astype(int)
    chosen = [moving[place] for place in places]
    kept = [k for k in range(len(data)) if k not in set(first)]
    rest = data.updated([data.frames[k] for k in kept])
    without = fit_force_field(force_field.basis, rest, guess=guess)
    of_rest = [kept.index(k) for k in chosen]
    is_better = _held_out_error(without, rest, of_rest) < _held_out_error(force_field, data, chosen)
    return FitWithout(without, rest) if is_better else None


def first_and_moving(
    labels: Sequence[Provenance], amplitudes: Sequence[float], limits: OutgrownLimits = OUTGROWN_LIMITS
) -> tuple[list[int], list[int]]:
    """Frames that may be outgrown, and those of thermal motion; none of the latter once the choice is made.

    Parameters
    ----------
    labels : sequence of Provenance
    amplitudes : sequence of float
        Of the same frames, Å.
    limits : OutgrownLimits, optional
    """
    least = limits.small * max(amplitudes, default=0.0)
    given = [k for k, label in enumerate(labels) if not label.is_calculation]
    small = [k for k in given if amplitudes[k] < least]
    of_dynamics = [k for k, label in enumerate(labels) if label.is_of_dynamics]
    first = sorted([*small, *(k for k, label in enumerate(labels) if label.is_rattled)])
    moving = sorted([*of_dynamics, *(k for k in given if amplitudes[k] >= least)])
    is_made = len(given) < len(labels) and len(moving) > limits.most
    return first, [] if is_made else moving


def tell_untested_rest(
    amplitudes: Sequence[float], orders: Sequence[int], limits: OutgrownLimits = OUTGROWN_LIMITS
) -> list[str]:
    """Say that no frame tests derivatives at rest, if so.

    Parameters
    ----------
    amplitudes : sequence of float
        Of all frames, Å.
    orders : sequence of int
        Of the expansion: with 2 alone, what is fitted is no derivative at rest in the first place.
    limits : OutgrownLimits, optional
    """
    if max(orders) == 2 or len(amplitudes) < limits.fewest:
        return []
    if min(amplitudes) < limits.near_rest * max(amplitudes):
        return []
    text = (
        "no frame is near rest: what the expansion leaves out there is an assumption in the error bars of "
        "phonons, elastic constants and conductivities, which a calculation tests and mends (mlff-dyn label "
        "score CONFIG.yaml FILE --scale 0.3 --n 1 --write run/calculations, then label run and train)"
    )
    return [text]


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
