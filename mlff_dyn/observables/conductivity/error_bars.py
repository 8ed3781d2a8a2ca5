"""Error bars of a conductivity, from its slopes by the parameters.

The posterior of the parameters gives the error of the data. What the expansion leaves out is no noise that
data average away: missing even orders act along thermal displacements like a change of order 2, see
`truncation_changes`, missing odd ones like a change of order 3. Of that change, all of order 3 together, the
misfit of the odd forces over the forces of order 3 tells the size. The ends of a local part change both
orders: `truncation_changes` has all of what it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.harmonic_modes import harmonic_modes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.observables.conductivity.parameter_slopes import ConductivitySlopes
    from mlff_dyn.observables.conductivity.solver import ThreePhonons


@dataclass(frozen=True)
class OddTruncationLimits:
    """Numbers that decide what missing odd orders do.

    Attributes
    ----------
    odd_shares : tuple of float
        Share of the misfit that odd orders of the energy make, where it grows as the cube of the amplitude or
        faster: where the highest order is odd, so the next one is even; and where it is even. Where it grows
        as the square, missing clusters of order 3 make all of it.
    part : float
        Change of the forces of order 3 over the misfit that goes with it. Half and twice of it change this
        part of the error bar by 0.5 and 2. Silicon (Tersoff) after 2 to 8 calculations at 300 K, with order
        4: the conductivity errs by 0.8 to 1.1 of its whole error bar, root mean square of ten trainings, by
        1.1 to 1.9 of that of the data alone; after one calculation by half.
    n_frames : int
        Thermal displacements that the forces of order 3 are measured on. Half of them change them by up to
        a third, twice by 2 %.
    temperature_kelvin : float
        Of these frames, before they are scaled to the displacements of the data: it does not matter.
    """

    odd_shares: tuple[float, float] = (0.1, 0.5)
    part: float = 0.5
    n_frames: int = 16
    temperature_kelvin: float = 300.0


_LIMITS = OddTruncationLimits()


@dataclass(frozen=True, eq=False)
class ConductivityErrors:
    """Standard deviations, W/mK: of the components of the tensor, and of the mean over the three axes.

    Attributes
    ----------
    data, truncation, sampling : ndarray, shape (n_temperatures, 6)
        Of the posterior, calibrated, of what the expansion leaves out, and of an average that order 2 is.
    mean_second, mean_third, mean_data, mean_truncation, mean_sampling : ndarray, shape (n_temperatures,)
        Of the posterior through order 2 alone, through order 3 alone and through both, of what the expansion
        leaves out, and of an average that order 2 is.
    """

    data: NDArray[np.float64]
    truncation: NDArray[np.float64]
    sampling: NDArray[np.float64]
    mean_second: NDArray[np.float64]
    mean_third: NDArray[np.float64]
    mean_data: NDArray[np.float64]
    mean_truncation: NDArray[np.float64]
    mean_sampling: NDArray[np.float64]

    @property
    def whole(self) -> NDArray[np.float64]:
        """Of the components, all together."""
        return np.sqrt(self.data**2 + self.truncation**2 + self.sampling**2)


def conductivity_errors(phonons: ThreePhonons, slopes: ConductivitySlopes) -> ConductivityErrors:
    """Standard deviations of a conductivity.

    Parameters
    ----------
    phonons : ThreePhonons
    slopes : ConductivitySlopes
    """
    force_field, both = phonons.force_field, slopes.second + slopes.third
    even, odd = slopes.by_truncation, slopes.of_scale * odd_truncation(phonons)
    means = [_mean(each) for each in (slopes.second, slopes.third, both)]
    of_second, of_third, of_both = (_by_posterior(force_field, each) for each in means)
    return ConductivityErrors(
        data=_by_posterior(force_field, both),
        truncation=np.hypot(np.linalg.norm(even, axis=-1), odd),
        sampling=slopes.by_sampling,
        mean_second=of_second,
        mean_third=of_third,
        mean_data=of_both,
        mean_truncation=np.hypot(np.linalg.norm(_mean(even), axis=-1), _mean(odd)),
        mean_sampling=_mean(slopes.by_sampling),
    )


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the three axes."""
    return np.asarray(values[:, :3].mean(axis=1))


def _by_posterior(force_field: ForceField, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    along = slopes @ force_field.posterior.covariance_factor
    return np.asarray(force_field.calibration * np.linalg.norm(along, axis=-1))


def odd_truncation(phonons: ThreePhonons) -> float:
    """Standard deviation of a factor on order 3 that stands for missing odd orders."""
    force_field, noise = phonons.force_field, phonons.force_field.posterior.noise
    alone, mixed = _LIMITS.odd_shares
    if force_field.local is not None:
        return 0.0
    is_alone = max(force_field.basis.orders) % 2
    share = min(1.0, max(alone if is_alone else mixed, 3.0 - noise.exponent))
    left_out = share * float(noise.truncation_variance(noise.reference_amplitude))
    forces = _forces_of_order_3(phonons, noise.reference_amplitude)
    return _LIMITS.part * float(np.sqrt(left_out)) / forces if forces > 0.0 else 0.0


def _forces_of_order_3(phonons: ThreePhonons, amplitude_angstrom: float) -> float:
    """Root mean square over components at thermal displacements of an amplitude, eV/Å."""
    force_field, torus = phonons.force_field, phonons.torus
    modes = harmonic_modes(force_field.expansion, force_field.posterior.mean, torus)
    supercell = force_field.expansion.on(torus)
    third = phonons.in_torus(phonons.constants(3))
    generator = np.random.default_rng(0)
    squares = []
    for _ in range(_LIMITS.n_frames):
        moved = modes.sample(_LIMITS.temperature_kelvin, generator)
        moved *= amplitude_angstrom / supercell.amplitude(moved)
        half = np.einsum("ijkabc,kc->ijab", third, moved, optimize=True)
        squares.append(np.mean((0.5 * np.einsum("ijab,jb->ia", half, moved)) ** 2))
    return float(np.sqrt(np.mean(squares)))
