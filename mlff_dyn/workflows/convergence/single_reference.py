"""Whether one reference structure suffices: signs that the crystal does not vibrate about its sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.md.anharmonicity import anharmonicity
from mlff_dyn.md.displacement_statistics import BIN_ANGSTROM, DisplacementSums, total_histogram
from mlff_dyn.model.harmonic_forces import HarmonicForces
from mlff_dyn.workflows.convergence.sampling import error_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.workflows.convergence.sampling import Replica

_NO_STRAIN = np.zeros((3, 3))


@dataclass(frozen=True)
class ReferenceLimits:
    """What no crystal does that vibrates about its reference structure.

    Attributes
    ----------
    largest_sigma_a : float
        See `anharmonicity`; above it, anharmonic forces are larger than harmonic ones.
    largest_growth : float
        Error in the last quarter of a trajectory over that in the first; it is 0.9 to 1.1 in equilibrium.
    largest_static_share : float
        Part of the mean square displacement that does not average out: 1 / n for n independent frames, of
        which a soft mode of 0.5 THz has about ten in 10 ps; half of it or more is a shift.
    least_picoseconds : float
        Length of a trajectory below which the two are not judged.
    least_flatness : float
        <|u|^4> / <|u|^2>^2: 5/3 at least in a harmonic well, 1.37 in one of the fourth power, less where
        there are wells beside the site.
    """

    largest_sigma_a: float = 1.0
    largest_growth: float = 2.0
    largest_static_share: float = 0.5
    least_picoseconds: float = 5.0
    least_flatness: float = 1.37


REFERENCE_LIMITS = ReferenceLimits()


@dataclass(frozen=True)
class Distances:
    """Displacements of an element; the names are those of the JSON object.

    Attributes
    ----------
    element : str
    histogram_counts : tuple of int     atoms by distance from their sites, in all frames
    flatness : float                    see `DisplacementSums.flatness`; mean over trajectories
    static_share : float                see `DisplacementSums.static_share`; largest of all trajectories
    """

    element: str
    histogram_counts: tuple[int, ...]
    flatness: float
    static_share: float


@dataclass(frozen=True)
class SingleReference:
    """Signs at one temperature; the names are those of the JSON object.

    Attributes
    ----------
    sigma_a : float or None
        Anharmonic part of the forces, see `anharmonicity`; None where order 2 leaves no frame.
    error_growth : float
        Force error in the last quarter of a trajectory over that in the first, largest of all.
    histogram_bin_angstrom : float
    displacements : tuple of Distances
    doubts : tuple of str
        Why one reference structure does not suffice; empty where nothing speaks against it.
    """

    sigma_a: float | None
    error_growth: float
    histogram_bin_angstrom: float
    displacements: tuple[Distances, ...]
    doubts: tuple[str, ...]


def single_reference(
    force_field: SupercellForceField,
    replicas: Sequence[Replica],
    judged_picoseconds: float,
    limits: ReferenceLimits = REFERENCE_LIMITS,
) -> SingleReference | None:
    """Look for signs in the trajectories that ran to their end; None where there is none with frames.

    Parameters
    ----------
    force_field : SupercellForceField
    replicas : sequence of Replica
    judged_picoseconds : float
        Length of a trajectory after the equilibration.
    limits : ReferenceLimits
    """
    whole = tuple(each for each in replicas if each.stop is None and each.frames)
    sums = [each.distances for each in whole if each.distances is not None]
    if not sums:
        return None
    growth = _growth(error_series(whole, "predictive"))
    sigma = _sigma_a(force_field, np.concatenate([each.displacements for each in whole]))
    found = tuple(_distances(sums, number) for number in sums[0].elements)
    doubts = [line for each in found for line in _doubts_of(each, judged_picoseconds, limits)]
    if sigma is not None and sigma > limits.largest_sigma_a:
        doubts.append(f"anharmonic forces are larger than harmonic ones (sigma_A {sigma:.2g})")
    if judged_picoseconds >= limits.least_picoseconds and growth > limits.largest_growth:
        doubts.append(f"the force error grows {growth:.2g} times along a trajectory")
    return SingleReference(sigma, growth, BIN_ANGSTROM, found, tuple(doubts))


def _growth(errors: np.ndarray) -> float:
    quarter = max(1, errors.shape[1] // 4)
    first, last = errors[:, :quarter].mean(axis=1), errors[:, -quarter:].mean(axis=1)
    return float(np.max(last / np.maximum(first, 1e-300)))


def _sigma_a(force_field: SupercellForceField, frames: np.ndarray) -> float | None:
    if not len(frames):
        return None
    model = force_field.force_field
    of_order_2 = HarmonicForces(model.expansion, model.posterior.mean, force_field.torus)
    forces = np.array([force_field.vibrational_forces(frame) for frame in frames])
    return anharmonicity(forces, np.array([of_order_2(frame, _NO_STRAIN) for frame in frames]))


def _distances(sums: Sequence[DisplacementSums], number: int) -> Distances:
    return Distances(
        element=chemical_symbols[number],
        histogram_counts=tuple(total_histogram(sums, number).tolist()),
        flatness=float(np.mean([each.flatness(number) for each in sums])),
        static_share=max(each.static_share(number) for each in sums),
    )


def _doubts_of(found: Distances, judged_picoseconds: float, limits: ReferenceLimits) -> list[str]:
    doubts = []
    if found.flatness < limits.least_flatness:
        doubts.append(
            f"{found.element} atoms keep away from their sites (<u^4> / <u^2>^2 is {found.flatness:.2f}, in "
            "a single well 1.67): there are wells beside the sites"
        )
    is_long = judged_picoseconds >= limits.least_picoseconds
    if is_long and found.static_share > limits.largest_static_share:
        doubts.append(
            f"{found.element} atoms do not move about their sites: {100 * found.static_share:.0f} % of their "
            "mean square displacement lasts for a whole trajectory, as in another structure"
        )
    return doubts
