"""Interactions of order 2 between all atoms of a torus that change with the strain, to third order in both.

With displacements u from the strained sites and the components e_k of the strain in Voigt's order, those off
the diagonal counted twice,

    E(u, e) = 1/2 u (Phi + e_k Phi'_k) u + sum_i u_i . (C_k e_k + 1/2 C'_kl e_k e_l) + n_cells W(e)

where Phi'_k is the derivative of the force constants, C the coupling of sites and strain, C' its derivative
and W the energy of a cell at rest. Forces and the derivative with respect to the strain are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.harmonic import HarmonicTorus
from mlff_dyn.kernels.strain.moves import VOIGT, strain_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.strain.energy import StrainEnergy


@dataclass(frozen=True, eq=False)
class StrainableHarmonic:
    """Such an interaction.

    Attributes
    ----------
    at_rest : HarmonicTorus
    slopes : tuple of 6 HarmonicTorus, or empty       Phi'
    coupling : ndarray, shape (6, n_sites, 3)         C, eV/Å; vanishes when summed over sites
    coupling_slopes : ndarray, shape (6, 6, n_sites, 3)
        C', symmetric in the strains, eV/Å; vanishes when summed over sites.
    rest_energy : StrainEnergy
        W, of one column.
    """

    at_rest: HarmonicTorus
    slopes: tuple[HarmonicTorus, ...]
    coupling: NDArray[np.float64]
    coupling_slopes: NDArray[np.float64]
    rest_energy: StrainEnergy

    def strained(self, strain: NDArray[np.float64]) -> HarmonicTorus:
        """Force constants at a strain, shape (3, 3)."""
        if not (self.slopes and strain.any()):
            return self.at_rest
        blocks = self.at_rest.blocks.copy()
        for component, slope in zip(strain_components(strain), self.slopes, strict=True):
            if component:
                blocks += component * slope.blocks
        return HarmonicTorus(self.at_rest.grid, blocks)

    def site_gradient(self, strain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the energy with respect to the displacement of each site; shape (n_sites, 3)."""
        components = strain_components(strain)
        mean = self.coupling + 0.5 * np.einsum("l,klsa->ksa", components, self.coupling_slopes)
        return np.asarray(np.einsum("k,ksa->sa", components, mean))

    def energy_forces(
        self, displacements: NDArray[np.float64], strain: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy (eV, measured from the unstrained crystal at rest) and forces (eV/Å, shape (n_atoms, 3))."""
        energy, forces = self.strained(strain).energy_forces(displacements)
        gradient = self.site_gradient(strain)
        by_site = displacements.reshape(len(gradient), -1, 3)
        energy += float(np.einsum("sa,sca->", gradient, by_site))
        energy += by_site.shape[1] * float(self.rest_energy.energy(strain)[0])
        return energy, forces - np.repeat(gradient, by_site.shape[1], axis=0)

    def virial(self, displacements: NDArray[np.float64], strain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the energy with respect to the strain at constant displacements; (3, 3), eV."""
        by_site = displacements.reshape(self.coupling.shape[1], -1, 3)
        coupling = self.coupling + np.einsum("l,klsa->ksa", strain_components(strain), self.coupling_slopes)
        values = np.einsum("ksa,sca->k", coupling, by_site)
        if self.slopes:
            values = values + [slope.energy_forces(displacements)[0] for slope in self.slopes]
        virial = by_site.shape[1] * self.rest_energy.gradient(strain)[..., 0]
        for (a, b), value in zip(VOIGT, values, strict=True):
            virial[a, b] += value
            if a != b:
                virial[b, a] += value
        return np.asarray(virial)
