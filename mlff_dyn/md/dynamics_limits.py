"""Numbers that decide how trajectories move and what their averages are worth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DynamicsLimits:
    """How far atoms go, how a cell moves, and what a mean is worth; by convention where nothing is named.

    Attributes
    ----------
    fraction_of_bond : float
        Largest displacement where nothing is known of the vibrations, over the shortest interatomic distance.
    acceptance : float
        Of moves of the cell: between 0.44 and 0.23, the best ones of one and of many normal variables
        (Gelman, Roberts and Gilks, Bayesian Statistics 5, 599 (1996)).
    guessed_modulus : float
        eV/Å³, for the first step of a cell: that of hard crystals, 160 GPa. The step adapts.
    first_gain : float
        Change of the logarithm of the step by the first move; it falls with the root of the number of moves.
    window : float
        Lag, in autocorrelation times, at which the sum over a correlation ends, as in Goodman's acor.
    least_samples : int
        Fewest samples that have a statistical error.
    """

    fraction_of_bond: float = 0.3
    acceptance: float = 0.4
    guessed_modulus: float = 1.0
    first_gain: float = 2.0
    window: float = 5.0
    least_samples: int = 4


DYNAMICS_LIMITS = DynamicsLimits()
