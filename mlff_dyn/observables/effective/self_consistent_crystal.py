"""The average of the forces of a crystal over the displacements of a harmonic one, and where it leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.harmonic_modes import THZ_FEMTOSECONDS
from mlff_dyn.observables.effective.correction import BlockSums, Correction
from mlff_dyn.observables.effective.fixed_point import Metric
from mlff_dyn.observables.effective.gaussian_crystal import GaussianCrystal, modes_of
from mlff_dyn.observables.effective.limits import EFFECTIVE_LIMITS, EffectiveLimits
from mlff_dyn.observables.effective.potential import Potential

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.observables.effective.averaged import EffectiveSettings
    from mlff_dyn.observables.sampled_phonons import SampledPhonons

_STREAM = 12


@dataclass(frozen=True, eq=False)
class Average:
    """Average over the displacements of a harmonic crystal.

    Attributes
    ----------
    image : ndarray, shape (n,)                point that the average leads to
    deviations : ndarray, shape (n_blocks, n)  of it by blocks
    metric : Metric                            of points
    force_rms : float                          of the crystal, eV/Å
    energies : ndarray, shape (n_pairs,)       V - u Phi u / 2 of all atoms, mean of each pair, eV
    crystal : GaussianCrystal
    far_share : float                          of atoms half way to the next site, or farther
    scores : ndarray, shape (n_pairs, n)
        What each pair leaves in the normal equations at the point.
    lever : ndarray, shape (n, n)
        Change of the image by a sum of what is left there.
    """

    image: NDArray[np.float64]
    deviations: NDArray[np.float64]
    metric: Metric
    force_rms: float
    energies: NDArray[np.float64]
    crystal: GaussianCrystal
    far_share: float
    scores: NDArray[np.float64]
    lever: NDArray[np.float64]

    @property
    def error_relative(self) -> float:
        """Monte Carlo error of the forces of the image over the forces."""
        return self.metric.length(self.deviations) / self.force_rms


class SelfConsistentCrystal:
    """The equations at one temperature.

    A point is the parameters of the correction; those of forces stand for the mean displacements of sites.

    Parameters
    ----------
    phonons : SampledPhonons
    correction : Correction
    settings : EffectiveSettings
    limits : EffectiveLimits

    Attributes
    ----------
    potential : Potential
        At the posterior mean.
    least_thz : float
        Of modes that displacements are drawn with; lowered in the course of iterations.
    """

    def __init__(
        self,
        phonons: SampledPhonons,
        correction: Correction,
        settings: EffectiveSettings,
        limits: EffectiveLimits = EFFECTIVE_LIMITS,
    ) -> None:
        self.correction, self.torus, self.limits = correction, phonons.torus, limits
        self._settings = settings
        self.potential = Potential(phonons.force_field.expansion, phonons.parameters[0], phonons.torus)
        squares = modes_of(self.potential.harmonic, self.torus).squares
        self.least_thz = max(limits.least_thz, _imaginary_thz(squares))

    def noise(self, n_pairs: int) -> NDArray[np.float64]:
        """White noise of the first pairs, shape (n_pairs, n_atoms, 3)."""
        key = (self._settings.seed, _STREAM)
        shape = (self.torus.n_atoms, 3)
        return np.array([np.random.default_rng((*key, k)).standard_normal(shape) for k in range(n_pairs)])

    def crystal(self, point: NDArray[np.float64], potential: Potential | None = None) -> GaussianCrystal:
        """Crystal that displacements are drawn from."""
        harmonic = (potential or self.potential).harmonic.plus(self.correction.harmonic(point))
        return GaussianCrystal(
            harmonic,
            self.torus,
            self._settings.temperature_kelvin,
            is_quantum=self._settings.is_quantum,
            least_thz=self.least_thz,
        )

    def center(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean displacements of the sites, shape (n_sites, 3), Å."""
        moved = self.correction.site_rows @ point[~self.correction.is_linear]
        return np.asarray(moved.reshape(-1, 3))

    def average(
        self, point: NDArray[np.float64], noise: NDArray[np.float64], potential: Potential | None = None
    ) -> Average:
        """Average over the crystal of a point.

        Parameters
        ----------
        point : ndarray, shape (n,)
        noise : ndarray, shape (n_pairs, n_atoms, 3)
        potential : Potential, optional
            Instead of that of the posterior mean.
        """
        correction, linear = self.correction, self.correction.is_linear
        potential = potential or self.potential
        crystal = self.crystal(point, potential)
        moved = np.repeat(self.center(point), self.torus.n_cells, axis=0)
        sums = BlockSums(self.limits.n_blocks, correction.n_parameters, self.limits.singular)
        is_alike = linear[:, None] == linear
        scores = np.empty((len(noise), len(point)))
        energies, squares = np.empty((2, len(noise)))
        far, half_way = 0.0, 0.5 * self.torus.crystal.nearest_neighbor_distance
        for number, u in enumerate(crystal.displacements(noise)):
            far += float(np.mean(np.linalg.norm(u, axis=1) > half_way))
            rows, block = correction.rows(u), number % self.limits.n_blocks
            there, back = (potential.kernel.energy_forces(moved + sign * u) for sign in (1.0, -1.0))
            own = potential.harmonic.energy_forces(u)[1].ravel()
            odd, even = (0.5 * (there[1] + sign * back[1]).ravel() for sign in (-1.0, 1.0))
            sums.add_products(
                block, (rows.T @ rows) * is_alike, np.where(linear, (odd - own) @ rows, even @ rows)
            )
            effective = own + rows @ np.where(linear, point, 0.0)
            scores[number] = np.where(linear, (odd - effective) @ rows, even @ rows)
            energies[number] = 0.5 * (there[0] + back[0]) + 0.5 * float(effective @ u.ravel())
            squares[number] = np.mean(effective**2)
        image, deviations, metric, lever = self._image(potential, point, sums, len(noise))
        force_rms, far_share = float(np.sqrt(squares.mean())), far / len(noise)
        return Average(
            image, deviations, Metric(metric), force_rms, energies, crystal, far_share, scores, lever
        )

    def _image(
        self, potential: Potential, point: NDArray[np.float64], sums: BlockSums, n_pairs: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Image, deviations, metric, lever; forces become steps of the sites, by the constants found."""
        linear = self.correction.is_linear
        image, deviations, lever = sums.solution.copy(), sums.deviations(), sums.inverse.copy()
        metric = sums.gram / (3 * self.torus.n_atoms * n_pairs)
        if not linear.all():
            found = potential.harmonic.plus(self.correction.harmonic(image)).blocks.sum(axis=2)
            rows = self.correction.site_rows
            stiffness = rows.T @ found @ rows
            steps = np.linalg.pinv(stiffness, rcond=self.limits.singular, hermitian=True)
            own = np.ix_(~linear, ~linear)
            image[~linear] = point[~linear] + steps @ image[~linear]
            deviations[:, ~linear] = deviations[:, ~linear] @ steps
            metric[own] = stiffness @ metric[own] @ stiffness
            lever[~linear] = steps @ lever[~linear]
        return image, deviations, metric, lever


def _imaginary_thz(squares: NDArray[np.float64]) -> float:
    """Size of the largest imaginary frequency."""
    return float(np.sqrt(max(0.0, -squares.min()))) / (2.0 * np.pi * THZ_FEMTOSECONDS)
