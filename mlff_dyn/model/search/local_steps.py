"""Steps from a local part to larger and smaller ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from mlff_dyn.errors import BasisError
from mlff_dyn.local.basis import NUMBERS_OF_BODIES
from mlff_dyn.model.local_expansion import local_basis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.local.basis import LocalBasis, LocalSettings
    from mlff_dyn.model.search.search_limits import SearchLimits


class LocalStep(NamedTuple):
    """More of one of the sizes of a local part, or a first one; order 0 puts them before the others."""

    order: int
    amount: int
    size: str


_FIRST = "first"
_SIZES = ("n_radial", "l_max", "cutoff_angstrom", "n_bodies")


class LocalSteps:
    """Local parts of a crystal.

    Parameters
    ----------
    torus : Torus
        Training supercell.
    first : LocalSettings
        The one to begin with.
    limits : SearchLimits
    is_at_rest : bool
        See `mlff_dyn.model.local_expansion.local_basis`.
    """

    def __init__(
        self, torus: Torus, first: LocalSettings, limits: SearchLimits, *, is_at_rest: bool = False
    ) -> None:
        self._torus = torus
        self._first = first
        self._is_at_rest = is_at_rest
        self._most = (
            limits.most_radial,
            limits.largest_l,
            limits.largest_local_cutoff_angstrom,
            max(NUMBERS_OF_BODIES),
        )
        self._units = (1, 1, limits.local_cutoff_step_angstrom, 1)
        self._built: dict[LocalSettings, LocalBasis | None] = {}

    def beyond(self, now: LocalSettings | None, amount: int) -> Iterator[LocalStep]:
        """Steps from a local part, or from none."""
        for size in (_FIRST,) if now is None else _SIZES:
            yield LocalStep(0, amount, size)

    def take(self, now: LocalSettings | None, step: LocalStep) -> LocalBasis | None:
        """Return the local part of a step; None if it is too large."""
        return self._basis(self._first if now is None else self._changed(now, step.size, step.amount))

    def back(self, now: LocalSettings) -> Iterator[LocalBasis | None]:
        """Smaller local parts, None among them."""
        yield None
        for size in _SIZES:
            found = self._basis(self._changed(now, size, -1))
            if found is not None:
                yield found

    def _changed(self, now: LocalSettings, size: str, amount: int) -> LocalSettings | None:
        place = _SIZES.index(size)
        value = round(getattr(now, size) + amount * self._units[place], 2)
        least = {"l_max": 0, "n_bodies": min(NUMBERS_OF_BODIES)}.get(size, self._units[place])
        return replace(now, **{size: value}) if least <= value <= self._most[place] else None

    def _basis(self, settings: LocalSettings | None) -> LocalBasis | None:
        if settings is None:
            return None
        if settings not in self._built:
            try:
                self._built[settings] = local_basis(
                    self._torus.crystal, settings, training=self._torus, is_at_rest=self._is_at_rest
                )
            except BasisError:
                self._built[settings] = None
        return self._built[settings]
