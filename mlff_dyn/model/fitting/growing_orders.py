"""Fits in which only those orders are in use that the data make more probable than fewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.model.fitting.fit import fit_force_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.fitting.prior_guess import PriorGuess
    from mlff_dyn.model.force_field import ForceField

_HARMONIC = 2


@dataclass(frozen=True)
class GrowthLimits:
    """When a further order comes into use.

    Attributes
    ----------
    smallest_gain : float
        Log evidence that the orders beyond a set have to gain: 3, odds of 20, is what Kass and Raftery (1995)
        call strong. Orders that the data have nothing of gain 0, since the scales of their parameters then
        vanish; those that they tell gain tens to thousands, so that half or twice of it hardly changes a
        choice.
    """

    smallest_gain: float = 3.0


GROWTH_LIMITS = GrowthLimits()


@dataclass(frozen=True, eq=False)
class OrderChoice:
    """The orders in use, and why.

    Attributes
    ----------
    force_field : ForceField
        Fitted with them; it has no others.
    log_evidences : mapping of int to float
        Of the orders up to each one.
    """

    force_field: ForceField
    log_evidences: Mapping[int, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        evidences = {str(order): value for order, value in self.log_evidences.items()}
        return {"orders": list(self.force_field.basis.orders), "log_evidences": evidences}


def fit_growing_orders(
    data: FitData, *, guess: PriorGuess | None = None, limits: GrowthLimits = GROWTH_LIMITS
) -> OrderChoice:
    """Fit the orders up to each one, and choose the fewest that evidence does not reject.

    The local part and forces at rest (order 1) are always in use. What the orders that are not leave out is
    noise of the fit like all that an expansion leaves out.

    Parameters
    ----------
    data : FitData
        For the expansion with all orders.
    guess : PriorGuess, optional
        For that expansion; used for the orders that are fitted.
    limits : GrowthLimits
    """
    orders = data.expansion.basis.orders
    fitted = {}
    for order in [each for each in orders if each >= _HARMONIC] or orders:
        part = data.up_to(order)
        fitted[order] = fit_force_field(part.expansion.basis, part, guess=guess)
    evidences = {order: each.posterior.log_evidence for order, each in fitted.items()}
    enough = max(evidences.values()) - limits.smallest_gain
    chosen = min(order for order, evidence in evidences.items() if evidence >= enough)
    return OrderChoice(fitted[chosen], evidences)
