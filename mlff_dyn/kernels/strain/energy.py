"""Energy of a homogeneously strained crystal whose atoms sit on the strained sites.

Force constants tell the energy of a deformation only where it varies from place to place: the energy density
may have any part whose integral over a periodic deformation vanishes (a null Lagrangian). What they tell of a
crystal with the deformation gradient F = 1 + t e are the brackets

    K_(ab,gd) = -1/2 sum_(i in cell, j) Phi_ij^(ab) R_g R_d,    R = R_j - R_i,

half the sum of the derivatives A_(ag,bd) and A_(ad,bg) of the energy W of a cell with respect to two
displacement gradients; Phi is that of the strained crystal. The rest follows from the fact that rotations
cost no energy. With the second Piola-Kirchhoff stress S (times the volume of the cell at rest) and its moduli
C,

    A_(ag,bd) = F_am F_bn C_(mg,nd) + delta_ab S_gd

    C_(mg,nd) = M_(mn,gd) + M_(ng,md) - M_(nd,mg),    M_(mn,gd) = F^-1_ma F^-1_nb (K_(ab,gd) - delta_ab S_gd)

    dS/dt = C : (F e),    d^2 W/dt^2 = e_ag e_bd A_(ag,bd),    W = 0, dW/dt = S_ag e_ag at t = 0,

which is solved as a power series in t, up to the order of the expansion. At order 2 it is Born's formula for
elastic constants. W is linear in the parameters. For parameters that do not obey the rotational sum rules the
series is the definition of W. The energy is measured from that of the crystal at rest. No force tells the
stress at rest, S at t = 0; it is zero unless it is given.

References
----------
Born and Huang, Dynamical Theory of Crystal Lattices (1954), sections 27 and 28; Wallace, Thermodynamics of
Crystals (1972), sections 7 and 11, for a crystal under initial stress.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    from mlff_dyn.kernels.strain.polynomial import StrainTables

_COMPLEX_STEP = 1e-30

Multiset = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class StrainEnergy:
    """Brackets as polynomials of the strain, from which energies and stresses follow.

    Attributes
    ----------
    multisets : tuple of tuple
        For each degree 0, 1, ...: the products of strain components, as ascending places in `VOIGT`.
    moments : tuple of ndarray, shapes (n_multisets, 3, 3, 3, 3, n_own)
        Their factors in K, eV, for the parameters that contribute to this degree.
    columns : tuple of (int, int)
        The first of these parameters and the one after the last.
    n_columns : int
        All parameters, or 1 if these are given.
    stress_at_rest : ndarray, shape (3, 3), or None
        Of given parameters: stress times volume of the cell at rest, eV.
    """

    multisets: tuple[tuple[Multiset, ...], ...]
    moments: tuple[NDArray[np.float64], ...]
    columns: tuple[tuple[int, int], ...]
    n_columns: int
    stress_at_rest: NDArray[np.float64] | None = None

    def with_parameters(
        self, parameters: NDArray[np.float64], stress_at_rest: NDArray[np.float64] | None = None
    ) -> StrainEnergy:
        """Contract the columns with parameters, shape (n_columns,)."""
        contracted = tuple(
            (moments @ parameters[first:last])[..., None]
            for moments, (first, last) in zip(self.moments, self.columns, strict=True)
        )
        return StrainEnergy(self.multisets, contracted, ((0, 1),) * len(contracted), 1, stress_at_rest)

    def energy(self, strain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy W of a primitive cell.

        Parameters
        ----------
        strain : ndarray, shape (3, 3)
            Symmetric.

        Returns
        -------
        ndarray, shape (n_columns,), eV
        """
        return np.asarray(self._series(strain), np.float64)

    def gradient(self, strain: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of W: dW = sum_ab gradient_ab dstrain_ab, by complex steps, which lose no digits.

        Parameters
        ----------
        strain : ndarray, shape (3, 3)

        Returns
        -------
        ndarray, shape (3, 3, n_columns), eV
        """
        found = np.zeros((3, 3, self.n_columns))
        if not strain.any():
            return found if self.stress_at_rest is None else found + self.stress_at_rest[..., None]
        return self.energy_gradient(strain)[1]

    def energy_gradient(self, strain: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energy and gradient together."""
        moved = self._series(strain + 1j * _COMPLEX_STEP * unit_strains())
        found = np.empty((3, 3, self.n_columns))
        for (a, b), each in zip(VOIGT, moved, strict=True):
            found[a, b] = found[b, a] = each.imag / _COMPLEX_STEP
        return moved[0].real, found

    def _series(self, strain: NDArray[Any]) -> NDArray[Any]:
        components = [strain[..., a, b] for a, b in VOIGT]
        several = strain.shape[:-2]
        brackets = []
        for multisets, moments in zip(self.multisets, self.moments, strict=True):
            weights = [_weight(multiset, components) for multiset in multisets]
            given = np.array([np.broadcast_to(each, several) for each in weights], strain.dtype)
            brackets.append(np.tensordot(np.moveaxis(given, 0, -1), moments, axes=1))
        energy: NDArray[Any] = np.zeros((*several, self.n_columns), strain.dtype)
        for first, last in set(self.columns):
            zero = np.zeros((*several, 3, 3, 3, 3, last - first), strain.dtype)
            alone = [
                each if own == (first, last) else zero
                for each, own in zip(brackets, self.columns, strict=True)
            ]
            energy[..., first:last] += _integrate(alone, strain, self.stress_at_rest)
        return energy


def build_strain_energy(tables: StrainTables) -> StrainEnergy:
    """Brackets of every parameter.

    Parameters
    ----------
    tables : StrainTables

    Returns
    -------
    StrainEnergy
        With a column for each parameter of `tables.polynomial`.
    """
    n_degrees = max(1, tables.max_order - 1)
    multisets = tuple(tuple(combinations_with_replacement(range(6), degree)) for degree in range(n_degrees))
    units = [unit * (1.0 if a == b else 2.0) for unit, (a, b) in zip(unit_strains(), VOIGT, strict=True)]
    functionals: dict[Multiset, NDArray[np.float64]] = {(): _brackets(tables)}
    moments, columns = [], []
    for degree, every in enumerate(multisets):
        if degree:
            operators = [tables.removal_matrix(degree + 2, unit).T.tocsr() for unit in units]
            functionals = {m: _product(operators[m[-1]], functionals[m[:-1]]) for m in every}
        matrix, first = tables.parameter_matrix(degree + 2)
        transposed = matrix.T.tocsr()
        n_own = transposed.shape[0]
        found = [_product(transposed, functionals[m]).T.reshape(3, 3, 3, 3, n_own) for m in every]
        moments.append(np.array(found))
        columns.append((first, first + n_own))
    return StrainEnergy(multisets, tuple(moments), tuple(columns), tables.polynomial.n_parameters)


def _product(matrix: sparse.csr_matrix, columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(matrix.dot(columns))


def _weight(multiset: Multiset, components: list[Any]) -> Any:  # noqa: ANN401
    """Product of strain components over the factorials of their powers."""
    weight: Any = 1.0
    for k in set(multiset):
        power = multiset.count(k)
        weight *= components[k] ** power / factorial(power)
    return weight


def _brackets(tables: StrainTables) -> NDArray[np.float64]:
    """K per coefficient of order 2, shape (n_monomials, 81)."""
    if tables.max_order < 2:
        return np.zeros((0, 81))
    slots, axes = np.divmod(tables.strained.orders[1].monomials, 3)
    arms = tables.positions[slots[:, 1]] - tables.positions[slots[:, 0]]
    brackets = np.zeros((len(arms), 3, 3, 3, 3))
    products = -0.5 * arms[:, :, None] * arms[:, None, :]
    every = np.arange(len(arms))
    np.add.at(brackets, (every, axes[:, 0], axes[:, 1]), products)
    np.add.at(brackets, (every, axes[:, 1], axes[:, 0]), products)
    return brackets.reshape(-1, 81)


def _integrate(
    brackets: list[NDArray[Any]], strain: NDArray[Any], stress_at_rest: NDArray[np.float64] | None
) -> NDArray[Any]:
    """W at t = 1 from the brackets of each power of t, shape (3, 3, 3, 3, n_columns)."""
    n = len(brackets)
    inverse = [np.linalg.matrix_power(-strain, power) for power in range(n)]
    traces = [np.trace(each @ strain, axis1=-2, axis2=-1) for each in inverse]
    square = strain @ strain
    stress = [np.zeros((*strain.shape, brackets[0].shape[-1]), brackets[0].dtype)]
    if stress_at_rest is not None:
        stress[0] += stress_at_rest[..., None]
    energy: NDArray[Any] = np.einsum("...gdp,...gd->...p", stress[0], strain)
    loaded = [np.einsum("...abgdp,...bd->...agp", each, strain) for each in brackets]
    crossed = []
    for power in range(n):
        crossed.append(
            sum(
                np.einsum("...ab,...abgdp->...gdp", inverse[q] @ strain, brackets[power - q])
                for q in range(power + 1)
            )
        )
        slope = -crossed[power]
        for q in range(power + 1):
            trace = traces[q][..., None]
            rest = loaded[power - q] - np.einsum("...ab,...bgp->...agp", strain, stress[power - q])
            half = np.einsum("...ma,...agp->...mgp", inverse[q], rest)
            slope = (
                slope + half + half.swapaxes(-3, -2) + traces[q][..., None, None, None] * stress[power - q]
            )
        work = 2.0 * np.einsum("...agp,...ag->...p", loaded[power], strain)
        work = work - np.einsum("...gdp,...gd->...p", crossed[power], strain)
        work = work - np.einsum("...gdp,...gd->...p", stress[power], square)
        if power:
            work = work - np.einsum("...gdp,...gd->...p", crossed[power - 1], square)
        for q in range(power + 1):
            trace = traces[q][..., None]
            work = work + trace * np.einsum("...gdp,...gd->...p", stress[power - q], strain)
            if q < power:
                work = work + trace * np.einsum("...gdp,...gd->...p", stress[power - 1 - q], square)
        energy = energy + work / ((power + 1) * (power + 2))
        stress.append(slope / (power + 1))
    return energy
