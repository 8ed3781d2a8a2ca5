"""Numbers that decide how forces of another source become parameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProjectionLimits:
    """How many forces are looked at, and where; by convention where nothing is named.

    Attributes
    ----------
    rows_per_parameter : float
        Force components of normal displacements: with one a parameter the equations of an order may be
        singular.
    fewest_frames : int
        Frames in any case.
    orders_of_local : tuple of int
        Orders that a local part with other functions is carried to.
    n_points : int
        Points of a displacement that its forces are expanded from: twice as many as the orders need.
    near_rest_angstrom : float
        Largest displacement of an atom at those points.
    """

    rows_per_parameter: float = 2.0
    fewest_frames: int = 4
    orders_of_local: tuple[int, ...] = (2, 3, 4)
    n_points: int = 9
    near_rest_angstrom: float = 0.1


PROJECTION_LIMITS = ProjectionLimits()
