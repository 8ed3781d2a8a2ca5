"""Slopes of the conductivity by all force constants of order 3 at once.

In the relaxation time approximation each mode adds kappa_m, which is inversely proportional to its linewidth
Gamma_m + other linewidths, and with the amplitudes V of three phonons

    Gamma_m = sum_t c_mt |V_mt|^2,   V_mt = sum e e e Phi(q, q', q'') / sqrt(omega omega' omega''),

    d kappa / d Phi = - sum_m kappa_m / Gamma_all,m  sum_t c_mt 2 Re( V_mt* dV_mt / d Phi ).

Phonons, triplets and weights of the tetrahedra are those of phono3py, whose linewidths come out again; Phi is
transformed to wave vectors from each of its three atoms, as phono3py does it, and the slopes go back the same
way: about the cost of the linewidths, however many force constants there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from phonopy.physical_units import get_physical_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.observables.conductivity.solver import Conductivity, ThreePhonons

_LEGS = ((0, 1, 2), (1, 0, 2), (2, 1, 0))
"""Atoms whose cell is the home cell, first: the other two follow."""
_BLOCK_BYTES = 1 << 26


def third_order_slopes(
    phonons: ThreePhonons,
    found: Conductivity,
    number: int,
    temperature_kelvin: float,
    components: tuple[int, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slopes of components of the conductivity by the compact force constants of order 3.

    Parameters
    ----------
    phonons : ThreePhonons
        Prepared for the mesh.
    found : Conductivity
        Of the same, all wave vectors.
    number : int
        Of the temperature in ``found``.
    temperature_kelvin : float
    components : tuple of int
        Of the tensor.

    Returns
    -------
    ndarray, shape (n_components, n_primitive, n_atoms, n_atoms, 3, 3, 3)
        Each element on its own, W/mK Å³/eV.
    ndarray, shape (n_points, n_modes)
        Linewidths, THz, before the mean over degenerate modes: they tell whether all is well.
    """
    third = np.asarray(phonons.phono3py.fc3)
    transform = _Transform(phonons, third)
    slopes = np.zeros((len(components), *third.shape))
    linewidths = np.zeros_like(found.linewidths_thz[number])
    by_width = _slopes_by_linewidth(found, number)[..., list(components)]
    size = max(1, _BLOCK_BYTES // (16 * 27 * third.shape[0] * third.shape[1]))
    for row, point in enumerate(found.grid_points.tolist()):
        channels = _channels(phonons.phono3py, point, temperature_kelvin)
        for start in range(0, len(channels.triplets), size):
            part = channels.part(slice(start, start + size))
            amplitudes = transform.amplitudes(part)
            linewidths[row] += (part.rates * np.abs(amplitudes) ** 2).sum(axis=(0, 2, 3))
            transform.add(slopes, part, amplitudes, by_width[row].T)
    return slopes, linewidths


def _slopes_by_linewidth(found: Conductivity, number: int) -> NDArray[np.float64]:
    """Slopes of ``relaxation`` by linewidths, the same for modes that are degenerate."""
    whole = (found.linewidths_thz[number] + found.other_linewidths_thz)[..., None]
    modes = found.modes[number]
    slopes = np.divide(-modes, whole, out=np.zeros_like(modes), where=whole > 0.0)
    for point, frequencies in enumerate(found.frequencies_thz):
        ends = np.flatnonzero(np.diff(frequencies) > _DEGENERATE_THZ) + 1
        for group in np.split(np.arange(len(frequencies)), ends):
            slopes[point, group] = slopes[point, group].mean(axis=0)
    return np.asarray(slopes)


_DEGENERATE_THZ = 1e-4
"""As phono3py tells degenerate modes."""


class _Channels(NamedTuple):
    """Triplets of one wave vector.

    Attributes
    ----------
    triplets : ndarray of int, shape (n, 3)
    wavevectors : ndarray, shape (n, 3, 3)
        In vectors of the reciprocal primitive cell.
    vectors : ndarray, shape (n, 3, n_modes, n_modes)
        Eigenvectors over the roots of masses and frequencies; none below the lowest frequency.
    rates : ndarray, shape (n, n_modes, n_modes, n_modes)
        Linewidth for each |V|^2.
    """

    triplets: NDArray[np.int64]
    wavevectors: NDArray[np.float64]
    vectors: NDArray[np.complex128]
    rates: NDArray[np.float64]

    def part(self, which: slice) -> _Channels:
        """Return some of the triplets."""
        return _Channels(
            self.triplets[which], self.wavevectors[which], self.vectors[which], self.rates[which]
        )


def _channels(phono3py: Any, point: int, temperature_kelvin: float) -> _Channels:  # noqa: ANN401
    from phono3py.phonon3.imag_self_energy import ImagSelfEnergy
    from phonopy.phonon.grid import get_qpoints_from_bz_grid_points

    interaction = phono3py.phph_interaction
    widths = ImagSelfEnergy(interaction)
    widths.set_grid_point(point)
    widths.set_sigma(None)
    widths.run_integration_weights()
    decay, absorption = np.asarray(widths.get_integration_weights()[0])[:2]
    triplets, weights = (np.asarray(each) for each in interaction.get_triplets_at_q()[:2])
    frequencies = interaction.phonons.frequencies[triplets]
    kept = frequencies > interaction.cutoff_frequency
    safe = np.where(kept, frequencies, 1.0)
    units = get_physical_units()
    ratios = safe[:, 1:] * units.THzToEv / units.KB / temperature_kelvin
    first, second = np.where(kept[:, 1:], 1.0 / np.expm1(ratios), 0.0).swapaxes(0, 1)
    first, second = first[:, None, :, None], second[:, None, None, :]
    rates = (first + second + 1.0) * decay + (first - second) * absorption
    scale = widths.unit_conversion_factor * _amplitude_factor(interaction)
    masses = np.repeat(interaction.primitive.masses, 3)
    vectors = interaction.phonons.eigenvectors[triplets] / np.sqrt(masses)[:, None]
    return _Channels(
        triplets=triplets,
        wavevectors=np.asarray(get_qpoints_from_bz_grid_points(triplets, interaction.bz_grid)),
        vectors=vectors * np.where(kept, safe**-0.5, 0.0)[..., None, :],
        rates=rates * (scale * weights)[:, None, None, None],
    )


def _amplitude_factor(interaction: Any) -> float:  # noqa: ANN401
    """Squares of amplitudes in eV² from those in (eV/Å³)² / (amu THz)³, as phono3py scales them."""
    units = get_physical_units()
    eigen = (units.Hbar * units.EV) ** 3 / 36 / 8 * units.EV**2 / units.Angstrom**6
    per_mode = eigen / (2 * np.pi * units.THz) ** 3 / units.AMU**3 / units.EV**2
    return float(per_mode / np.prod(interaction.mesh_numbers))


class _Transform:
    """Force constants of order 3 to amplitudes of triplets, and slopes by amplitudes back."""

    def __init__(self, phonons: ThreePhonons, third: NDArray[np.float64]) -> None:
        primitive = phonons.phono3py.primitive
        self._third, self._primitive = third, primitive
        self._vectors, self._multiplicities = (np.asarray(e) for e in primitive.get_smallest_vectors())
        first = np.asarray(primitive.p2s_map)
        self._members = [np.flatnonzero(np.asarray(primitive.s2p_map) == atom) for atom in first]

    def amplitudes(self, part: _Channels) -> NDArray[np.complex128]:
        """V of triplets, shape (n, n_modes, n_modes, n_modes)."""
        n = len(self._members)
        whole = np.zeros((len(part.triplets), n, n, n, 3, 3, 3), complex)
        for leg in _LEGS:
            found = np.zeros_like(whole)
            phases, prephases = self._phases(part, leg)
            for home in range(n):
                for one, members in enumerate(self._members):
                    half = np.tensordot(phases[0][:, home, members], self._third[home, members], axes=(1, 0))
                    for other, others in enumerate(self._members):
                        found[:, home, one, other] = np.einsum(
                            "tk,tkabc->tabc", phases[1][:, home, others], half[:, others]
                        )
                found[:, home] *= prephases[:, home, None, None, None, None, None]
            whole += _moved(found, leg) / len(_LEGS)
        flat = whole.transpose(0, 1, 4, 2, 5, 3, 6).reshape(len(whole), 3 * n, 3 * n, 3 * n)
        e = part.vectors
        return np.asarray(np.einsum("tijk,tix,tjy,tkz->txyz", flat, e[:, 0], e[:, 1], e[:, 2], optimize=True))

    def add(
        self,
        slopes: NDArray[np.float64],
        part: _Channels,
        amplitudes: NDArray[np.complex128],
        by_width: NDArray[np.float64],
    ) -> None:
        """Add what triplets do to ``slopes``, (n_outputs, ...); ``by_width`` is (n_outputs, n_modes)."""
        n, e = len(self._members), part.vectors
        scaled = 2.0 * part.rates * amplitudes.conj()
        back = np.einsum("txyz,tjy,tkz->txjk", scaled, e[:, 1], e[:, 2], optimize=True)
        whole = np.einsum("txjk,tix,cx->ctijk", back, e[:, 0], by_width, optimize=True)
        whole = whole.reshape(-1, len(e), n, 3, n, 3, n, 3).transpose(0, 1, 2, 4, 6, 3, 5, 7)
        for leg in _LEGS:
            phases, prephases = self._phases(part, leg)
            for output, values in enumerate(whole):
                given = _moved(values, leg) / len(_LEGS)
                for home in range(n):
                    mine = given[:, home] * prephases[:, home, None, None, None, None, None]
                    for one, members in enumerate(self._members):
                        for other, others in enumerate(self._members):
                            right = phases[1][:, home, others, None] * mine[:, one, other].reshape(-1, 1, 27)
                            found = np.tensordot(phases[0][:, home, members], right, axes=(0, 0)).real
                            shape = (len(members), len(others), 3, 3, 3)
                            slopes[output, home][np.ix_(members, others)] += found.reshape(shape)

    def _phases(
        self, part: _Channels, leg: tuple[int, int, int]
    ) -> tuple[list[NDArray[np.complex128]], NDArray[np.complex128]]:
        """Phases of the two other atoms, each (n, n_primitive, n_atoms), and of the home atom itself."""
        counts, starts = self._multiplicities[..., 0], self._multiplicities[..., 1]
        found = []
        for which in leg[1:]:
            images = np.exp(2j * np.pi * part.wavevectors[:, which] @ self._vectors.T)
            sums = np.add.reduceat(images, starts.ravel(), axis=1).reshape(-1, *starts.shape)
            found.append((sums / counts).swapaxes(1, 2))
        shift = np.rint(part.wavevectors.sum(axis=1))
        return found, np.exp(2j * np.pi * shift @ self._primitive.scaled_positions.T)


def _moved(values: NDArray[np.complex128], leg: tuple[int, int, int]) -> NDArray[np.complex128]:
    """Atoms and axes of (n, home, one, other, a, b, c) in the order of the triplet, or back."""
    return np.asarray(values.transpose(0, *(1 + k for k in leg), *(4 + k for k in leg)))
