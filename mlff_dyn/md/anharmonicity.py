"""How anharmonic a crystal is at a temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def anharmonicity(forces: NDArray[np.float64], harmonic_forces: NDArray[np.float64]) -> float:
    """Measure sigma_A: standard deviation of the anharmonic part of the forces over that of the forces.

    0 for a harmonic crystal; about 0.2 for Si at 300 K, 1 where no harmonic picture is left.

    Parameters
    ----------
    forces, harmonic_forces : ndarray, same shape
        Of the frames of a trajectory, eV/Å.

    References
    ----------
    Knoop, Purcell, Scheffler, Carbogno, Phys. Rev. Materials 4, 083809 (2020).
    """
    size = float(np.std(forces))
    return float(np.std(forces - harmonic_forces)) / size if size > 0.0 else 0.0
