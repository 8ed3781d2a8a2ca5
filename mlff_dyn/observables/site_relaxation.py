"""Relaxation of the sites in fluctuations of the stress, by averages that fluctuate little.

With the gradients g of the energy by displacements u of all atoms of a site together,

    <g> = 0,   <g g> = kT K,   <g s> = kT M,   K = <dg / du>,   M = <ds / du>

so a stress s has the covariance of s - M K^+ g, and kT M K^+ M besides: that of optical displacements, which
is most of it where sites move with a strain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.observables.elastic import site_compliance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import SupercellForceField


@dataclass(frozen=True, eq=False)
class SiteSlopes:
    """Derivatives by displacements of the sites, by sample.

    Attributes
    ----------
    gradients : ndarray, shape (n_samples, 3 * n_sites)                     g, eV/Å
    couplings : ndarray, shape (n_samples, 6, 3 * n_sites)                  ds / du, eV/Å⁴
    stiffnesses : ndarray, shape (n_samples, 3 * n_sites, 3 * n_sites)      dg / du, eV/Å²
    """

    gradients: NDArray[np.float64]
    couplings: NDArray[np.float64]
    stiffnesses: NDArray[np.float64]

    def without_relaxation(
        self, stresses: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Stress s - M K^+ g, and M K^+ M by sample, to first order in what a sample differs by.

        Parameters
        ----------
        stresses : ndarray, shape (n_samples, 6), eV/Å³

        Returns
        -------
        stresses : ndarray, shape (n_samples, 6), eV/Å³
        relaxations : ndarray, shape (n_samples, 6, 6), eV/Å⁶
        """
        mean = self.couplings.mean(axis=0) @ site_compliance(self.stiffnesses.mean(axis=0))
        crossed = self.couplings @ mean.T
        relaxations = crossed + crossed.swapaxes(1, 2) - mean @ self.stiffnesses @ mean.T
        return stresses - self.gradients @ mean.T, relaxations


def site_slopes(
    here: SupercellForceField,
    around: Sequence[Sequence[SupercellForceField]],
    frames: NDArray[np.float64],
    step: float,
) -> SiteSlopes:
    """Derivatives at each frame.

    Parameters
    ----------
    here : SupercellForceField
    around : sequence of pairs
        The same cell under further strains of plus and minus the step, for each of the six.
    frames : ndarray, shape (n_samples, n_atoms, 3), Å
    step : float
        Of the strain, and of displacements, Å.
    """
    torus = here.torus
    volume = abs(float(np.linalg.det(here.lattice)))
    units = np.eye(3 * torus.crystal.n_sites).reshape(-1, torus.crystal.n_sites, 3)
    moves = step * np.repeat(units, torus.n_cells, axis=1)

    def gradient(force_field: SupercellForceField, u: NDArray[np.float64]) -> NDArray[np.float64]:
        forces = force_field.kernel.energy_forces(u)[1]
        return np.asarray(-forces.reshape(torus.crystal.n_sites, torus.n_cells, 3).sum(axis=1).ravel())

    gradients, couplings, stiffnesses = [], [], []
    for u in frames:
        gradients.append(gradient(here, u))
        couplings.append([gradient(ahead, u) - gradient(behind, u) for ahead, behind in around])
        stiffnesses.append([gradient(here, u + move) - gradient(here, u - move) for move in moves])
    scale = 0.5 / step
    return SiteSlopes(
        np.array(gradients), scale / volume * np.array(couplings), scale * np.array(stiffnesses)
    )
