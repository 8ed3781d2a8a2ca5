"""Observables whose error bars `check-convergence` judges besides that of the forces."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlff_dyn.observables.elastic import elastic_constants
from mlff_dyn.observables.point_frequencies import point_frequencies
from mlff_dyn.observables.sampled_phonons import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True)
class Sampling:
    """What the posterior standard deviation of an observable is taken from.

    Attributes
    ----------
    force_field : ForceField
    torus : Torus
        Supercell of the force constants.
    n_samples : int        of the posterior
    seed : int
    """

    force_field: ForceField
    torus: Torus
    n_samples: int
    seed: int


@dataclass(frozen=True)
class ObservableVerdict:
    """An observable; the names are those of the JSON object.

    Attributes
    ----------
    name, unit : str
    parts : tuple of str                   names of the rows of values
    values, sds : tuple of tuple of float  in the unit
    limit : float or None                  of the standard deviations; None: not judged
    converged : bool or None
    reason : str or None                   why it is not converged
    forecast_calculations : int or None
        More calculations needed if the standard deviation falls with the root of their number; that of what
        the expansion leaves out does not.
    """

    name: str
    unit: str
    parts: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    sds: tuple[tuple[float, ...], ...]
    limit: float | None
    converged: bool | None
    reason: str | None
    forecast_calculations: int | None

    @property
    def largest_sd(self) -> float:
        """Of all values."""
        return max(map(max, self.sds))

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        limit = "" if self.limit is None else f", limit {self.limit:g} {self.unit}"
        head = {None: "", True: "converged; ", False: "not converged; "}[self.converged]
        rows = [(self.name, f"{head}error at most {self.largest_sd:#.2g} {self.unit}{limit}")]
        for part, values, sds in zip(self.parts, self.values, self.sds, strict=True):
            worst = int(np.argmax(sds))
            text = " ".join(f"{value:.3f}" for value in values[:_SHOWN])
            more = " ..." if len(values) > _SHOWN else ""
            rows.append((f"  {part}", f"{text}{more} {self.unit}, error at most {sds[worst]:#.2g}"))
        return rows + ([] if self.reason is None else [("  reason", self.reason)])


_SHOWN = 6


class _Table(NamedTuple):
    """Unit, names of the rows, and values of shape (n_rows, n_columns)."""

    unit: str
    parts: tuple[str, ...]
    estimate: Estimate


def _frequencies(sampling: Sampling, settings: Mapping[str, Any]) -> _Table:
    points, found = point_frequencies(
        sampling.force_field,
        sampling.torus,
        settings["q_points"],
        n_samples=sampling.n_samples,
        seed=sampling.seed,
    )
    return _Table("THz", tuple(f"q = {name}" for name in points), found)


def _elastic(sampling: Sampling, _: Mapping[str, Any]) -> _Table:
    found = elastic_constants(sampling.force_field)
    parts = tuple(f"stress {axes} by strain" for axes in ("xx", "yy", "zz", "yz", "xz", "xy"))
    return _Table("GPa", parts, Estimate(found.values, found.sds))


OBSERVABLES: dict[str, Callable[[Sampling, Mapping[str, Any]], _Table]] = {
    "frequencies": _frequencies,
    "elastic": _elastic,
}
"""Name in `convergence.observables` to what measures it with those settings."""


def judge_observables(
    sampling: Sampling, chosen: Mapping[str, Mapping[str, Any] | None]
) -> tuple[ObservableVerdict, ...]:
    """Judge the observables that are chosen; their limit is the setting whose name begins so.

    Parameters
    ----------
    sampling : Sampling
    chosen : mapping
        Settings of each by its name; None: not asked for.
    """
    sampling, found = replace(sampling, force_field=sampling.force_field.at_rest), []
    for name, settings in chosen.items():
        if settings is not None:
            limit = next(value for key, value in settings.items() if key.startswith("limit"))
            table = OBSERVABLES[name](sampling, settings)
            found.append(_verdict(name, table, limit, sampling.force_field.training.n_snapshots))
    return tuple(found)


def _verdict(name: str, table: _Table, limit: float | None, n_snapshots: int) -> ObservableVerdict:
    unit, parts, estimate = table
    largest = float(estimate.sd.max())
    is_within = None if limit is None else largest <= limit
    reason, needed = None, 0 if is_within else None
    if limit is not None and not is_within:
        where = parts[int(np.argmax(estimate.sd.max(axis=1)))]
        reason = f"the error of {name} at {where} is {largest:#.2g} {unit}, above {limit:g} {unit}"
        needed = max(1, math.ceil(n_snapshots * ((largest / limit) ** 2 - 1.0)))
    values, sds = (tuple(map(tuple, each.tolist())) for each in (estimate.value, estimate.sd))
    return ObservableVerdict(name, unit, parts, values, sds, limit, is_within, reason, needed)
