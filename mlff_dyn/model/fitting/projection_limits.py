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
        Points of a displacement that its forces are expanded from. Random local parts of Si give forces of
        order 2, 3 and 4 that are off by 3e-7, 4e-8 and 2e-4 of the largest one; with half the points by 2e-4,
        3e-4 and 4e-2, with twice by less than 1e-9.
    near_rest_angstrom : float
        Largest displacement of an atom at those points. Half: the same forces are off by 1e-9, 2e-10 and
        3e-6; twice: by 7e-4, 4e-5 and 0.1.
    """

    rows_per_parameter: float = 2.0
    fewest_frames: int = 4
    orders_of_local: tuple[int, ...] = (2, 3, 4)
    n_points: int = 9
    near_rest_angstrom: float = 0.1


PROJECTION_LIMITS = ProjectionLimits()
