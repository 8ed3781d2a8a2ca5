"""Frequencies and widths of the lines of a cell at any wave vectors between its own.

Lines at the wave vectors of the cell are those of force constants and of a damping of the same form,

    D(q) = sum_j e_qj (2 pi f_qj)^2 e_qj^*,    G(q) = sum_j e_qj w_qj e_qj^*

which phonopy carries to other wave vectors as it does harmonic ones: dipoles are taken out of D before and
put back after, once; G has none. The width of a mode is then e^* G e with its own eigenvector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from phonopy import Phonopy

from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.kernels.harmonic import HarmonicTorus
from mlff_dyn.model.harmonic_modes import THZ_FEMTOSECONDS
from mlff_dyn.observables.effective.potential import constants_of
from mlff_dyn.observables.effective.spectra import lines_of
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.harmonic_modes import HarmonicModes

_AXES = (-3, -2, -1)


def lines_between(
    modes: HarmonicModes, values_thz: NDArray[np.float64], phonon: Phonopy, wavevectors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies, imaginary ones negative, and widths, THz; both of shape (n_wavevectors, n_modes).

    Parameters
    ----------
    modes : HarmonicModes
        Of the cell of the dynamics.
    values_thz : ndarray, shape (n_lines, 2)
        Frequencies and widths of the lines of `lines_of`.
    phonon : Phonopy
        Of the same cell, with the dipoles of the force field, if it has some; its force constants change.
    wavevectors : ndarray, shape (n_wavevectors, 3)
        In vectors of the reciprocal primitive cell.
    """
    torus = modes.torus
    by_mode = np.zeros((*modes.squares.shape, 2))
    for value, members in zip(values_thz, lines_of(modes), strict=True):
        by_mode[members[:, 0], members[:, 1]] = value
    inertias = np.repeat(torus.crystal.masses, 3)
    in_phonopy_units = AMU_ANGSTROM2_PER_FS2_EV * (2.0 * np.pi * THZ_FEMTOSECONDS) ** 2
    squares = _blocks(modes, in_phonopy_units * by_mode[..., 0] ** 2, inertias)
    damping = Phonopy(**phonopy_cells(torus), log_level=0)
    p2s_map = np.array(phonon.primitive.p2s_map)
    for each, blocks in ((phonon, squares), (damping, _blocks(modes, by_mode[..., 1], inertias))):
        each.force_constants = compact_array(constants_of(blocks, torus), phonon.supercell, p2s_map)
    phonon.run_qpoints(wavevectors, with_eigenvectors=True)
    frequencies, vectors = phonon.qpoints.frequencies, phonon.qpoints.eigenvectors
    widths = np.empty(frequencies.shape)
    for number, wavevector in enumerate(wavevectors):
        damping.dynamical_matrix.run(wavevector)
        matrix = damping.dynamical_matrix.dynamical_matrix
        widths[number] = np.einsum("aj,ab,bj->j", vectors[number].conj(), matrix, vectors[number]).real
    return np.asarray(frequencies), np.maximum(widths, 0.0)


def _blocks(
    modes: HarmonicModes, values: NDArray[np.float64], inertias: NDArray[np.float64]
) -> HarmonicTorus:
    """Force constants whose dynamical matrices have such eigenvalues."""
    grid, size = modes.torus.grid, len(inertias)
    matrices = (modes.polarizations * values[:, None]) @ modes.polarizations.conj().swapaxes(1, 2)
    waves = (matrices * np.sqrt(np.outer(inertias, inertias))).transpose(1, 2, 0)
    blocks = np.fft.fftn(waves.reshape(size, size, *grid), axes=_AXES).real / modes.torus.n_cells
    return HarmonicTorus(grid, blocks.reshape(size, size, -1))
