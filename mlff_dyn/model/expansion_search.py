"""Which orders and cutoffs do the data support? Nested expansions compared by evidence and left-out errors.

The search starts from the second order and takes one step at a time: one more shell of neighbors for an
order, or the next order with its first shell. Of all steps the one of largest evidence is taken, until none
raises it by more than one percent of noise would; an order whose next shell lowers the evidence has found its
cutoff. An expansion is sufficient if its error on left-out supercells is close to the smallest that was
found; the smallest of those is proposed.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import BasisError, FitError
from mlff_dyn.lattice.basis import FULL, build_basis
from mlff_dyn.lattice.shells import SHELL_GAP_ANGSTROM, shell_distances
from mlff_dyn.lattice.wigner_seitz import largest_safe_cutoff
from mlff_dyn.model.data_rows import DataRows
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fit import DEFAULT_OPTIONS, fit_force_field
from mlff_dyn.model.row_errors import left_out_scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.fit import LabelledRows
    from mlff_dyn.model.force_field import ForceField

    Cutoffs = Mapping[int, float | str | Mapping[int, float]]

_MANY_BODY_ORDERS = (3, 4)
_PAIR_ORDERS = (5, 6)
_MOST_PARAMETERS = 2500
_SMALLEST_GAIN_PER_ROW = 0.01
_SUFFICIENT = 1.1
_MOST_LEFT_OUT = 12
_TIMED_CALLS = 5
_MARGIN_ANGSTROM = 0.05


@dataclass(frozen=True)
class Trial:
    """One expansion and how well it describes the data.

    Attributes
    ----------
    cutoffs_angstrom : mapping                per order, as in the configuration
    n_parameters : int
    log_evidence : float
    left_out_error_relative : float or None   over the rms force; None with one supercell
    force_call_milliseconds : float           on the training cell, one thread
    """

    cutoffs_angstrom: Cutoffs
    n_parameters: int
    log_evidence: float
    left_out_error_relative: float | None
    force_call_milliseconds: float


def search_expansions(data: Sequence[LabelledRows], torus: Torus) -> Iterator[Trial]:
    """Fit nested expansions, the next ones around the best of the last.

    Parameters
    ----------
    data : sequence of LabelledRows
    torus : Torus
        Training cell, which limits the cutoffs.

    Yields
    ------
    Trial
        In the order in which they are fitted; the first has the second order alone.

    Raises
    ------
    FitError
        If there are no data.
    """
    if not data:
        raise FitError("there is no labelled snapshot", fix="label some or give --dataset")
    shells = _shells(torus)
    gain = _SMALLEST_GAIN_PER_ROW * sum(rows.forces.size for rows in data)
    best = _try(data, torus, {2: FULL})
    yield best
    counts: dict[int, int] = {}
    closed: set[int] = set()
    while True:
        found: list[tuple[Trial, dict[int, int]]] = []
        for order in _next_orders(counts, closed, len(shells)):
            step = {**counts, order: counts.get(order, 0) + 1}
            trial = _try_or_skip(data, torus, _cutoffs(step, shells))
            if trial is None or (order in counts and trial.log_evidence < best.log_evidence):
                closed.add(order)
            if trial is not None:
                yield trial
                found.append((trial, step))
        better, step = max(found, key=lambda pair: pair[0].log_evidence, default=(best, counts))
        if better.log_evidence < best.log_evidence + gain:
            return
        best, counts = better, step


def cheapest_sufficient(trials: Sequence[Trial]) -> Trial:
    """Cheapest expansion whose left-out error is within ten percent of the smallest.

    Where nothing could be left out it is the one of largest evidence.
    """
    errors = [t.left_out_error_relative for t in trials if t.left_out_error_relative is not None]
    if not errors:
        return max(trials, key=lambda trial: trial.log_evidence)
    limit = _SUFFICIENT * min(errors)
    sufficient = [
        t for t in trials if t.left_out_error_relative is not None and t.left_out_error_relative <= limit
    ]
    return min(sufficient, key=lambda trial: (trial.n_parameters, trial.force_call_milliseconds))


def _shells(torus: Torus) -> list[float]:
    """Cutoffs (Å) that take in one more shell of neighbors each, all of them safe."""
    crystal = torus.crystal
    reach = largest_safe_cutoff(torus)
    ends = shell_distances(crystal.lattice, crystal.positions, reach + SHELL_GAP_ANGSTROM)
    return [end + _MARGIN_ANGSTROM for end in ends if end + _MARGIN_ANGSTROM <= reach]


def _next_orders(counts: dict[int, int], closed: set[int], n_shells: int) -> Iterator[int]:
    """Orders that may have one more shell; an order begins once the one below is there."""
    for order in (*_MANY_BODY_ORDERS, *_PAIR_ORDERS):
        if order - 1 in {2, *counts} and order not in closed and counts.get(order, 0) < n_shells:
            yield order


def _cutoffs(counts: dict[int, int], shells: list[float]) -> Cutoffs:
    cutoffs: dict[int, float | str | Mapping[int, float]] = {2: FULL}
    for order, count in counts.items():
        cutoff = round(shells[count - 1], 2)
        cutoffs[order] = {2: cutoff} if order in _PAIR_ORDERS else cutoff
    return cutoffs


def _try_or_skip(data: Sequence[LabelledRows], torus: Torus, cutoffs: Cutoffs) -> Trial | None:
    """None where the expansion is too large to be fitted."""
    try:
        return _try(data, torus, cutoffs)
    except BasisError:
        return None


def _try(data: Sequence[LabelledRows], torus: Torus, cutoffs: Cutoffs) -> Trial:
    basis = build_basis(torus.crystal, cutoffs, torus)
    if basis.n_parameters > _MOST_PARAMETERS:
        raise BasisError(f"{basis.n_parameters} parameters are too many to compare expansions")
    expansion = Expansion(basis, data[0].supercell.long_range)
    rows = [
        replace(each, supercell=expansion.on(each.supercell.torus, each.supercell.strain)) for each in data
    ]
    force_field = fit_force_field(basis, rows)
    return Trial(
        cutoffs_angstrom=cutoffs,
        n_parameters=basis.n_parameters,
        log_evidence=force_field.posterior.log_evidence,
        left_out_error_relative=_left_out_error(force_field, rows),
        force_call_milliseconds=_force_call_milliseconds(force_field, rows[0]),
    )


def _left_out_error(force_field: ForceField, data: Sequence[LabelledRows]) -> float | None:
    if len(data) < 2:
        return None
    chosen = np.unique(np.rint(np.linspace(0, len(data) - 1, min(len(data), _MOST_LEFT_OUT))).astype(int))
    everything = DataRows(data, DEFAULT_OPTIONS)
    left_out = left_out_scores(force_field.posterior, everything, chosen.tolist())
    errors = [part.errors for part in left_out.forces]
    forces = [data[k].forces for k in chosen]
    return float(np.linalg.norm(np.concatenate(errors)) / np.linalg.norm(np.concatenate(forces)))


def _force_call_milliseconds(force_field: ForceField, rows: LabelledRows) -> float:
    kernel = force_field.on(rows.supercell.torus, strain=rows.supercell.strain).kernel
    seconds = []
    for _ in range(_TIMED_CALLS):
        start = time.perf_counter()
        kernel.energy_forces(rows.displacements)
        seconds.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(seconds)
