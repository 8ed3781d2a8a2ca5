"""Numbers that decide effective phonons; by convention where nothing else is named."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EffectiveLimits:
    """How averages are made, iterated and judged.

    Attributes
    ----------
    n_blocks : int
        Parts of all configurations whose spread is the Monte Carlo error: it is known to 18 %, and to 13 % of
        twice as many.
    least_thz : float
        Frequencies below it are taken for it where displacements are drawn: a flatter mode has no harmonic
        amplitude. Results do not depend on it where all modes are faster.
    lowering : float
        Where modes are imaginary it begins at the largest of them, and falls by this factor at each step.
    first_pairs : int
        Pairs of opposite displacements that iterations begin with.
    margin, largest_growth : float
        They grow as the error asked for says, with a margin on that error, by such a factor at once.
    pairs_for_response : int
        The most pairs that errors are propagated with, through the response of the self-consistent crystal.
    damping : float
        Share of a plain step: the response of a quartic oscillator lies between -1 (classical) and 0, which
        this damps to a third.
    n_history : int
        Steps that are mixed (Anderson).
    n_iterations : int
        The most for one set of displacements.
    most_far : float
        Share of atoms half way to the next site at which iterations are given up: no crystal.
    tolerance : float
        Residual over its Monte Carlo error at which iterations end.
    pairs_per_mode : float
        Pairs of displacements, over modes of the supercell, from which on those of one average lead to the
        next point by weights: fewer tell too little of how the average changes, and cost little. For a double
        well of 54 atoms 6 need 6 to 8 averages instead of 12 to 26, 1.6 mostly do not end.
    least_share : float
        Effective number of samples with weights, over their number, down to which they are used; 0.5 to 0.9
        need as many averages.
    most_in_vain : int
        Steps by weights without a smaller residual after which plain ones follow.
    tolerance_of_weights : float
        Part of ``tolerance`` to which the equations are solved by weights.
    rounding : float
        Residual over the effective forces that is rounding.
    least_ratio : float
        Square of a frequency over that before, below which a step is halved.
    n_halvings : int
        The most for one step.
    configurations_for_data : int
        The most configurations of dynamics that errors of the data are taken from.
    singular : float
        Eigenvalue over the largest that counts as none.
    """

    n_blocks: int = 16
    least_thz: float = 0.05
    lowering: float = 0.7
    first_pairs: int = 32
    margin: float = 1.1
    largest_growth: float = 8.0
    pairs_for_response: int = 32
    damping: float = 2.0 / 3.0
    n_history: int = 4
    n_iterations: int = 60
    most_far: float = 0.01
    tolerance: float = 0.1
    pairs_per_mode: float = 6.0
    least_share: float = 0.7
    most_in_vain: int = 3
    tolerance_of_weights: float = 0.2
    rounding: float = 1.0e-9
    least_ratio: float = 0.25
    n_halvings: int = 8
    configurations_for_data: int = 256
    singular: float = 1.0e-11


EFFECTIVE_LIMITS = EffectiveLimits()
