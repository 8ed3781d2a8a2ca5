"""How far the search for an expansion goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchLimits:
    """Which expansions are tried, and what a larger one must gain; by convention.

    Attributes
    ----------
    most_parameters : int
        Largest number of parameters of one order before sum rules: more make a fit take minutes.
    margin_angstrom : float
        Of a cutoff beyond the last neighbor that it takes in.
    smallest_gain_per_row : float
        Log evidence that a step must gain, per force component.
    sufficient_error : float
        Held-out error of an expansion that is taken, over the least of all.
    most_held_out : int
        Most supercells that are held out to compare expansions.
    timed_calls : int
        Calls of the forces whose median is reported.
    local_cutoff_step_angstrom : float
        Between two cutoffs of the local part.
    largest_local_cutoff_angstrom : float
    most_radial, largest_l : int
        Of the local part.
    operations_of_fit : float
        Floating-point operations of a fit, over the cube of the number of parameters: what fits to
        frames of Al, Si and SnSe took.
    fewest_of_estimate : int
        Parameters of fits from which those of larger ones are estimated.
    largest_share : float
        Share of the time of a search that one fit may take.
    """

    most_parameters: int = 2500
    margin_angstrom: float = 0.05
    smallest_gain_per_row: float = 0.01
    sufficient_error: float = 1.05
    most_held_out: int = 12
    timed_calls: int = 5
    local_cutoff_step_angstrom: float = 0.5
    largest_local_cutoff_angstrom: float = 7.0
    most_radial: int = 10
    largest_l: int = 6
    operations_of_fit: float = 400.0
    fewest_of_estimate: int = 400
    largest_share: float = 0.25


SEARCH_LIMITS = SearchLimits()
