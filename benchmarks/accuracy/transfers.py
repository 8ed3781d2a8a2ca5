"""What a cheap potential saves: its force constants as prior for an expensive one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.accuracy.measures import N_TEST, relative_error, split
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.prior_guess import PriorGuess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.accuracy.laboratory import Laboratory

_CHEAP_FRAMES = 20
_REPEATS = 5


@dataclasses.dataclass(frozen=True)
class TransferPoint:
    """Relative force error (median over choices of the frames) with and without the cheap prior."""

    system: str
    prior: str
    n_calculations: int
    temperature_kelvin: float
    rmse_without_relative: float
    rmse_with_relative: float


def transfers(cheap: Laboratory, laboratory: Laboratory) -> Iterator[TransferPoint]:
    """Error against number of expensive calculations; the prior alone with none."""
    first, *others = laboratory.system.temperatures_kelvin
    training, test = split(laboratory)
    tests = {first: test} | {kelvin: laboratory.frames(kelvin, N_TEST) for kelvin in others}
    source = fit_force_field(laboratory.basis, FitData(cheap.frames(first, _CHEAP_FRAMES)))
    guess = PriorGuess(cheap.system.name, source.posterior.mean, source.expansion.parameter_orders)
    for kelvin, rows in tests.items():
        error = relative_error(source, rows)
        yield TransferPoint(laboratory.system.name, guess.source, 0, kelvin, 1.0, error)
    for count in (1, 2, 4, 8):
        found: dict[float, list[tuple[float, float]]] = {kelvin: [] for kelvin in tests}
        for seed in range(_REPEATS):
            choice = np.random.default_rng(seed).permutation(len(training))[:count]
            data = [training[k] for k in choice]
            fits = [fit_force_field(laboratory.basis, FitData(data), guess=g) for g in (None, guess)]
            for kelvin, rows in tests.items():
                found[kelvin].append((relative_error(fits[0], rows), relative_error(fits[1], rows)))
        for kelvin, pairs in found.items():
            without, with_prior = np.median(pairs, axis=0)
            name = laboratory.system.name
            yield TransferPoint(name, guess.source, count, kelvin, float(without), float(with_prior))
