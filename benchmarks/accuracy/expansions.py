"""Does a larger expansion hurt where data are few, and does the evidence pick a good one?"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from benchmarks.accuracy.measures import relative_error, split
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.search.expansion_search import cheapest_sufficient, search_expansions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.accuracy.laboratory import Laboratory
    from benchmarks.accuracy.systems import Cutoffs
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame

PAIR = 2


@dataclasses.dataclass(frozen=True)
class ExpansionPoint:
    """Relative force error on test frames; ``seconds``: CPU time of the fit, or of the whole search."""

    system: str
    expansion: str
    n_parameters: int
    n_calculations: int
    rmse_force_relative: float
    seconds: float


def expansions(laboratory: Laboratory) -> Iterator[ExpansionPoint]:
    """Expansions of different size on the same frames, and the one that a search proposes for all of them."""
    larger = laboratory.system.larger_cutoffs
    if not larger:
        return
    training, test = split(laboratory)
    for cutoffs in (laboratory.system.cutoffs, *larger):
        for count in laboratory.system.training_counts[1:]:
            yield _point(laboratory, cutoffs, training[:count], test)
    start = time.process_time()
    trials = list(search_expansions(training, laboratory.torus))
    seconds = time.process_time() - start
    found = _point(laboratory, cheapest_sufficient(trials).cutoffs_angstrom, training, test)
    yield dataclasses.replace(found, expansion=f"proposed: {found.expansion}", seconds=seconds)


def _point(
    laboratory: Laboratory, cutoffs: Cutoffs, training: list[LabelledFrame], test: list[LabelledFrame]
) -> ExpansionPoint:
    basis = build_basis(laboratory.crystal, cutoffs, laboratory.torus)
    supercell = Expansion(basis).on(laboratory.torus)
    ours, theirs = ([dataclasses.replace(r, supercell=supercell) for r in rows] for rows in (training, test))
    start = time.process_time()
    force_field = fit_force_field(basis, FitData(ours))
    seconds = time.process_time() - start
    name = ", ".join(f"{order}: {_length(cutoff)}" for order, cutoff in cutoffs.items())
    error = relative_error(force_field, theirs)
    return ExpansionPoint(laboratory.system.name, name, basis.n_parameters, len(training), error, seconds)


def _length(cutoff: object) -> str:
    if not isinstance(cutoff, dict):
        return f"{cutoff}"
    larger = "".join(f", {length:g} ({bodies} atoms)" for bodies, length in cutoff.items() if bodies > PAIR)
    return f"{cutoff[PAIR]:g} (pairs){larger}"
