"""What imaginary modes of order 2 mean, and how far the data carry, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlff_dyn.model.harmonic_modes import imaginary_mode, modes_of_order_2
from mlff_dyn.training.trusted_region import is_extrapolated, trusted_region
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField, SupercellForceField, TrainingSummary
    from mlff_dyn.model.harmonic_modes import ImaginaryMode
    from mlff_dyn.training.trusted_region import Motion


@dataclass(frozen=True)
class StiffnessLimits:
    """From where on a crystal is so soft or so stiff that its forces look like another unit.

    Judged is the force on a displaced atom over its displacement, times the square of the distance of nearest
    neighbors, in the mean over the sites: by trained models 16 eV in NaCl, 29 in Al, 52 in Cu, 77 in c-BAs,
    87 in Si; by Debye temperatures 6 in Cs, 8 in Na; with Lennard-Jones potentials 3 in Ar, 6 in Xe. In
    Ry/bohr it is 26 times less. With half of the lower limit c-BAs and Si in Ry/bohr pass, with twice of it
    Cs and Na are warned of.

    Attributes
    ----------
    softest_ev, stiffest_ev : float
    """

    softest_ev: float = 4.5
    stiffest_ev: float = 300.0


STIFFNESS_LIMITS = StiffnessLimits()


def stiffness_warnings(force_field: ForceField, torus: Torus) -> list[str]:
    """Warn where order 2 of a force field is too soft or too stiff for a crystal; nothing where it is not.

    Forces in another unit that no energy contradicts show by nothing else.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    """
    modes = modes_of_order_2(force_field.expansion, force_field.posterior.mean, torus)
    if modes is None:
        return []
    distance = torus.crystal.nearest_neighbor_distance
    stiffness = float(modes.self_force_constants.mean()) * distance**2
    if STIFFNESS_LIMITS.softest_ev <= stiffness <= STIFFNESS_LIMITS.stiffest_ev:
        return []
    like, units = "stiffer than that of any crystal", "meV/Å, kcal/mol/Å or kJ/mol/Å"
    if stiffness < STIFFNESS_LIMITS.softest_ev:
        like, units = "softer than that of all but crystals of noble gases", "Ry/bohr or hartree/bohr"
    highest = f"frequencies up to {modes.frequencies_thz.max():.3g} THz"
    found = f"order 2 is {like}, with {highest}; if the crystal has others, forces may be in {units}"
    return [f"{found}: convert them to eV/Å"]


def stability_warnings(force_field: ForceField, torus: Torus) -> list[str]:
    """Warn where order 2 of a force field is not stable on a supercell; nothing where it is.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    """
    modes = modes_of_order_2(force_field.expansion, force_field.posterior.mean, torus)
    mode = None if modes is None else imaginary_mode(modes, force_field)
    return [] if mode is None else [describe_imaginary(mode)]


def coverage_warnings(force_field: SupercellForceField, motions: Sequence[Motion]) -> list[str]:
    """Warn where dynamics would go far beyond the displacements of the data, by order 2.

    Parameters
    ----------
    force_field : SupercellForceField
    motions : sequence of Motion
    """
    lines, trained = [], force_field.force_field.training
    for motion in motions:
        region = trusted_region(force_field, motion)
        rms, largest = region.expected_rms_angstrom, region.expected_angstrom
        if rms is not None and largest is not None and is_extrapolated(trained, rms, largest):
            text = describe_extrapolation(trained, rms, largest)
            lines.append(f"dynamics at {format_kelvin(motion.temperature_kelvin)} K: {text}")
    return lines


def describe_imaginary(mode: ImaginaryMode) -> str:
    """Say which mode is imaginary, and what follows."""
    sd = "" if mode.frequency_sd_thz is None else f" ± {mode.frequency_sd_thz:.1g}"
    q = ", ".join(f"{component:.4g}" for component in mode.wavevector)
    return (
        f"order 2 has {mode.n_modes} imaginary modes at the {mode.n_wavevectors} wave vectors of the cell, "
        f"the lowest of {mode.frequency_thz:.3g}{sd} THz at q = ({q}): along it the reference structure is a "
        "saddle point of the energy, no minimum, so harmonic frequencies and thermal displacements do not "
        "exist, and dynamics leaves for lower structures unless higher orders and temperature hold it; "
        "relax the structure along that mode, or train where this phase is stable"
    )


def describe_extrapolation(trained: TrainingSummary, rms_angstrom: float, maximum_angstrom: float) -> str:
    """Say that displacements go far beyond those of the data.

    Parameters
    ----------
    trained : TrainingSummary
    rms_angstrom, maximum_angstrom : float
        Of a component, and of an atom.
    """
    return (
        f"errors are extrapolated: displacements have an rms of {rms_angstrom:.2g} Å and reach "
        f"{maximum_angstrom:.2g} Å, those of the data {trained.displacement_rms_angstrom:.2g} and "
        f"{trained.displacement_max_angstrom:.2g} Å; train with frames of this temperature"
    )
