"""Thermal displacements of a harmonic crystal as a smooth function of its force constants.

    u(q) = m^(-1/2) C(D(q))^(1/2) g(q),    C(w^2) = kT / w^2,  or  hbar / (2 w) coth(hbar w / 2 kT)

with white noise g, D the dynamical matrix and the symmetric root. The same noise under other force constants
moves the displacements along, so averages over them change smoothly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.harmonic_modes import THZ_FEMTOSECONDS, HarmonicModes
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.lattice.torus import Torus

_AXES = (-3, -2, -1)


def modes_of(harmonic: HarmonicTorus, torus: Torus) -> HarmonicModes:
    """Modes of force constants that are at hand on a torus."""
    size = len(harmonic.blocks)
    roots = np.repeat(np.sqrt(torus.crystal.masses * AMU_ANGSTROM2_PER_FS2_EV), 3)
    matrices = harmonic.spectrum.reshape(size, size, -1).transpose(2, 0, 1) / np.outer(roots, roots)
    squares, polarizations = np.linalg.eigh(0.5 * (matrices + matrices.conj().swapaxes(1, 2)))
    return HarmonicModes(torus, squares, polarizations)


class GaussianCrystal:
    """Displacements of a harmonic crystal at a temperature.

    Parameters
    ----------
    harmonic : HarmonicTorus
    torus : Torus
    temperature_kelvin : float
    is_quantum : bool
        With the zero-point motion.
    least_thz : float
        Slower and imaginary modes have the amplitude of one with this frequency.
    """

    def __init__(
        self,
        harmonic: HarmonicTorus,
        torus: Torus,
        temperature_kelvin: float,
        *,
        is_quantum: bool,
        least_thz: float,
    ) -> None:
        self.modes = modes_of(harmonic, torus)
        least = (2.0 * np.pi * THZ_FEMTOSECONDS * least_thz) ** 2
        moving = self.modes.is_vibration
        self.squares = np.where(moving, np.maximum(self.modes.squares, least), 0.0)
        """Of the frequencies that displacements are drawn with, 1/fs²; 0 for rigid translations."""
        self.n_slow = int((self.modes.squares[moving] < least).sum())
        """Modes that are slower than that, or imaginary."""
        drawn = replace(self.modes, squares=np.where(moving, self.squares, self.modes.squares))
        widths = np.sqrt(drawn.amplitudes(temperature_kelvin, is_quantum=is_quantum))
        vectors = self.modes.polarizations
        self._roots = (vectors * widths[:, None]) @ vectors.conj().swapaxes(1, 2)
        inverse = np.divide(1.0, widths**2, out=np.zeros_like(widths), where=moving)
        self._precisions = (vectors * inverse[:, None]) @ vectors.conj().swapaxes(1, 2)
        self._grid = torus.grid
        self._masses = np.sqrt(torus.masses * AMU_ANGSTROM2_PER_FS2_EV)[:, None]

    def waves(self, noise: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Fourier transform of white noise, shape (n_cells, 3 * n_sites, n_samples)."""
        n_cells = len(self._roots)
        by_cell = noise.reshape(len(noise), -1, n_cells, 3).swapaxes(2, 3)
        waves = np.fft.fftn(by_cell.reshape(len(noise), -1, *self._grid), axes=_AXES)
        return np.asarray(waves.reshape(len(noise), -1, n_cells).transpose(2, 1, 0))

    def log_ratios(self, waves: NDArray[np.complex128], other: GaussianCrystal) -> NDArray[np.float64]:
        """Log density of another crystal over that of this one, but for a constant, shape (n_samples,).

        Parameters
        ----------
        waves : ndarray, shape (n_cells, 3 * n_sites, n_samples)
            Of the white noise of displacements of this crystal.
        other : GaussianCrystal
            On the same supercell.
        """
        change = self._roots @ (other._precisions - self._precisions) @ self._roots
        products = np.einsum("qak,qak->k", waves.conj(), change @ waves).real
        return np.asarray(-0.5 / len(self._roots) * products)

    def displacements(self, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacements (Å) of white noise of unit variance, both of shape (n_samples, n_atoms, 3)."""
        n_cells = len(self._roots)
        moved = np.matmul(self._roots, self.waves(noise))
        on_grid = moved.transpose(2, 1, 0).reshape(len(noise), -1, *self._grid)
        cells = np.fft.ifftn(on_grid, axes=_AXES).real.reshape(len(noise), -1, 3, n_cells)
        return np.asarray(cells.swapaxes(2, 3).reshape(noise.shape) / self._masses)
