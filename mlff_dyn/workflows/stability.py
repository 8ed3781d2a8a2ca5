"""What imaginary modes of order 2 mean, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.model.harmonic_modes import harmonic_modes, imaginary_mode

if TYPE_CHECKING:
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.model.harmonic_modes import ImaginaryMode


def stability_warnings(force_field: ForceField, torus: Torus) -> list[str]:
    """Warn where order 2 of a force field is not stable on a supercell; nothing where it is.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    """
    if 2 not in force_field.basis.orders:
        return []
    modes = harmonic_modes(force_field.expansion, force_field.posterior.mean, torus)
    mode = imaginary_mode(modes, force_field)
    return [] if mode is None else [describe_imaginary(mode)]


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
