"""What choosing frames from a pool gains over drawing them at random."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.accuracy.measures import N_TEST, relative_error, split
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.regression.planning.misfit import no_misfit
from mlff_dyn.training.frame_choice import choose_frames, information_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.regression.fit.noise import NoiseModel
    from mlff_dyn.regression.planning.selection import FramePool

RANDOM = "random"
OWN = ("i-optimal", "d-optimal", "max-sd")
_LAST = 8
_REPEATS = {True: 10, False: 4}
_LARGE, _REPEATS_OF_LARGE = 500, 2


@dataclasses.dataclass(frozen=True)
class SelectionPoint:
    """Relative force error, mean over the temperatures of the pool, median over first frames."""

    system: str
    pool: str
    selection: str
    n_calculations: int
    rmse_force_relative: float


@dataclasses.dataclass(frozen=True)
class SelectionGain:
    """Calculations after which a selection is as good as ``n_random`` frames drawn at random."""

    system: str
    pool: str
    selection: str
    n_random: int
    n_selected: int | None
    worst_ratio_to_random: float


def selections(laboratory: Laboratory) -> Iterator[SelectionPoint]:
    """Curves for a pool at one temperature and for a mixed one; the first frame is drawn at random."""
    for pool_name, pool, tests in _pools(laboratory):
        fit = _fitter(laboratory, pool)
        small = laboratory.system.is_cheap
        names = (RANDOM, *OWN, *(_VARIANTS if small else ()))
        for name in names:
            is_large = laboratory.basis.n_parameters > _LARGE
            repeats = range(_REPEATS_OF_LARGE if is_large else _REPEATS[small])
            choices = [_chosen(laboratory, pool, fit, name, seed) for seed in repeats]
            for count in range(1, _LAST + 1):
                errors = [
                    np.mean([relative_error(fit(frozenset(choice[:count])), rows) for rows in tests])
                    for choice in choices
                ]
                median = float(np.median(errors))
                yield SelectionPoint(laboratory.system.name, pool_name, name, count, median)


def gains(points: Sequence[SelectionPoint]) -> list[SelectionGain]:
    """Calculations that each selection needs for the error of random selection after a number of them."""
    curves: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for point in points:
        curve = curves.setdefault((point.system, point.pool), {}).setdefault(point.selection, np.empty(0))
        curves[point.system, point.pool][point.selection] = np.append(curve, point.rmse_force_relative)
    found = []
    for (system, pool), by_name in curves.items():
        random = by_name[RANDOM]
        for name in by_name:
            if name == RANDOM:
                continue
            ratio = float((by_name[name][1:] / random[1:]).max())
            for count in (4, 6, 8):
                reached = np.flatnonzero(by_name[name] <= random[count - 1])
                needed = int(reached[0]) + 1 if len(reached) else None
                found.append(SelectionGain(system, pool, name, count, needed, ratio))
    return found


def _pools(laboratory: Laboratory) -> Iterator[tuple[str, list[LabelledFrame], list[list[LabelledFrame]]]]:
    """Name, frames to choose from, and test frames by temperature."""
    training, test = split(laboratory)
    first, *others = laboratory.system.temperatures_kelvin
    every = laboratory.frames(first, len(training) + N_TEST + laboratory.system.n_more)
    yield f"{first:g} K", [*training, *every[len(training) + N_TEST :]], [test]
    hot = [laboratory.frames(kelvin, 2 * N_TEST) for kelvin in others]
    if hot:
        mixed = [rows for frames in (training, *hot) for rows in frames[:N_TEST]]
        yield "all temperatures", mixed, [test, *(frames[N_TEST:] for frames in hot)]


def _fitter(laboratory: Laboratory, pool: Sequence[LabelledFrame]) -> Callable[[frozenset[int]], ForceField]:
    """Fits to sets of frames, none made twice."""

    @cache
    def fit(chosen: frozenset[int]) -> ForceField:
        return fit_force_field(laboratory.basis, FitData([pool[k] for k in sorted(chosen)]))

    return fit


def _chosen(
    laboratory: Laboratory,
    pool: Sequence[LabelledFrame],
    fit: Callable[[frozenset[int]], ForceField],
    selection: str,
    seed: int,
) -> list[int]:
    """Frames in the order of choice, each chosen with the fit to those before; the first at random."""
    order = [int(k) for k in np.random.default_rng(seed).permutation(len(pool))]
    if selection == RANDOM:
        return order[:_LAST]
    chosen, remaining = order[:1], order[1:]
    kind, make = _VARIANTS.get(selection, (selection, _plain))
    while len(chosen) < _LAST:
        frames = np.array([pool[k].displacements for k in remaining])
        known = [pool[k] for k in sorted(chosen)]
        information = make(fit(frozenset(chosen)), laboratory, frames, known)
        chosen.append(remaining.pop(choose_frames(information, kind, 1)[0]))
    return chosen


def _plain(
    force_field: ForceField, laboratory: Laboratory, frames: np.ndarray, known: Sequence[LabelledFrame]
) -> FramePool:
    return information_pool(force_field, laboratory.torus, frames, known)


def _without_bias(
    force_field: ForceField, laboratory: Laboratory, frames: np.ndarray, known: Sequence[LabelledFrame]
) -> FramePool:
    pool = _plain(force_field, laboratory, frames, known)
    return dataclasses.replace(pool, misfit=no_misfit(len(pool)))


def _frame_noise(
    force_field: ForceField, laboratory: Laboratory, frames: np.ndarray, known: Sequence[LabelledFrame]
) -> FramePool:
    noise = dataclasses.replace(force_field.posterior.noise, neighborhood_exponent=0.0)
    return _without_bias(_with_noise(force_field, noise), laboratory, frames, known)


def _constant_noise(
    force_field: ForceField, laboratory: Laboratory, frames: np.ndarray, known: Sequence[LabelledFrame]
) -> FramePool:
    noise = force_field.posterior.noise
    floor = float(np.hypot(noise.floor_sd, noise.truncation_sd))
    constant = dataclasses.replace(noise, floor_sd=floor, truncation_sd=0.0)
    return _without_bias(_with_noise(force_field, constant), laboratory, frames, known)


def _with_noise(force_field: ForceField, noise: NoiseModel) -> ForceField:
    values = dataclasses.replace(force_field.posterior.hyperparameters, noise=noise)
    posterior = dataclasses.replace(force_field.posterior, hyperparameters=values)
    return dataclasses.replace(force_field, posterior=posterior)


_VARIANTS = {
    "i-optimal, no bias": ("i-optimal", _without_bias),
    "i-optimal, noise of frames": ("i-optimal", _frame_noise),
    "i-optimal, one noise": ("i-optimal", _constant_noise),
}
