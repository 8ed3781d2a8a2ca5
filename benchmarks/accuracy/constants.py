"""How much do results depend on the constants of the priors of noise and parameters?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from benchmarks.accuracy.measures import N_TEST, error_and_z, split
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.accuracy.laboratory import Laboratory

COUNTS = {"Cu EMT 2-3": (2, 8), "Si Stillinger-Weber": (2, 8)}
NOT_FELT = {
    "guess_scale_sd": "needs a guess from a cheaper source",
    "fewest_earlier": "needs data that grow",
    "early_end": "needs data that grow",
    "coherence": "moves the error bars of energies alone",
}


@dataclasses.dataclass(frozen=True)
class ConstantPoint:
    """Force error on test frames, % of the rms force, and rms of error over predicted error."""

    system: str
    n_calculations: int
    temperature_kelvin: float
    field: str
    value: float
    percent_at_half: float
    percent: float
    percent_at_twice: float
    z_at_half: float
    z: float
    z_at_twice: float


def constants(laboratory: Laboratory) -> Iterator[ConstantPoint]:
    """Fits with half and twice each constant, one at a time; some systems only."""
    name = laboratory.system.name
    if name not in COUNTS:
        return
    training, test = split(laboratory)
    first, *_, hottest = laboratory.system.temperatures_kelvin
    tests = {first: test, hottest: laboratory.frames(hottest, N_TEST)}

    def score(n_calculations: int, hyperpriors: Hyperpriors) -> dict[float, tuple[float, float]]:
        data = FitData(training[:n_calculations])
        force_field = fit_force_field(laboratory.basis, data, hyperpriors=hyperpriors)
        return {kelvin: error_and_z(force_field, frames) for kelvin, frames in tests.items()}

    for count in COUNTS[name]:
        middle = score(count, HYPERPRIORS)
        for label, value in constant_names():
            half, twice = (score(count, scaled(label, factor)) for factor in (0.5, 2.0))
            for kelvin in tests:
                errors, z_scores = zip(half[kelvin], middle[kelvin], twice[kelvin], strict=True)
                percents = [100.0 * error for error in errors]
                yield ConstantPoint(name, count, kelvin, label, value, *percents, *z_scores)


def constant_names() -> Iterator[tuple[str, float]]:
    """Name and value of each constant that the fits feel; those of a tuple are numbered."""
    for field in dataclasses.fields(Hyperpriors):
        value = getattr(HYPERPRIORS, field.name)
        if field.name in NOT_FELT:
            continue
        if isinstance(value, tuple):
            yield from ((f"{field.name}[{k}]", each) for k, each in enumerate(value))
        else:
            yield field.name, value


def scaled(label: str, factor: float) -> Hyperpriors:
    """The default with one constant times a factor; counts stay whole."""
    name, _, place = label.partition("[")
    value = getattr(HYPERPRIORS, name)
    if place:
        changed = list(value)
        changed[int(place[:-1])] *= factor
        return dataclasses.replace(HYPERPRIORS, **{name: tuple(changed)})
    return dataclasses.replace(HYPERPRIORS, **{name: type(value)(value * factor)})
