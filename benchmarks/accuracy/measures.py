"""Learning curves, and error bars on frames never trained on."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Protocol

import numpy as np

from benchmarks.accuracy.peers import BayesianRidgeFit, HiphiveFit
from benchmarks.accuracy.polymlp import PolymlpFit
from benchmarks.accuracy.pops import pops_force_sds
from benchmarks.accuracy.systems import is_installed
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.expansion import SupercellExpansion
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField

OWN = "mlff_dyn"
LATTICE = "mlff_dyn, force constants alone"
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
    """Error bars on test frames: root mean square of error over predicted error, and coverage of forces.

    ``pops_z`` takes the error by pointwise optimal parameter sets instead.
    """

    system: str
    program: str
    n_calculations: int
    temperature_kelvin: float
    rmse_force_relative: float
    calibration_z: float
    fraction_within_one_sd: float
    pops_z: float
    rmse_energy_mev_per_atom: float
    energy_calibration_z: float


def learning_curves(laboratory: Laboratory, *, with_peers: bool) -> Iterator[Point]:
    """Error against number of calculations, this program and others on the same frames."""
    training, test = split(laboratory)
    size = rms(np.concatenate([rows.forces for rows in test]))
    own = [_OwnFit(name, supercell) for name, supercell in both_expansions(laboratory).items()]
    programs: list[_Program] = [*own, *(_peers(laboratory) if with_peers else ())]
    for count in laboratory.system.training_counts:
        choices = _choices(len(training), count)
        for program in programs:
            if count < program.fewest:
                continue
            start = time.process_time()
            errors = [
                rms(program.errors([training[k] for k in choice], test)) / size
                for choice in choices[: min(program.repeats, laboratory.system.repeats)]
            ]
            seconds = (time.process_time() - start) / len(errors)
            yield Point(laboratory.system.name, program.name, count, float(np.median(errors)), seconds)


def scores(laboratory: Laboratory) -> Iterator[Score]:
    """Error bars at and above the temperature of the training."""
    training, test = split(laboratory)
    first, *others = laboratory.system.temperatures_kelvin
    tests = {first: test} | {kelvin: laboratory.frames(kelvin, N_TEST) for kelvin in others}
    for count in laboratory.system.training_counts[1:]:
        for program, supercell in both_expansions(laboratory).items():
            known = on_expansion(supercell, training[:count])
            force_field = fit_force_field(supercell.basis, FitData(known))
            for kelvin, rows in sorted(tests.items()):
                errors, sds = _errors_and_sds(force_field, rows)
                yield Score(
                    laboratory.system.name,
                    program,
                    count,
                    kelvin,
                    rms(errors) / rms(np.concatenate([each.forces for each in rows])),
                    rms(errors / sds),
                    float(np.mean(np.abs(errors) < sds)),
                    rms(errors / pops_force_sds(force_field, known, on_expansion(supercell, rows))),
                    *_energy_scores(force_field, rows),
                )


def both_expansions(laboratory: Laboratory) -> dict[str, SupercellExpansion]:
    """The expansion with a local part and that of force constants alone, by name."""
    return {OWN: laboratory.supercell_with_local, LATTICE: laboratory.supercell}


def on_expansion(supercell: SupercellExpansion, frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The same frames as rows of another expansion."""
    return [dataclasses.replace(frame, supercell=supercell) for frame in frames]


def _energy_scores(force_field: ForceField, rows: Sequence[LabelledFrame]) -> tuple[float, float]:
    """Error of the energy per atom (meV), and root mean square of error over predicted error."""
    place = force_field.on(rows[0].supercell.torus)
    errors = [(place.energy_forces(r.displacements)[0] - r.energy_ev) / r.n_atoms for r in rows]
    bars = [place.energy_errors(r.displacements) for r in rows]
    z = [e / bar.predictive[0] for e, bar in zip(errors, bars, strict=True) if bar is not None]
    return 1e3 * rms(np.array(errors)), rms(np.array(z)) if z else float("nan")


class _Program(Protocol):
    name: str
    repeats: int
    fewest: int

    def errors(self, training: Sequence[LabelledFrame], test: Sequence[LabelledFrame]) -> np.ndarray: ...


class _OwnFit:
    repeats = _REPEATS
    fewest = 1

    def __init__(self, name: str, supercell: SupercellExpansion) -> None:
        self.name = name
        self._supercell = supercell

    def errors(self, training: Sequence[LabelledFrame], test: Sequence[LabelledFrame]) -> np.ndarray:
        known = on_expansion(self._supercell, training)
        return own_errors(fit_force_field(self._supercell.basis, FitData(known)), test)


class _Repeated:
    """A peer, with as many choices of the frames as its speed allows, and the fewest it can be fitted to."""

    def __init__(
        self, peer: HiphiveFit | BayesianRidgeFit | PolymlpFit, repeats: int, fewest: int = 1
    ) -> None:
        self.name = peer.name
        self.repeats = repeats
        self.fewest = fewest
        self.errors = peer.errors


def _peers(laboratory: Laboratory) -> Iterator[_Repeated]:
    is_small = laboratory.basis.n_parameters < _LARGEST_FOR_ARD
    yield _Repeated(BayesianRidgeFit(), _REPEATS if is_small else 1)
    yield _Repeated(HiphiveFit(laboratory, "least-squares"), _REPEATS if is_small else 1)
    if is_small:
        yield _Repeated(HiphiveFit(laboratory, "ardr"), 1)
    if is_installed("pypolymlp"):
        yield _Repeated(PolymlpFit(), _REPEATS, 2)
    else:
        print("skipped pypolymlp: it is not installed", file=sys.stderr)


def split(laboratory: Laboratory) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """Training frames, and test frames that come after them, at the first temperature."""
    system = laboratory.system
    n_training = max(system.training_counts)
    frames = laboratory.frames(system.temperatures_kelvin[0], n_training + system.n_test)
    return frames[:n_training], frames[n_training:]


def _choices(n_frames: int, count: int) -> list[np.ndarray]:
    """Frames to train on: the first ones, then others."""
    first = [np.arange(count)]
    return first + [np.random.default_rng(k).permutation(n_frames)[:count] for k in range(1, _REPEATS)]


def relative_error(force_field: ForceField, rows: Sequence[LabelledFrame]) -> float:
    """Force error over the size of the forces."""
    return error_and_z(force_field, rows)[0]


def error_and_z(force_field: ForceField, rows: Sequence[LabelledFrame]) -> tuple[float, float]:
    """Force error over the size of the forces, and root mean square of error over predicted error."""
    errors, sds = _errors_and_sds(force_field, rows)
    return rms(errors) / rms(np.concatenate([each.forces for each in rows])), rms(errors / sds)


def own_errors(force_field: ForceField, rows: Sequence[LabelledFrame]) -> np.ndarray:
    """Force errors on frames, eV/Å."""
    return _errors_and_sds(force_field, rows)[0]


def _errors_and_sds(force_field: ForceField, rows: Sequence[LabelledFrame]) -> tuple[np.ndarray, np.ndarray]:
    place = force_field.on(rows[0].supercell.torus)
    errors = [place.energy_forces(each.displacements)[1].ravel() - each.forces for each in rows]
    sds = [place.force_errors(each.displacements).predictive.ravel() for each in rows]
    return np.concatenate(errors), np.concatenate(sds)


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(values**2)))
