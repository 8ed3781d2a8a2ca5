"""Spectra of the modes of a crystal in motion: frequencies and widths of lines, by velocities of the model.

    a_qj(t) = sum_s e_qj,s^* sqrt(m_s) sum_n v_sn(t) exp(-2 pi i q.n)

at the wave vectors of the cell of the dynamics, which keeps its energy. Modes of equal frequency, within a
wave vector and between wave vectors with equal frequencies, are one line. Frequencies are those of exact
dynamics: velocity Verlet of time step h turns w into (2 / h) arcsin(w h / 2), which is undone. Samples of the
posterior run from the same random numbers and are projected on the same modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.harmonic_modes import THZ_FEMTOSECONDS
from mlff_dyn.observables.effective.line_errors import LineValues
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
class Measured:
    """Lines along trajectories.

    Attributes
    ----------
    values : LineValues
    powers : ndarray, shape (n_lines, n_frequencies)
        Mean power spectrum of a mode, in units of the mean square.
    frequencies_thz : ndarray, shape (n_frequencies,)      of the powers
    """

    values: LineValues
    powers: NDArray[np.float64]
    frequencies_thz: NDArray[np.float64]

    @property
    def resolution_thz(self) -> float:
        """One over the length of a trajectory."""
        return float(self.frequencies_thz[1])


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
) -> Measured:
    """Project velocities on modes, and fit the lines of `lines_of`.

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
    whole, without = [], []
    for number, members in enumerate(lines):
        expected = abs(float(modes.frequencies_thz[tuple(members[0])]))
        each = _fitted(powers[:, number], n_samples, expected, plan)
        whole.append(each[0])
        without.append(each[1:])
        tell(number + 1, len(lines))
    means = powers.mean(axis=0)
    return Measured(
        values=LineValues(
            np.array(whole),
            np.array(without).swapaxes(0, 1),
            np.array([float(len(members)) for members in lines]),
        ),
        powers=means / means.mean(axis=1, keepdims=True),
        frequencies_thz=np.arange(powers.shape[-1]) * _rate_thz(plan) / n_samples,
    )


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
    powers: NDArray[np.float64], n_samples: int, expected_thz: float, plan: TrajectoryPlan
) -> NDArray[np.float64]:
    """Frequency and width of a line, then those without each trajectory, THz; shape (1 + n_replicas, 2)."""
    rate_thz = _rate_thz(plan)
    whole = fit_line(powers.mean(axis=0), n_samples, expected_thz / rate_thz)
    without = [
        fit_line(np.delete(powers, k, axis=0).mean(axis=0), n_samples, whole.frequency, whole)
        for k in range(len(powers))
    ]
    values = np.array([(each.frequency, each.width) for each in (whole, *without)]) * rate_thz
    step = plan.timestep_femtoseconds * THZ_FEMTOSECONDS
    values[:, 0] = np.sin(np.pi * values[:, 0] * step) / (np.pi * step)
    return values
