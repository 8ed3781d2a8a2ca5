"""Vibrations by order 2 of the energy: frequencies, thermal displacements, and modes that are imaginary.

On a torus of n cells, order 2 belongs to the wave vectors q of the torus:

    D_st(q) = (m_s m_t)^(-1/2) sum_cells Phi(s 0, t n) exp(2 pi i q.n),    D e = omega^2 e
    <u_s u_s^T> = (kT / n) sum_(q, j) Re(e_s e_s^*) / (m_s omega^2)        classical, as molecular dynamics is

The three modes that move the crystal as a whole are left out.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.force_constants import whole_force_constants
from mlff_dyn.model.harmonic_forces import SMALL_STEP, is_of_order_2
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K, HBAR_EV_FS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.model.force_field import ForceField

THZ_FEMTOSECONDS = 1.0e-3


@dataclass(frozen=True)
class ModeLimits:
    """How many modes are solved, and which count as imaginary.

    Attributes
    ----------
    largest_size : int
        Elements of the dynamical matrices; a torus with more is replaced by a smaller, nearly cubic one.
    least_thz : float
        Imaginary frequencies below it are rounding, or a flat direction.
    significant_sd : float
        Standard deviations of omega^2 by which it has to be negative.
    same_frequency : float
        Relative difference below which frequencies are equal by symmetry.
    elements_at_once : int
        Elements of the dynamical matrices that are worked on together, beside those that are kept.
    """

    largest_size: int = 10_000_000
    least_thz: float = 0.05
    significant_sd: float = 2.0
    same_frequency: float = 1.0e-6
    elements_at_once: int = 200_000


_LIMITS = ModeLimits()


@dataclass(frozen=True, eq=False)
class HarmonicModes:
    """Modes at the wave vectors of a torus.

    Attributes
    ----------
    torus : Torus
    squares : ndarray, shape (n_wavevectors, n_modes)
        omega^2, 1/fs², ascending at each wave vector.
    polarizations : ndarray, shape (n_wavevectors, 3 * n_sites, n_modes)
        Columns are unit vectors, complex.
    """

    torus: Torus
    squares: NDArray[np.float64]
    polarizations: NDArray[np.complex128]

    @property
    def frequencies_thz(self) -> NDArray[np.float64]:
        """Frequencies, THz; imaginary ones are negative; shape (n_wavevectors, n_modes)."""
        roots = np.sign(self.squares) * np.sqrt(np.abs(self.squares))
        return np.asarray(roots / (2.0 * np.pi * THZ_FEMTOSECONDS))

    @property
    def largest_angular_frequency(self) -> float:
        """Of the fastest mode, 1/fs."""
        return float(np.sqrt(max(0.0, self.squares.max())))

    @property
    def self_force_constants(self) -> NDArray[np.float64]:
        """Force on a displaced atom of each site, mean of the three directions, eV/Å², shape (n_sites,)."""
        vectors = np.abs(self.polarizations.reshape(len(self.squares), -1, 3, self.squares.shape[1])) ** 2
        inertias = self.torus.crystal.masses * AMU_ANGSTROM2_PER_FS2_EV
        sums = np.einsum("qsaj,qj->s", vectors, self.squares)
        return np.asarray(inertias * sums / (3.0 * len(self.squares)))

    @property
    def is_vibration(self) -> NDArray[np.bool_]:
        """All modes but the three that move the crystal as a whole."""
        kept = np.ones(self.squares.shape, bool)
        kept[0, np.argsort(np.abs(self.squares[0]))[:3]] = False
        return kept

    def thermal_covariances(self, temperature_kelvin: float) -> NDArray[np.float64] | None:
        """Covariance of the displacement of each site, Å², shape (n_sites, 3, 3).

        None where a mode is not stable: order 2 alone then says nothing about the displacements.
        """
        kept = self.is_vibration
        if not (self.squares[kept] > 0.0).all():
            return None
        weights = np.where(kept, 1.0 / np.where(kept, self.squares, 1.0), 0.0)
        vectors = self.polarizations.reshape(len(weights), -1, 3, weights.shape[1])
        parts = (
            np.einsum("qsaj,qsbj,qj->sab", own, own.conj(), weights[some], optimize=True).real
            for some in _pieces(len(weights), self.polarizations[0].size)
            for own in [vectors[some]]
        )
        sums = np.asarray(functools.reduce(operator.add, parts))
        inertias = self.torus.crystal.masses * AMU_ANGSTROM2_PER_FS2_EV
        thermal = BOLTZMANN_EV_PER_K * temperature_kelvin / (inertias * self.torus.n_cells)
        return np.asarray(thermal[:, None, None] * sums)

    def amplitudes(self, temperature_kelvin: float, *, is_quantum: bool = False) -> NDArray[np.float64]:
        """Mean square of each normal coordinate, eV fs², shape (n_wavevectors, n_modes).

        kT / omega^2, or hbar / (2 omega) coth(hbar omega / 2 kT); with |omega^2| for unstable modes. Zero for
        those that move the crystal as a whole.
        """
        kept = self.is_vibration
        omega = np.sqrt(np.abs(np.where(kept, self.squares, 1.0)))
        thermal = BOLTZMANN_EV_PER_K * temperature_kelvin
        if is_quantum:
            found = HBAR_EV_FS / (2.0 * omega) / np.tanh(HBAR_EV_FS * omega / (2.0 * thermal))
        else:
            found = thermal / omega**2
        return np.where(kept, found, 0.0)

    def sample(
        self, temperature_kelvin: float, generator: np.random.Generator, *, is_quantum: bool = False
    ) -> NDArray[np.float64]:
        """Draw displacements of the harmonic crystal, shape (n_atoms, 3), Å.

        The real part of a sum over all modes with independent complex amplitudes: each wave vector gives half
        of the covariance, its opposite the other half.
        """
        means = self.amplitudes(temperature_kelvin, is_quantum=is_quantum)
        drawn = generator.standard_normal((2, *means.shape))
        coordinates = np.sqrt(means) * (drawn[0] + 1j * drawn[1])
        moved = np.einsum("qaj,qj->qa", self.polarizations, coordinates)
        phases = np.exp(2j * np.pi * self.torus.offsets @ self.torus.wavevectors.T)
        cells = (phases @ moved).real.reshape(self.torus.n_cells, -1, 3)
        inertias = self.torus.masses * AMU_ANGSTROM2_PER_FS2_EV * self.torus.n_cells
        return np.asarray(cells.swapaxes(0, 1).reshape(-1, 3) / np.sqrt(inertias)[:, None])

    def pattern(self, wavevector: int, mode: int, torus: Torus | None = None) -> NDArray[np.float64]:
        """Real displacements along a mode, of arbitrary length, shape (n_atoms, 3).

        On the torus of the modes by default, else on any supercell that the wave vector fits.
        """
        torus = torus or self.torus
        phases = np.exp(2j * np.pi * torus.offsets @ self.torus.wavevectors[wavevector])
        vectors = self.polarizations[wavevector, :, mode].reshape(-1, 1, 3) * phases[:, None]
        moved = vectors.reshape(-1, 3) / np.sqrt(torus.masses)[:, None]
        turned = moved * np.exp(-0.5j * np.angle(np.sum(moved**2)))
        return np.asarray(turned.real)


@dataclass(frozen=True)
class ImaginaryMode:
    """The most unstable mode of order 2.

    Attributes
    ----------
    frequency_thz : float              negative: imaginary
    frequency_sd_thz : float or None   by the uncertainty of the force constants, where that is known
    wavevector : tuple of float        in the reciprocal basis of the primitive cell
    n_modes : int                      unstable modes at all wave vectors of the torus
    n_wavevectors : int                of the torus
    """

    frequency_thz: float
    frequency_sd_thz: float | None
    wavevector: tuple[float, float, float]
    n_modes: int
    n_wavevectors: int


def modes_of_order_2(
    expansion: Expansion, parameters: NDArray[np.float64], torus: Torus
) -> HarmonicModes | None:
    """Return `harmonic_modes`, or None where the parameters have no order 2."""
    has_order = bool(parameters[is_of_order_2(expansion)].any())
    return harmonic_modes(expansion, parameters, torus) if has_order else None


def harmonic_modes(expansion: Expansion, parameters: NDArray[np.float64], torus: Torus) -> HarmonicModes:
    """Solve order 2 of the whole energy on a torus.

    Parameters
    ----------
    expansion : Expansion
    parameters : ndarray, shape (n_parameters,)
        Of all parts of the energy.
    torus : Torus
        Replaced by a smaller, nearly cubic one where the dynamical matrices would be large.
    """
    torus = _of_bounded_size(torus)
    constants = whole_force_constants(expansion, parameters, 2, torus)
    n_sites, n_cells = torus.crystal.n_sites, torus.n_cells
    sites, _ = np.divmod(constants.clusters[:, 0], n_cells)
    others, cells = np.divmod(constants.clusters[:, 1], n_cells)
    inertias = torus.crystal.masses * AMU_ANGSTROM2_PER_FS2_EV
    matrices = np.empty((n_cells, n_sites, 3, n_sites, 3), np.complex128)
    for rows in _pieces(n_sites, 9 * n_sites * n_cells):
        own = (sites >= rows.start) & (sites < rows.stop)
        blocks = np.zeros((rows.stop - rows.start, n_sites, n_cells, 3, 3))
        blocks[sites[own] - rows.start, others[own], cells[own]] = constants.blocks[own]
        blocks /= np.sqrt(inertias[rows, None] * inertias)[:, :, None, None, None]
        by_grid = blocks.reshape(-1, n_sites, *torus.grid, 3, 3)
        waves = n_cells * np.fft.ifftn(by_grid, axes=(2, 3, 4)).reshape(blocks.shape)
        matrices[:, rows] = waves.transpose(2, 0, 3, 1, 4)
    del constants
    polarizations = matrices.reshape(n_cells, 3 * n_sites, 3 * n_sites)
    squares = np.empty(polarizations.shape[:2])
    for some in _pieces(n_cells, polarizations[0].size):
        part = polarizations[some]
        squares[some], polarizations[some] = np.linalg.eigh(0.5 * (part + part.conj().swapaxes(1, 2)))
    return HarmonicModes(torus, squares, polarizations)


def _pieces(length: int, elements_of_each: int) -> list[slice]:
    """Slices of an axis with few elements each; one slice where there are few altogether."""
    step = max(1, _LIMITS.elements_at_once // elements_of_each)
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _of_bounded_size(torus: Torus) -> Torus:
    most_cells = _LIMITS.largest_size / (3 * torus.crystal.n_sites) ** 2
    if torus.n_cells <= most_cells:
        return torus
    periodic = np.array(torus.crystal.periodic)
    extent = max(2, int(np.float64(most_cells) ** (1.0 / periodic.sum()) + 1e-9))
    repetitions = np.where(periodic, extent, 1)
    return torus if np.prod(repetitions) >= torus.n_cells else Torus(torus.crystal, np.diag(repetitions))


def imaginary_mode(modes: HarmonicModes, force_field: ForceField | None = None) -> ImaginaryMode | None:
    """Find the most unstable mode; None where none is unstable.

    Parameters
    ----------
    modes : HarmonicModes
    force_field : ForceField, optional
        Where the modes come from: a mode then has to be unstable beyond its own uncertainty.
    """
    frequencies = np.where(modes.is_vibration, modes.frequencies_thz, np.inf)
    lowest = float(frequencies.min())
    if lowest > -_LIMITS.least_thz:
        return None
    alike = np.argwhere(frequencies <= (1.0 - _LIMITS.same_frequency) * lowest)
    wavevector, mode = int(alike[0, 0]), int(alike[0, 1])
    sd = None
    if force_field is not None:
        torus = modes.torus.of_wave(wavevector)
        square_sd = _square_sd(force_field, torus, modes.pattern(wavevector, mode, torus))
        if modes.squares[wavevector, mode] > -_LIMITS.significant_sd * square_sd:
            return None
        sd = square_sd / (2.0 * abs(lowest) * (2.0 * np.pi * THZ_FEMTOSECONDS) ** 2)
    first, second, third = _folded(modes.torus.wavevectors[wavevector]).tolist()
    return ImaginaryMode(
        frequency_thz=lowest,
        frequency_sd_thz=sd,
        wavevector=(first, second, third),
        n_modes=int((frequencies < -_LIMITS.least_thz).sum()),
        n_wavevectors=len(frequencies),
    )


def _folded(wavevector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same wave vector with components above -1/2 and up to 1/2."""
    return np.asarray(wavevector - np.ceil(wavevector - 0.5 - 1e-9) + 0.0)


def _square_sd(force_field: ForceField, torus: Torus, pattern: NDArray[np.float64]) -> float:
    """Standard deviation of omega^2 of a mode: it is linear in the parameters at a fixed pattern, 1/fs²."""
    supercell = force_field.expansion.on(torus)
    there, back = (supercell.rows(step * pattern)[0] for step in (SMALL_STEP, -SMALL_STEP))
    work = pattern.reshape(-1) @ (there - back) / (2.0 * SMALL_STEP)
    slope = np.where(is_of_order_2(force_field.expansion), work, 0.0)
    inertia = AMU_ANGSTROM2_PER_FS2_EV * float(np.sum(torus.masses[:, None] * pattern**2))
    variance = float(force_field.posterior.variance(slope[None])[0])
    return force_field.calibration * float(np.sqrt(variance)) / inertia
