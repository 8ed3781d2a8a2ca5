"""Numbers that decide which functions the local part has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FunctionLimits:
    """Shape and choice of the functions of the local part; where no other source is named, by convention.

    How force errors change when one of them is halved or doubled is measured by `python -m
    benchmarks.accuracy --only constants`, with two and eight calculations of copper (EMT, 600 K) and of c-BAs
    (GFN1-xTB, 300 K), tests from 300 to 900 K. What is not named below changes them by less than 1 %.

    Attributes
    ----------
    width_angstrom : float
        w of the radial functions exp(-(r - r_n)^2 / w^2). Half: errors of copper 13 to 29 times as large, of
        c-BAs 1.1 to 1.2 times; twice: 2 to 3 times, and up to 1.8 times.
    n_polynomials : int
        Polynomials that a radial function is matched by. Half: errors of copper 4 to 7 times as large, of
        c-BAs 2 % at most; twice: 14 % larger with two calculations, 1 % with eight.
    closest_angstrom : float
        Distance above which it is matched: atoms do not come closer. Half: 5 % larger; twice: 14 % larger
        with two calculations, 1 % with eight.
    n_points : int
        Distances at which it is matched.
    closest_of_distance : float
        Closest approach of two atoms over their distance at rest. Half: as before; twice, farther than at
        rest, leaves out what copper needs (20 to 40 times).
    negligible : float
        Smallest function, of a natural size of 1, that counts: without those below 0.01 the errors of c-BAs,
        SnSe and EMT copper stay the same, without those below 0.1 that of copper is four times as large.
    farthest_of_three : float
        Largest mean distance of the radial functions of three neighbors, over that of the nearest ones. 0.9
        has 3 to 5 % larger errors of c-BAs; SnSe has no more functions from 0.9 to 1.05.
    negligible_of_three : float
        Smallest product of three radial functions that counts. 0.03: 11 to 30 % more parameters for errors
        at most 1 % smaller; 0.1: SnSe at twice the training temperature errs 5 % more.
    enough_of_three : int
        A kind of central atoms that has fewer functions of three neighbors gets smaller ones, down to
        ``negligible``: errors of silicon (Tersoff, Stillinger-Weber) are 8 to 19 % larger without.
    l_max_of_three : int
        Largest l of functions of three neighbors. 3: errors of c-BAs and SnSe up to 3 % smaller, those of
        Tersoff silicon 5 to 20 %, with up to 30 % more parameters; 1: c-BAs errs 5 to 8 % more.
    n_distances : int
        Distances at which the size of a function is looked at.
    farthest_of_bond : float
        Largest displacement of an atom, over the distance of nearest neighbors, for which the neighbors that
        it may have are listed: half way to the next site.
    most_functions : int
        More cannot be fitted.
    """

    width_angstrom: float = 1.0
    n_polynomials: int = 16
    closest_angstrom: float = 0.6
    n_points: int = 400
    closest_of_distance: float = 0.7
    negligible: float = 0.01
    farthest_of_three: float = 1.05
    negligible_of_three: float = 0.07
    enough_of_three: int = 60
    l_max_of_three: int = 2
    n_distances: int = 100
    farthest_of_bond: float = 0.5
    most_functions: int = 5000


FUNCTION_LIMITS = FunctionLimits()
