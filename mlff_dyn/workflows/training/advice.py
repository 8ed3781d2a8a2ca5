"""What to do about a training that did not reach its limit; it fits what the error consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.report.numbers import format_percent

if TYPE_CHECKING:
    from mlff_dyn.training.criteria.errors import MeanErrors

ENLARGE = "add an order, or enlarge expansion.cutoffs_angstrom or expansion.local"


def advice_for_limited(enlarge: str = ENLARGE) -> str:
    """Advice where the expansion is the limit; ``enlarge`` says how to make it larger."""
    return f"{enlarge}: more data cannot reach the limit"


def is_mostly_truncation(errors: MeanErrors | None) -> bool:
    """Whether what the expansion leaves out is the larger part of an error."""
    return errors is not None and errors.predictive >= 0.0 and errors.truncation > errors.epistemic


def advice_for_budget(
    errors: MeanErrors | None, limit_relative: float, *, is_tested: bool, enlarge: str = ENLARGE
) -> str:
    """Advice where the calculations are spent.

    Parameters
    ----------
    errors : MeanErrors or None
        Of the last exploration; None where the dynamics stopped before there were any.
    limit_relative : float
        Of the predictive error.
    is_tested : bool
        Whether calculations at the temperatures of the training confirm the predicted errors.
    enlarge : str
        How to make the expansion larger.

    Examples
    --------
    >>> from mlff_dyn.training.criteria.errors import MeanErrors
    >>> advice_for_budget(MeanErrors(1.0, 0.08, 0.02, 0.082), 0.05, is_tested=True)
    'raise training.max_calculations and run the same command again'
    >>> advice_for_budget(MeanErrors(1.0, 0.02, 0.08, 0.082), 0.05, is_tested=True)[:46]
    'add an order, or enlarge expansion.cutoffs_ang'
    """
    more = "raise training.max_calculations and run the same command again"
    if errors is None or not errors.predictive >= 0.0:
        return f"lower training.temperatures_kelvin or the timestep, or {more}; if it stays so, {ENLARGE}"
    if not is_mostly_truncation(errors):
        return more
    left_out, limit = format_percent(errors.truncation), format_percent(limit_relative)
    if is_tested:
        return f"{enlarge}: what it leaves out is {left_out} of the forces, the limit {limit}"
    return (
        f"{enlarge}: what it leaves out seems to be {left_out} of the forces, the limit {limit}; a larger "
        "training.max_calculations would test that"
    )
