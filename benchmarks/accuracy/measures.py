"""Learning curves, error bars on frames never trained on, forecasts, and what choosing frames gains."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Protocol

import numpy as np

from benchmarks.accuracy.peers import BayesianRidgeFit, HiphiveFit
from mlff_dyn.model.fit import fit_force_field
from mlff_dyn.model.force_field import errors_of_rows
from mlff_dyn.training.selection import choose_frames, information_pool, outlook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.accuracy.systems import Laboratory
    from mlff_dyn.model.fit import LabelledRows
    from mlff_dyn.model.force_field import ForceField

OWN = "mlff_dyn"
N_TEST = 8
_REPEATS = 5
_LARGEST_FOR_ARD = 400


@dataclasses.dataclass(frozen=True)
class Point:
    """Relative force error (median over choices of the frames) after a number of calculations."""

    system: str
    program: str
    n_calculations: int
    rmse_force_relative: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Score:
    """Error bars on test frames: root mean square of error over predicted error, and coverage."""

    system: str
    n_calculations: int
    temperature_kelvin: float
    rmse_force_relative: float
    calibration_z: float
    fraction_within_one_sd: float


@dataclasses.dataclass(frozen=True)
class ForecastScore:
    """Calculations until the error is at a limit: foretold after n_calculations, and found."""

    system: str
    n_calculations: int
    limit_ev_per_angstrom: float
    foretold: int | None
    found: int


@dataclasses.dataclass(frozen=True)
class SelectionPoint:
    """Relative force error, mean over the temperatures of the pool, after choosing frames from it."""

    system: str
    pool: str
    selection: str
    n_calculations: int
    rmse_force_relative: float


def learning_curves(laboratory: Laboratory, *, with_peers: bool) -> Iterator[Point]:
    """Error against number of calculations, this program and others on the same frames."""
    training, test = _split(laboratory)
    size = _rms(np.concatenate([rows.forces for rows in test]))
    programs: list[_Program] = [_OwnFit(), *(_peers(laboratory) if with_peers else ())]
    for count in laboratory.system.training_counts:
        choices = _choices(len(training), count)
        for program in programs:
            start = time.process_time()
            errors = [
                _rms(program.errors([training[k] for k in choice], test)) / size
                for choice in choices[: program.repeats]
            ]
            seconds = (time.process_time() - start) / len(errors)
            yield Point(laboratory.system.name, program.name, count, float(np.median(errors)), seconds)


def scores(laboratory: Laboratory) -> Iterator[Score]:
    """Error bars at and above the temperature of the training."""
    training, test = _split(laboratory)
    first, *others = laboratory.system.temperatures_kelvin
    tests = {first: test} | {kelvin: laboratory.frames(kelvin, N_TEST) for kelvin in others}
    for count in laboratory.system.training_counts[1:]:
        force_field = fit_force_field(laboratory.basis, training[:count])
        for kelvin, rows in sorted(tests.items()):
            errors, sds = _errors_and_sds(force_field, rows)
            yield Score(
                laboratory.system.name,
                count,
                kelvin,
                _rms(errors) / _rms(np.concatenate([each.forces for each in rows])),
                _rms(errors / sds),
                float(np.mean(np.abs(errors) < sds)),
            )


def forecasts(laboratory: Laboratory) -> Iterator[ForecastScore]:
    """Number of calculations for the predicted error to reach what it has at a later count."""
    training, _ = _split(laboratory)
    counts = range(1, max(laboratory.system.training_counts) + 1)
    fits = {count: fit_force_field(laboratory.basis, training[:count]) for count in counts}
    pool = training
    found = {count: _mean_errors(fit, pool) for count, fit in fits.items()}
    for start in laboratory.system.training_counts[1:-1]:
        displacements = np.array([rows.displacements for rows in pool])
        prospects = outlook(fits[start], laboratory.torus, displacements)
        for target in (count for count in laboratory.system.training_counts if count > start):
            limit = found[target][1]
            forecast = prospects.forecast(*_parts(found[start]), limit)
            reached = next(count for count in counts if count > start and found[count][1] <= limit)
            foretold = None if forecast.n_calculations is None else start + forecast.n_calculations
            yield ForecastScore(laboratory.system.name, start, limit, foretold, reached)


def selections(laboratory: Laboratory) -> Iterator[SelectionPoint]:
    """Random, I-optimal, D-optimal and largest sd, from a pool at one temperature and from a mixed one."""
    training, test = _split(laboratory)
    first, *others = laboratory.system.temperatures_kelvin
    hot = [laboratory.frames(kelvin, 2 * N_TEST) for kelvin in others]
    pools = {f"{first:g} K": (training, [test])}
    if hot:
        mixed = [rows for frames in (training, *hot) for rows in frames[:N_TEST]]
        pools["all temperatures"] = (mixed, [test, *(frames[N_TEST:] for frames in hot)])
    last = max(laboratory.system.training_counts) // 2
    for pool_name, (pool, tests) in pools.items():
        for selection in ("random", "i-optimal", "d-optimal", "max-sd"):
            curves = [_selected(laboratory, pool, selection, last, seed) for seed in range(_REPEATS)]
            for count in range(1, last + 1):
                errors = [
                    np.mean([_relative_error(fits[count - 1], rows) for rows in tests]) for fits in curves
                ]
                name = laboratory.system.name
                yield SelectionPoint(name, pool_name, selection, count, float(np.median(errors)))


def _selected(
    laboratory: Laboratory, pool: Sequence[LabelledRows], selection: str, last: int, seed: int
) -> list[ForceField]:
    """Fits along a sequence of frames, each chosen with the fit to those before; the first at random."""
    generator = np.random.default_rng(seed)
    remaining = list(generator.permutation(len(pool)))
    chosen = [remaining.pop(0)]
    fits = [fit_force_field(laboratory.basis, [pool[chosen[0]]])]
    while len(fits) < last:
        place = 0
        if selection != "random":
            frames = np.array([pool[k].displacements for k in remaining])
            place = choose_frames(information_pool(fits[-1], laboratory.torus, frames), selection, 1)[0]
        chosen.append(remaining.pop(place))
        fits.append(fit_force_field(laboratory.basis, [pool[k] for k in chosen]))
    return fits


class _Program(Protocol):
    name: str
    repeats: int

    def errors(self, training: Sequence[LabelledRows], test: Sequence[LabelledRows]) -> np.ndarray: ...


class _OwnFit:
    name = OWN
    repeats = _REPEATS

    def errors(self, training: Sequence[LabelledRows], test: Sequence[LabelledRows]) -> np.ndarray:
        return _own_errors(fit_force_field(training[0].supercell.basis, training), test)


class _Repeated:
    """A peer, with as many choices of the frames as its speed allows."""

    def __init__(self, peer: HiphiveFit | BayesianRidgeFit, repeats: int) -> None:
        self.name = peer.name
        self.repeats = repeats
        self.errors = peer.errors


def _peers(laboratory: Laboratory) -> Iterator[_Repeated]:
    is_small = laboratory.basis.n_parameters < _LARGEST_FOR_ARD
    yield _Repeated(BayesianRidgeFit(), _REPEATS if is_small else 1)
    yield _Repeated(HiphiveFit(laboratory, "least-squares"), _REPEATS if is_small else 1)
    if is_small:
        yield _Repeated(HiphiveFit(laboratory, "ardr"), 1)


def _split(laboratory: Laboratory) -> tuple[list[LabelledRows], list[LabelledRows]]:
    """Training frames, and test frames that come after them, at the first temperature."""
    n_training = max(laboratory.system.training_counts)
    frames = laboratory.frames(laboratory.system.temperatures_kelvin[0], n_training + N_TEST)
    return frames[:n_training], frames[n_training:]


def _choices(n_frames: int, count: int) -> list[np.ndarray]:
    """Frames to train on: the first ones, then others."""
    first = [np.arange(count)]
    return first + [np.random.default_rng(k).permutation(n_frames)[:count] for k in range(1, _REPEATS)]


def _own_errors(force_field: ForceField, rows: Sequence[LabelledRows]) -> np.ndarray:
    return _errors_and_sds(force_field, rows)[0]


def _relative_error(force_field: ForceField, rows: Sequence[LabelledRows]) -> float:
    return _rms(_own_errors(force_field, rows)) / _rms(np.concatenate([each.forces for each in rows]))


def _errors_and_sds(force_field: ForceField, rows: Sequence[LabelledRows]) -> tuple[np.ndarray, np.ndarray]:
    place = force_field.on(rows[0].supercell.torus)
    errors = [place.energy_forces(each.displacements)[1].ravel() - each.forces for each in rows]
    sds = [place.force_errors(each.displacements).predictive.ravel() for each in rows]
    return np.concatenate(errors), np.concatenate(sds)


def _mean_errors(force_field: ForceField, rows: Sequence[LabelledRows]) -> tuple[float, float, float]:
    """Epistemic, predictive and truncation error, rms over frames."""
    parts = [errors_of_rows(force_field, each.force_rows, each.conditions) for each in rows]
    names = ("epistemic", "predictive", "truncation")
    return tuple(_rms(np.concatenate([getattr(part, name).ravel() for part in parts])) for name in names)


def _parts(errors: tuple[float, float, float]) -> tuple[float, float]:
    return errors[0], errors[2]


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
