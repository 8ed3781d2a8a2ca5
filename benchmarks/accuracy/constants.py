"""How much do results depend on the constants of the priors and of the local part?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

from benchmarks.accuracy.measures import (
    LATTICE,
    N_TEST,
    OWN,
    error_and_z,
    on_expansion,
    split,
)
from mlff_dyn.local.function_limits import FUNCTION_LIMITS, FunctionLimits
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.expansion import SupercellExpansion

T = TypeVar("T", Hyperpriors, FunctionLimits)

COUNTS = {"Cu EMT 2-3": (2, 8), "Si Stillinger-Weber": (2, 8)}
COUNTS_WITH_LOCAL_PART = {"Cu EMT 2-3": (2, 8), "c-BAs GFN1": (2, 8)}
OF_LOCAL_PART = ("exponent_spread",)
NOT_FELT = {
    "guess_scale_sd": "needs a guess from a cheaper source",
    "fewest_earlier": "needs data that grow",
    "early_end": "needs data that grow",
    "coherence": "moves the error bars of energies alone",
    "most_functions": "a limit that no fit of the scan reaches",
    "farthest_of_bond": "acts where atoms leave their sites",
}


@dataclasses.dataclass(frozen=True)
class ConstantPoint:
    """Force error on test frames, % of the rms force, and rms of error over predicted error."""

    system: str
    program: str
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
    """Fits with half and twice each constant, one at a time; some systems only.

    What acts with a local part alone is scanned with one, and tested at the lowest temperature as well.
    """
    name, kelvins = laboratory.system.name, laboratory.system.temperatures_kelvin
    if name in COUNTS:
        names = [each for each in constant_names(HYPERPRIORS) if each[0] not in OF_LOCAL_PART]
        fit = _Fits(laboratory, laboratory.supercell, {kelvins[0], kelvins[-1]})
        yield from _scan(fit, LATTICE, COUNTS[name], names, HYPERPRIORS)
    if name in COUNTS_WITH_LOCAL_PART:
        counts = COUNTS_WITH_LOCAL_PART[name]
        names = [each for each in constant_names(HYPERPRIORS) if each[0] in OF_LOCAL_PART]
        fit = _Fits(laboratory, laboratory.supercell_with_local, {kelvins[0], min(kelvins), max(kelvins)})
        yield from _scan(fit, OWN, counts, names, HYPERPRIORS)
        yield from _scan(fit, OWN, counts, list(constant_names(FUNCTION_LIMITS)), FUNCTION_LIMITS)


class _Fits:
    """Fits of one expansion, with other constants, and their errors at some temperatures."""

    def __init__(self, laboratory: Laboratory, supercell: SupercellExpansion, kelvins: set[float]) -> None:
        self.laboratory = laboratory
        self._supercell = supercell
        self._training, test = split(laboratory)
        first = laboratory.system.temperatures_kelvin[0]
        self._tests = {
            each: test if each == first else laboratory.frames(each, N_TEST) for each in sorted(kelvins)
        }

    def score(
        self, n_calculations: int, constants: Hyperpriors | FunctionLimits
    ) -> dict[float, tuple[float, float]]:
        """Error and rms of error over predicted error by temperature."""
        supercell, hyperpriors = self._supercell, HYPERPRIORS
        if isinstance(constants, FunctionLimits):
            crystal, system = self.laboratory.crystal, self.laboratory.system
            local = local_basis(crystal, system.local, limits=constants)
            supercell = Expansion(supercell.expansion.basis, local=local).on(self.laboratory.torus)
        else:
            hyperpriors = constants
        data = FitData(on_expansion(supercell, self._training[:n_calculations]))
        force_field = fit_force_field(supercell.basis, data, hyperpriors=hyperpriors)
        return {
            kelvin: error_and_z(force_field, on_expansion(supercell, frames))
            for kelvin, frames in self._tests.items()
        }


def _scan(
    fits: _Fits,
    program: str,
    counts: tuple[int, ...],
    names: Sequence[tuple[str, float]],
    constants: Hyperpriors | FunctionLimits,
) -> Iterator[ConstantPoint]:
    system = fits.laboratory.system.name
    for count in counts:
        middle = fits.score(count, constants)
        for label, value in names:
            half, twice = (fits.score(count, scaled(label, factor, constants)) for factor in (0.5, 2.0))
            for kelvin in middle:
                errors, z_scores = zip(half[kelvin], middle[kelvin], twice[kelvin], strict=True)
                percents = [100.0 * error for error in errors]
                yield ConstantPoint(system, program, count, kelvin, label, value, *percents, *z_scores)


def constant_names(constants: Hyperpriors | FunctionLimits) -> Iterator[tuple[str, float]]:
    """Name and value of each constant that the fits feel; those of a tuple are numbered."""
    for field in dataclasses.fields(constants):
        value = getattr(constants, field.name)
        if field.name in NOT_FELT:
            continue
        if isinstance(value, tuple):
            yield from ((f"{field.name}[{k}]", each) for k, each in enumerate(value))
        else:
            yield field.name, value


def scaled(label: str, factor: float, constants: T) -> T:
    """The constants with one times a factor; counts stay whole."""
    name, _, place = label.partition("[")
    value = getattr(constants, name)
    if place:
        changed = list(value)
        changed[int(place[:-1])] *= factor
        return dataclasses.replace(constants, **{name: tuple(changed)})
    return dataclasses.replace(constants, **{name: type(value)(value * factor)})
