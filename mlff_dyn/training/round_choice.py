"""Which frames to calculate together, so that the error falls at all temperatures of a training.

What counts is the mean square of the errors relative to the forces of each temperature T, all temperatures
alike: M = sum_T <x x^T>_T / F_T^2 with the root mean square force F_T takes the place of the importance in
`mlff_dyn.regression.planning.selection`. Frames come from the pools of all temperatures. One is chosen after
the other, each as if those before were known, until the error expected after them is within the limit at
every temperature or there are as many as may run together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.force_field import SupercellForceField
from mlff_dyn.regression.linalg.packed import symmetric
from mlff_dyn.regression.planning.selection import SELECTIONS, Knowledge
from mlff_dyn.training.criteria.errors import frame_errors, mean_errors
from mlff_dyn.training.frame_choice import information_of_frames
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.training.running import with_running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.training.frame_choice import Frame


@dataclass(frozen=True, eq=False)
class TemperaturePool:
    """Frames of the dynamics at one temperature.

    Attributes
    ----------
    frames : sequence of Frame               one at least
    force_rms_ev_per_angstrom : float        of their forces
    must_label : bool
        One of these frames is calculated whatever it teaches: nothing has tested the errors here.
    """

    frames: Sequence[Frame]
    force_rms_ev_per_angstrom: float
    must_label: bool = False


@dataclass(frozen=True)
class Round:
    """Frames in the order of their choice.

    Attributes
    ----------
    frames : tuple of (int, int)         number of the pool, number of the frame in it
    expected : tuple of float            largest relative error of a temperature before and after each of them
    """

    frames: tuple[tuple[int, int], ...]
    expected: tuple[float, ...]


def choose_round(
    force_field: ForceField,
    pools: Sequence[TemperaturePool],
    labelled: Sequence[LabelledFrame],
    *,
    kind: str,
    n_most: int,
    force_error_limit_relative: float,
    limits: DecisionLimits = LIMITS,
) -> Round:
    """Choose one frame at least.

    Parameters
    ----------
    force_field : ForceField
        Its errors are those after all calculations that run.
    pools : sequence of TemperaturePool
    labelled : sequence of LabelledFrame
        What the force field was fitted to.
    kind : str
        A name of `SELECTIONS`.
    n_most : int
        Frames that may be chosen, at most.
    force_error_limit_relative : float
        Limit at every temperature.
    limits : DecisionLimits
    """
    frames = [frame for pool in pools for frame in pool.frames]
    origins = np.repeat(np.arange(len(pools)), [len(pool.frames) for pool in pools])
    pool = information_of_frames(force_field, frames, labelled, _counts(pools))
    known = Knowledge(pool.importance, pool.precision, pool.misfit)
    first = [np.flatnonzero(origins == k) for k, each in enumerate(pools) if each.must_label]
    free = np.ones(len(frames), dtype=bool)
    chosen: list[int] = []
    expected = [_largest_error(force_field, pools, limits)]
    while len(chosen) < min(n_most, len(frames)):
        if len(chosen) >= max(1, len(first)) and expected[-1] <= force_error_limit_relative:
            break
        candidates = first[len(chosen)] if len(chosen) < len(first) else np.flatnonzero(free)
        frame = SELECTIONS[kind].best(pool, candidates, known)
        chosen.append(frame)
        free[frame] = False
        precision = symmetric(pool.with_frame(known.precision, frame))
        known = Knowledge(pool.importance, precision, known.misfit.add(frame))
        force_field = with_running(force_field, [frames[frame]])
        expected.append(_largest_error(force_field, pools, limits))
    starts = np.searchsorted(origins, origins[chosen])
    places = zip(origins[chosen].tolist(), (np.array(chosen) - starts).tolist(), strict=True)
    return Round(tuple(places), tuple(expected))


def _counts(pools: Sequence[TemperaturePool]) -> NDArray[np.float64]:
    """How much each frame counts, their sum being one."""
    each = [
        np.full(len(pool.frames), 1.0 / (len(pool.frames) * pool.force_rms_ev_per_angstrom**2))
        for pool in pools
    ]
    counts = np.concatenate(each)
    return np.asarray(counts / counts.sum())


def _largest_error(
    force_field: ForceField, pools: Sequence[TemperaturePool], limits: DecisionLimits
) -> float:
    """Predictive error of the temperature where it is largest, from a few frames of each."""
    worst = 0.0
    for pool in pools:
        n_frames = min(limits.frames_before_test, len(pool.frames))
        places = np.linspace(0, len(pool.frames) - 1, n_frames).round().astype(int)
        errors = []
        for supercell, u in (pool.frames[k] for k in places):
            found = SupercellForceField(force_field, supercell).force_errors(u)
            errors.append(frame_errors(np.full(u.shape, pool.force_rms_ev_per_angstrom), found, u))
        worst = max(worst, mean_errors(errors).predictive)
    return worst
