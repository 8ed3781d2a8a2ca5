"""Spectra of the modes of a crystal in motion: frequencies and widths of lines, by velocities of the model.

    a_qj(t) = sum_s e_qj,s^* sqrt(m_s) sum_n v_sn(t) exp(-2 pi i q.n)

at the wave vectors of the cell of the dynamics, which keeps its energy. Modes of equal frequency, within a
wave vector and between wave vectors with equal frequencies, are one line. Frequencies are those of exact
dynamics: velocity Verlet of time step h turns w into (2 / h) arcsin(w h / 2), which is undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.harmonic_modes import THZ_FEMTOSECONDS
from mlff_dyn.observables.effective.line_fit import fit_line, power_spectrum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from mlff_dyn.md.chunks import Chunk
    from mlff_dyn.model.harmonic_modes import HarmonicModes
    from mlff_dyn.observables.effective.trajectories import TrajectoryPlan

_AXES = (-3, -2, -1)
_SAME_THZ = 1e-4


@dataclass(frozen=True, eq=False)
class SpectralLine:
    """Modes that are one line.

    Attributes
    ----------
    wavevector : ndarray, shape (3,)      one of them, reciprocal basis of the primitive cell
    n_modes : int
    expected_thz : float                  frequency of the modes that motion is projected on
    frequency_thz, frequency_sd_thz : float
    linewidth_thz, linewidth_sd_thz : float
        Full width at half maximum; statistical errors by leaving out one trajectory at a time.
    powers : ndarray, shape (n_frequencies,)
        Mean power spectrum of a mode, in units of the mean square.
    """

    wavevector: NDArray[np.float64]
    n_modes: int
    expected_thz: float
    frequency_thz: float
    frequency_sd_thz: float
    linewidth_thz: float
    linewidth_sd_thz: float
    powers: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectra:
    """All lines at a temperature.

    Attributes
    ----------
    lines : tuple of SpectralLine
    frequencies_thz : ndarray, shape (n_frequencies,)      of the powers
    resolution_thz : float                                 one over the length of a trajectory
    """

    lines: tuple[SpectralLine, ...]
    frequencies_thz: NDArray[np.float64]
    resolution_thz: float


def lines_of(modes: HarmonicModes) -> list[NDArray[np.int64]]:
    """Wave vector and mode of those of each line, shape (n_modes, 2); rigid translations left out."""
    frequencies, moving = modes.frequencies_thz, modes.is_vibration
    lines: dict[tuple[float, ...], list[tuple[int, int]]] = {}
    for q, own in enumerate(frequencies):
        rounded = np.round(own / _SAME_THZ / 10.0)
        start = 0
        for mode in range(len(own)):
            if mode and own[mode] - own[mode - 1] > _SAME_THZ:
                start = mode
            if moving[q, mode]:
                lines.setdefault((*rounded.tolist(), float(start)), []).append((q, mode))
    return [np.array(members) for members in lines.values()]


def spectra(
    modes: HarmonicModes,
    chunks: Iterable[tuple[int, Chunk]],
    plan: TrajectoryPlan,
    tell: Callable[[int, int], None] = lambda *_: None,
) -> Spectra:
    """Project velocities on modes, and fit their lines.

    Parameters
    ----------
    modes : HarmonicModes
        Of the cell of the dynamics.
    chunks : iterable of (int, Chunk)
        See `sampled_chunks`.
    plan : TrajectoryPlan
        Of the dynamics.
    tell : callable, optional
        Called with the number of lines that are fitted, and that of all.
    """
    lines = lines_of(modes)
    found: list[list[NDArray[np.complex64]]] = [[] for _ in range(plan.n_replicas)]
    for replica, chunk in chunks:
        if len(chunk.run.velocities):
            found[replica].append(_amplitudes(modes, chunk.run.velocities))
    powers = np.array([_powers(np.concatenate(each), lines) for each in found])
    n_samples = sum(len(each) for each in found[0])
    rate_thz, fitted = _rate_thz(plan), []
    for number, members in enumerate(lines):
        fitted.append(_fitted(modes, members, powers[:, number], n_samples, plan))
        tell(number + 1, len(lines))
    places = np.arange(powers.shape[-1]) * rate_thz / n_samples
    return Spectra(tuple(fitted), places, rate_thz / n_samples)


def _rate_thz(plan: TrajectoryPlan) -> float:
    """Samples in a picosecond."""
    return 1.0 / (plan.timestep_femtoseconds * plan.sample_every * THZ_FEMTOSECONDS)


def _amplitudes(modes: HarmonicModes, velocities: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Amplitudes of all modes, shape (n_samples, n_wavevectors, n_modes)."""
    torus = modes.torus
    scaled = velocities * np.sqrt(torus.masses)[:, None]
    by_cell = scaled.reshape(len(scaled), -1, torus.n_cells, 3).swapaxes(2, 3)
    waves = np.fft.fftn(by_cell.reshape(len(scaled), -1, *torus.grid), axes=_AXES)
    flat = waves.reshape(len(scaled), -1, torus.n_cells).transpose(2, 0, 1)
    projected = np.matmul(flat, modes.polarizations.conj()).transpose(1, 0, 2)
    return np.ascontiguousarray(projected, np.complex64)


def _powers(series: NDArray[np.complex64], lines: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Mean power spectrum of each line, shape (n_lines, n_frequencies)."""
    return np.array(
        [
            np.mean([power_spectrum(series[:, q, mode].astype(np.complex128)) for q, mode in members], axis=0)
            for members in lines
        ]
    )


def _fitted(
    modes: HarmonicModes,
    members: NDArray[np.int64],
    powers: NDArray[np.float64],
    n_samples: int,
    plan: TrajectoryPlan,
) -> SpectralLine:
    """Fit a line, and again without each trajectory."""
    rate_thz = _rate_thz(plan)
    q, mode = members[0]
    expected = float(modes.frequencies_thz[q, mode])
    whole = fit_line(powers.mean(axis=0), n_samples, abs(expected) / rate_thz)
    without = [
        fit_line(np.delete(powers, k, axis=0).mean(axis=0), n_samples, whole.frequency, whole)
        for k in range(len(powers) if len(powers) > 1 else 0)
    ]

    def sd(values: list[float]) -> float:
        n = len(values)
        return (
            float(np.sqrt((n - 1) / n * np.sum((np.array(values) - np.mean(values)) ** 2))) if n else np.nan
        )

    step = plan.timestep_femtoseconds * THZ_FEMTOSECONDS
    frequency = np.sin(np.pi * whole.frequency * rate_thz * step) / (np.pi * step)
    mean = powers.mean(axis=0)
    return SpectralLine(
        wavevector=modes.torus.wavevectors[q],
        n_modes=len(members),
        expected_thz=expected,
        frequency_thz=float(frequency),
        frequency_sd_thz=rate_thz * sd([each.frequency for each in without]),
        linewidth_thz=rate_thz * whole.width,
        linewidth_sd_thz=rate_thz * sd([each.width for each in without]),
        powers=mean / mean.mean(),
    )
