"""Steps from an expansion to larger ones.

A step is more shells of neighbors for the pairs of an order or for its larger clusters, or a local part that
is larger. Pairs reach at least as far as larger clusters; orders above 4 have pairs alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.aperiodic import search_cell
from mlff_dyn.lattice.basis import FULL, build_basis
from mlff_dyn.lattice.lattice_limits import LATTICE_LIMITS
from mlff_dyn.lattice.shells import shell_distances
from mlff_dyn.lattice.wigner_seitz import largest_safe_cutoff
from mlff_dyn.model.search.local_steps import LocalStep, LocalSteps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.local.basis import LocalBasis, LocalSettings
    from mlff_dyn.model.search.search_limits import SearchLimits

    Cutoffs = Mapping[int, float | str | Mapping[int, float]]

_MANY_BODY_ORDERS = (3, 4)
_PAIR_ORDERS = (5, 6)
_PAIR = 2


class ClusterStep(NamedTuple):
    """More shells of neighbors for the pairs of an order, or for its larger clusters."""

    order: int
    is_of_pairs: bool
    n_shells: int


Step = ClusterStep | LocalStep


@dataclass(frozen=True, eq=False)
class Candidate:
    """An expansion that a step has led to.

    Attributes
    ----------
    shells : dict
        By order: the number of shells that pairs reach, and that of larger clusters.
    cutoffs_angstrom : mapping                per order, as in the configuration
    basis : ForceConstantBasis
    local : LocalBasis or None
    """

    shells: dict[int, tuple[int, int]]
    cutoffs_angstrom: Cutoffs
    basis: ForceConstantBasis
    local: LocalBasis | None = None

    @property
    def local_settings(self) -> LocalSettings | None:
        """Size of the local part; None without one."""
        return None if self.local is None else self.local.settings

    @property
    def n_parameters(self) -> int:
        """Number of parameters of both parts."""
        return self.basis.n_parameters + (0 if self.local is None else self.local.n_parameters)

    @property
    def name(self) -> tuple[str, LocalSettings | None]:
        """What tells it from others."""
        return str(self.cutoffs_angstrom), self.local_settings


class Steps:
    """Expansions of a training cell.

    Parameters
    ----------
    torus : Torus
        Training cell, which limits the cutoffs.
    limits : SearchLimits
        Larger expansions than those are left out.
    first_local : LocalSettings, optional
        Local part to begin with; without it there are force constants alone.
    rotational_sum_rules : collection of str
        Of all expansions.
    start : Candidate, optional
        First expansion, whatever its shells; orders that a step does not change keep its cutoffs.
    """

    def __init__(
        self,
        torus: Torus,
        limits: SearchLimits,
        first_local: LocalSettings | None = None,
        rotational_sum_rules: Collection[str] = (),
        start: Candidate | None = None,
    ) -> None:
        self._torus = torus
        self._rules = tuple(rotational_sum_rules)
        self._local = (
            None
            if first_local is None
            else LocalSteps(torus, first_local, limits, is_at_rest=bool(self._rules))
        )
        self._most_parameters = limits.most_parameters
        self._reaches = _shell_reaches(torus, limits.margin_angstrom)
        self._margin = limits.margin_angstrom
        self._start = start or Candidate({}, {2: FULL}, self._basis({2: FULL}))
        cutoffs = self._start.cutoffs_angstrom
        shells = {order: self._shells(cutoffs[order]) for order in cutoffs if order > _PAIR}
        self._start = replace(self._start, shells=_present(shells, self._start.basis))

    def first(self) -> Candidate:
        """Return the expansion to start with: the second order alone, if no other was given."""
        return self._start

    def beyond(self, start: Candidate, n_shells: int) -> Iterator[Step]:
        """Steps from an expansion; an order needs the one below it."""
        if self._local is not None:
            yield from self._local.beyond(start.local_settings, n_shells)
        for order in (*_MANY_BODY_ORDERS, *_PAIR_ORDERS):
            if order - 1 not in {2, *start.shells}:
                continue
            pairs, larger = start.shells.get(order, (0, 0))
            if pairs < len(self._reaches):
                yield ClusterStep(order, is_of_pairs=True, n_shells=n_shells)
            if order in _MANY_BODY_ORDERS and larger < len(self._reaches):
                yield ClusterStep(order, is_of_pairs=False, n_shells=n_shells)

    def take(self, start: Candidate, step: Step) -> Candidate | None:
        """Return the expansion of a step; None if it is too large.

        Shells that bring no parameter do not count.
        """
        if isinstance(step, LocalStep):
            local = None if self._local is None else self._local.take(start.local_settings, step)
            return None if local is None else self._fitting(replace(start, local=local))
        found: Candidate | None = start
        for _ in range(step.n_shells):
            found = None if found is None else self._next(found, step)
        return found

    def _next(self, start: Candidate, step: ClusterStep) -> Candidate | None:
        pairs, larger = start.shells.get(step.order, (0, 0))
        while True:
            pairs, larger = (pairs + 1, larger) if step.is_of_pairs else (max(pairs, larger + 1), larger + 1)
            if max(pairs, larger) > len(self._reaches):
                return None
            found = self._candidate({**start.shells, step.order: (pairs, larger)}, start.local)
            if found is None or found.basis.n_parameters > start.basis.n_parameters:
                return found

    def back(self, start: Candidate) -> Iterator[Candidate]:
        """Smaller expansions: fewer shells of pairs or of larger clusters, or without the highest order.

        Then those with a smaller local part, or without it.
        """
        for order in start.shells:
            for is_of_pairs in (True, False):
                found = self._last(start, order, is_of_pairs=is_of_pairs)
                if found is not None:
                    yield found
        if self._local is not None and start.local is not None:
            for local in self._local.back(start.local.settings):
                yield replace(start, local=local)

    def _last(self, start: Candidate, order: int, *, is_of_pairs: bool) -> Candidate | None:
        pairs, larger = start.shells[order]
        while (pairs if is_of_pairs else larger) > 0:
            pairs, larger = (pairs - 1, min(pairs - 1, larger)) if is_of_pairs else (pairs, larger - 1)
            shells = {**start.shells, order: (pairs, larger)}
            if pairs == 0:
                if order + 1 in shells:
                    return None
                del shells[order]
            found = self._candidate(shells, start.local)
            if found is None or found.basis.n_parameters < start.basis.n_parameters:
                return found
        return None

    def _candidate(self, shells: dict[int, tuple[int, int]], local: LocalBasis | None) -> Candidate | None:
        cutoffs = self._cutoffs(shells)
        try:
            basis = self._basis(cutoffs)
        except BasisError:
            return None
        present = _present(shells, basis)
        return self._fitting(Candidate(present, self._cutoffs(present), basis, local))

    def _basis(self, cutoffs: Cutoffs) -> ForceConstantBasis:
        return build_basis(self._torus.crystal, cutoffs, self._torus, rotational_sum_rules=self._rules)

    def _fitting(self, candidate: Candidate) -> Candidate | None:
        return candidate if candidate.n_parameters <= self._most_parameters else None

    def _cutoffs(self, shells: dict[int, tuple[int, int]]) -> Cutoffs:
        cutoffs: dict[int, float | str | Mapping[int, float]] = {2: self._start.cutoffs_angstrom[2]}
        for order, (pairs, larger) in shells.items():
            if self._start.shells.get(order) == (pairs, larger):
                cutoffs[order] = self._start.cutoffs_angstrom[order]
                continue
            of_pairs = round(self._reaches[pairs - 1], 2)
            if larger == pairs:
                cutoffs[order] = of_pairs
                continue
            others = range(3, order + 1) if larger else ()
            cutoffs[order] = {2: of_pairs, **dict.fromkeys(others, round(self._reaches[larger - 1], 2))}
        return cutoffs

    def _shells(self, cutoff: float | str | Mapping[int, float]) -> tuple[int, int]:
        """Shells that pairs and the largest of the other clusters reach."""
        if isinstance(cutoff, str):
            return len(self._reaches), len(self._reaches)
        of_bodies = cutoff if isinstance(cutoff, Mapping) else {2: cutoff, 3: cutoff}
        pairs = of_bodies.get(_PAIR, 0.0)
        larger = max((length for n_bodies, length in of_bodies.items() if n_bodies > _PAIR), default=0.0)
        pairs, larger = (sum(r - self._margin <= c for r in self._reaches) for c in (pairs, larger))
        return pairs, larger


def _present(shells: Mapping[int, tuple[int, int]], basis: ForceConstantBasis) -> dict[int, tuple[int, int]]:
    """Shells without those of larger clusters where a basis has none."""
    n_bodies = {
        order: int(classes.n_bodies.max()) for order, classes in zip(basis.orders, basis.classes, strict=True)
    }
    return {
        order: (pairs, larger if n_bodies[order] > _PAIR else 0) for order, (pairs, larger) in shells.items()
    }


def _shell_reaches(torus: Torus, margin: float) -> list[float]:
    """Cutoffs (Å) that take in one more shell of neighbors each, all of them safe."""
    crystal = torus.crystal
    safe = largest_safe_cutoff(torus)
    lattice = search_cell(crystal.lattice, crystal.positions, crystal.periodic)
    ends = shell_distances(lattice, crystal.positions, safe + LATTICE_LIMITS.shell_gap_angstrom)
    return [end + margin for end in ends if end + margin <= safe]
