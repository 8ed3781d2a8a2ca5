"""Numbers that decide how errors of held-out configurations scale the error bars."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CalibrationLimits:
    """How far few held-out errors are believed; by convention.

    Attributes
    ----------
    smallest_scale : float
        Error bars of forces are not narrowed by more than this factor.
    margin : float
        Part of the variance, over the number of configurations, that pays for hyperparameters that so few
        configurations determined. Half: error bars 5 % narrower with two configurations, 1.5 % with eight;
        twice: 10 and 3 % wider.
    scalar_margin : float
        The same for energies and stresses, of which a configuration has one value or six. Half: 13 % narrower
        with two configurations, 5 % with eight; twice: 22 and 10 % wider.
    pseudo_count : float
        Scores of size one that are added to those of energies and stresses.
    rows_of_a_class : float
        Rows of the forces on a class of sites with which half of what they tell is believed, as a logarithm.
        Of titanium in barium titanate, whose errors are 1.4 times as large as expected with no factor,
        16 configurations have 384 rows.
    """

    smallest_scale: float = 0.5
    margin: float = 0.5
    scalar_margin: float = 2.0
    pseudo_count: float = 4.0
    rows_of_a_class: float = 30.0


CALIBRATION_LIMITS = CalibrationLimits()
