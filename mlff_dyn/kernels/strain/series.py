"""A crystal whose strain changes all the time, as a power series in the strain.

The coefficients of a strained crystal are exp(D) applied to those without strain (see
`mlff_dyn.kernels.strain.polynomial`), and D is linear in the components e_k of the strain. So

    E(u, e) = n_cells W(e) + sum_J w_J(e) E_J(u),    w_J = prod_k e_k^p / p!   (k being p times in J)

over multisets J of components, where E_J is a polynomial of u with the coefficients D_J Phi: it is made once,
and another strain takes no new tables. Energy, forces and the virial, sum_J dw_J/de_k E_J, are those of
`StrainedKernel`. Multisets of as many components as the highest order less one are forces at rest alone.
"""

from __future__ import annotations

from functools import cached_property
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.kernels import ForceKernel, LocalKernel
from mlff_dyn.kernels.strain.moves import VOIGT, strain_components, unit_strains
from mlff_dyn.kernels.strain.stress_at_rest import strained_virial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.strain.kernel import StrainableTorus

    Multiset = tuple[int, ...]

_HIGHEST_ORDER = 4
"""With more there are too many multisets."""
_MOST_ATOMS = {3: 20_000, 4: 1_000}
"""By the highest order: of larger crystals a series takes longer than new tables, or too much memory."""


class _Term(NamedTuple):
    """E_J: orders 2 and more, and the gradient at rest, shape (n_sites, 3)."""

    multiset: Multiset
    kernel: ForceKernel | None
    gradient: NDArray[np.float64]


class StrainSeries:
    """Energy, forces and virial of a torus under any strain.

    Parameters
    ----------
    torus : StrainableTorus
    """

    def __init__(self, torus: StrainableTorus) -> None:
        self._torus = torus
        self._n_sites = torus.tables.gather.polynomial.n_sites

    @staticmethod
    def pays(torus: StrainableTorus) -> bool:
        """Whether it is faster than new tables for every strain."""
        order = max(3, torus.tables.max_order)
        n_atoms = torus.n_cells * torus.tables.gather.polynomial.n_sites
        return order <= _HIGHEST_ORDER and n_atoms <= _MOST_ATOMS[order]

    def energy_forces_virial(
        self, displacements: NDArray[np.float64], strain: NDArray[np.float64], *, virial: bool = True
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """Potential energy, forces and the derivative of the energy with respect to the strain.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3), Å
            From the strained sites.
        strain : ndarray, shape (3, 3)
            Symmetric.
        virial : bool
            Whether that derivative is wanted.

        Returns
        -------
        tuple of float, ndarray of shape (n_atoms, 3), and ndarray of shape (3, 3) or None
            eV, eV/Å, eV; see `StrainedKernel`.
        """
        torus, components = self._torus, strain_components(strain)
        drift = displacements.reshape(self._n_sites, -1, 3).sum(axis=1)
        energy, slopes = 0.0, np.zeros(6)
        forces = np.zeros((len(displacements), 3))
        gradient = np.zeros((self._n_sites, 3))
        for multiset, kernel, at_rest in self._terms:
            of_term = float((at_rest * drift).sum())
            weight = _weight(multiset, components)
            if kernel is not None:
                value, found = kernel.energy_forces(displacements)
                of_term += value
                forces += weight * found
            gradient += weight * at_rest
            energy += weight * of_term
            for k in set(multiset):
                slopes[k] += _weight(_without(multiset, k), components) * of_term
        forces -= np.repeat(gradient, torus.n_cells, axis=0)
        rest, rest_slope = torus.rest_energy.energy_gradient(strain)
        energy += torus.n_cells * float(rest[0])
        local = torus.strained_local(strain)
        if local is not None:
            value, found = self._local.at(local).energy_forces(displacements)
            energy += value
            forces += found
        if torus.harmonic is not None:
            value, found = torus.harmonic.energy_forces(displacements, strain)
            energy += value
            forces += found
        if not virial:
            return energy, forces, None
        tensor = torus.n_cells * rest_slope[..., 0]
        for (a, b), value in zip(VOIGT, slopes.tolist(), strict=True):
            tensor[a, b] += value
            if a != b:
                tensor[b, a] += value
        if torus.harmonic is not None:
            tensor += torus.harmonic.virial(displacements, strain)
        if local is not None:
            tensor += self._local.at(local).virial(displacements)
            tensor -= strained_virial(torus.local_virial_at_rest, strain)
        return energy, forces, np.asarray(tensor)

    @cached_property
    def _local(self) -> LocalKernel:
        terms = self._torus.local
        assert terms is not None  # noqa: S101 (asked only where there is one)
        return LocalKernel(terms)

    @cached_property
    def _terms(self) -> list[_Term]:
        torus, tables = self._torus, self._torus.tables
        units, found = unit_strains(), []
        known: dict[Multiset, list[NDArray[np.float64]]] = {}
        known[()] = [np.asarray(each) for each in torus.coefficients]
        for degree in range(max(1, tables.max_order)):
            for multiset in combinations_with_replacement(range(6), degree):
                if multiset:
                    above, unit = known[multiset[:-1]], units[multiset[-1]]
                    known[multiset] = [
                        tables.remove(order, unit, above[order - 1]) for order in range(2, len(above) + 1)
                    ]
                first, *others = known[multiset]
                kernel = None
                if any(each.any() for each in others):
                    kernel = torus.kernel([np.zeros_like(first), *others], highest=1 + len(others))
                gradient = first.reshape(-1, 3)
                if kernel is not None or gradient.any():
                    found.append(_Term(multiset, kernel, gradient))
        return found


def _without(multiset: Multiset, component: int) -> Multiset:
    place = multiset.index(component)
    return (*multiset[:place], *multiset[place + 1 :])


def _weight(multiset: Multiset, components: NDArray[np.float64]) -> float:
    """Product of components over the factorials of their powers; multisets are short."""
    weight, power = 1.0, 1
    for place, k in enumerate(multiset):
        power = power + 1 if place and multiset[place - 1] == k else 1
        weight *= components[k] / power
    return float(weight)
