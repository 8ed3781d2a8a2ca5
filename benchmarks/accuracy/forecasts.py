"""Calculations that a limit needs: foretold, and found by making them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.accuracy.measures import own_errors, rms, split
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.force_field import errors_of_rows
from mlff_dyn.training.frame_choice import outlook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.regression.planning.forecast import Outlook

_ORDERS = 5
_LARGEST_FOR_ORDERS = 500


@dataclasses.dataclass(frozen=True)
class ForecastScore:
    """Calculations in all until the error of test frames is at a limit, foretold after some of them.

    The limit is of the whole predicted error, or of its epistemic part, which calculations lower: what it is
    on average after a later number of calculations, over several orders of the frames. ``foretold`` is the
    median over the orders, ``low`` and ``high`` that of its range; None is out of reach. ``found`` is where
    the average is within the limit, ``found_true`` where the true error is within that of the whole.
    The verdict is right if ``foretold`` is off by one or 20 % of the further calculations at most.
    ``error_ratio`` is the predicted error foretold for the later number, over the one found.
    """

    system: str
    part: str
    n_calculations: int
    limit_relative: float
    foretold: int | None
    low: int | None
    high: int | None
    found: int
    found_true: int | None
    verdict: str
    error_ratio: float


@dataclasses.dataclass(frozen=True)
class _Errors:
    epistemic: float
    truncation: float
    predictive: float
    true: float


def forecasts(laboratory: Laboratory) -> Iterator[ForecastScore]:
    """Forecasts at some numbers of calculations for limits that later ones reach."""
    training, test = split(laboratory)
    counts = laboratory.system.training_counts
    last, pool = max(counts), np.array([rows.displacements for rows in training])
    size = rms(np.concatenate([rows.forces for rows in test]))
    n_orders = _ORDERS if laboratory.basis.n_parameters < _LARGEST_FOR_ORDERS else 1
    runs: list[list[_Errors]] = []
    prospects = []
    for k in range(n_orders):
        order = np.random.default_rng(k).permutation(len(training))
        fits = [
            fit_force_field(laboratory.basis, FitData([training[i] for i in order[:count]]))
            for count in range(1, last + 1)
        ]
        runs.append([_errors(fit, test) for fit in fits])
        prospects.append({c: outlook(fits[c - 1], laboratory.torus, pool) for c in counts[1:-1]})
    for part in ("predictive", "epistemic"):
        history = _History(part, runs, prospects)
        for start in counts[1:-1]:
            for target in (count for count in counts if count > start):
                yield history.score(laboratory.system.name, size, start, target)


@dataclasses.dataclass(frozen=True)
class _History:
    """Errors and outlooks of several orders of the frames, by number of calculations."""

    part: str
    runs: list[list[_Errors]]
    prospects: list[dict[int, Outlook]]

    def score(self, system: str, size: float, start: int, target: int) -> ForecastScore:
        predicted, true = self._mean(self.part), self._mean("true")
        limit = float(predicted[target - 1])
        parts = [
            (p[start], *self._parts(run[start - 1])) for p, run in zip(self.prospects, self.runs, strict=True)
        ]
        forecast = [
            prospect.forecast(epistemic, truncation, limit) for prospect, epistemic, truncation in parts
        ]
        foretold, low, high = (
            _median(start, [getattr(f, name) for f in forecast]) for name in ("n_calculations", "low", "high")
        )
        found = _first(predicted, limit, start) or target
        errors = [prospect.curve.error(e, t, target - start) for prospect, e, t in parts]
        return ForecastScore(
            system=system,
            part=self.part,
            n_calculations=start,
            limit_relative=limit / size,
            foretold=foretold,
            low=low,
            high=high,
            found=found,
            found_true=_first(true, limit, start) if self.part == "predictive" else None,
            verdict=_verdict(start, foretold, low, high, found),
            error_ratio=float(np.mean(errors)) / limit,
        )

    def _mean(self, name: str) -> np.ndarray:
        return np.mean([[getattr(e, name) for e in run] for run in self.runs], axis=0)

    def _parts(self, errors: _Errors) -> tuple[float, float]:
        return errors.epistemic, errors.truncation if self.part == "predictive" else 0.0


def _errors(force_field: ForceField, rows: Sequence[LabelledFrame]) -> _Errors:
    """Predicted and true errors, root mean square over frames, eV/Å."""
    parts = [
        errors_of_rows(force_field, each.supercell.rows(each.displacements)[0], each.conditions)
        for each in rows
    ]
    names = ("epistemic", "truncation", "predictive")
    predicted = [rms(np.concatenate([getattr(part, name).ravel() for part in parts])) for name in names]
    return _Errors(*predicted, rms(own_errors(force_field, rows)))


def _verdict(start: int, foretold: int | None, low: int | None, high: int | None, found: int) -> str:
    if foretold is not None and abs(foretold - found) <= max(1.0, 0.2 * (found - start)):
        return "right"
    in_range = low is not None and low <= found and (high is None or found <= high)
    return "in its range" if in_range else "wrong"


def _median(start: int, counts: Sequence[int | None]) -> int | None:
    """Median number of calculations in all; out of reach counts as infinity."""
    middle = float(np.median([np.inf if count is None else start + count for count in counts]))
    return None if np.isinf(middle) else round(middle)


def _first(errors: np.ndarray, limit: float, start: int) -> int | None:
    """First number of calculations after ``start`` whose error is within the limit."""
    within = np.flatnonzero(errors[start:] <= limit * (1.0 + 1e-9))
    return start + 1 + int(within[0]) if len(within) else None
