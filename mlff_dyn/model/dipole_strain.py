"""Dipoles of a strained crystal, to third order in displacements and strain.

Born charges and the dielectric tensor stay what they are (their Cartesian components are clamped) while the
reference lattice, and with it the reciprocal vectors, is deformed: K -> (1 + e)^-1 K, V -> det(1 + e) V. With
M_cd(K) = 4π k_e e² / V K_c K_d exp(-K eps K / (4 (2π Lambda)²)) / (K eps K), the sum over waves changes by

    N_cd = dM_cd / de = -(e K) . grad M_cd - tr(e) M_cd.

What short-range force constants of order 3 tell of the strain they tell in full, for all pairs within their
reach: there the dipoles do not change. All pairs beyond it are point dipoles, whose interaction

    Phi_(i a)(j b) = -k_e e² / sqrt(det eps) Z_i^T [grad grad 1 / d] Z_j,    d² = R eps^-1 R

moves with the sites. So a real-space sum over pairs joins the one over waves: erfc(2π Lambda d) / d beyond
the reach and -erf(2π Lambda d) / d within it. The result does not depend on Lambda. Without order 3 force
constants do not depend on the strain, those of the dipoles neither.

The coupling of sites and strain is C = sum_j Phi_ij R_j, its derivative C' = sum_j Phi'_ij R_j. The energy of
the crystal at rest follows from the brackets -1/2 sum_ij Phi_ij R R and their derivatives, see
`mlff_dyn.kernels.strain.energy`; all without macroscopic field, which is K = 0.
"""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gamma, gammainc, gammaincc

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels.harmonic import HarmonicTorus, opposite_pairs
from mlff_dyn.kernels.strain.energy import StrainEnergy
from mlff_dyn.kernels.strain.harmonic import StrainableHarmonic
from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains
from mlff_dyn.model.long_range import (
    reciprocal_vectors,
    self_term,
    shared_among_pairs,
    slopes_of_shares,
    torus_of_spectrum,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.long_range import LongRange

_LARGEST_ARGUMENT = 6.0
"""Of erfc, beyond which nothing is left."""
_TOLERANCE_ANGSTROM = 1e-3
_CHUNK_NUMBERS = 300_000


class StrainedDipoles:
    """Dipoles of a crystal under strain.

    Parameters
    ----------
    long_range : LongRange
    crystal : Crystal
    pair_reach : float or None
        Largest distance of a pair in the force constants of order 3, Å; None without order 3.
    """

    def __init__(self, long_range: LongRange, crystal: Crystal, pair_reach: float | None) -> None:
        check_shape("charges", long_range.charges, (crystal.n_sites, 3, 3))
        self.long_range = long_range
        self.crystal = crystal
        self.pair_reach = pair_reach
        inverse = np.linalg.inv(crystal.lattice)
        self._vectors = reciprocal_vectors(inverse.T, long_range.reach)
        self._others = self._vectors[np.abs(self._vectors).any(axis=1)]
        self._waves = self._others @ inverse.T
        self._phases = np.exp(2j * np.pi * self._waves @ crystal.positions.T)

    def on(self, torus: Torus) -> StrainableHarmonic:
        """Return the interaction on a supercell of the crystal."""
        slopes: tuple[HarmonicTorus, ...] = ()
        if self.pair_reach is not None:
            waves = opposite_pairs(torus.grid)[:, 0]
            halves = self._slopes(torus.wavevectors[waves])
            slopes = tuple(torus_of_spectrum(torus, halves.pop(0)) for _ in VOIGT)
        return StrainableHarmonic(
            self.long_range.on(torus), slopes, self.coupling, self.coupling_slopes, self.rest_energy
        )

    def slopes(self, wavevectors: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Derivatives of Phi(q), see `LongRange.spectrum`, with respect to the strain.

        Parameters
        ----------
        wavevectors : ndarray, shape (n_q, 3)
            In the reciprocal basis, without 2π.

        Returns
        -------
        ndarray, shape (6, n_q, 3 * n_sites, 3 * n_sites)
            Strains xx, yy, zz, yz, xz, xy; eV/Å².
        """
        return np.array(self._slopes(wavevectors))

    def _slopes(self, wavevectors: NDArray[np.float64]) -> list[NDArray[np.complex128]]:
        """One array for each strain, to be used up one after the other."""
        folded = wavevectors - np.rint(wavevectors)
        n = 3 * self.crystal.n_sites
        result = [np.empty((len(folded), n, n), np.complex128) for _ in VOIGT]
        n_chunks = 1 + len(folded) * len(self._vectors) * n // _CHUNK_NUMBERS
        for rows in np.array_split(np.arange(len(folded)), n_chunks):
            for of_strain, part in zip(result, self._sums(folded[rows]), strict=True):
                of_strain[rows] = part
        for k, (symmetric, antisymmetric) in enumerate(self._self_slopes):
            if antisymmetric.any():
                result[k] += shared_among_pairs(antisymmetric, self.crystal, folded, self._vectors)
            for site, block in enumerate(symmetric):
                place = slice(3 * site, 3 * site + 3)
                result[k][:, place, place] -= block
        return result

    @cached_property
    def coupling(self) -> NDArray[np.float64]:
        """C, see `StrainableHarmonic`."""
        antisymmetric = self_term(self.long_range.spectrum_without_self(self.crystal))[1]
        return self._couple(self._derivatives[1], antisymmetric, None)

    @cached_property
    def coupling_slopes(self) -> NDArray[np.float64]:
        """C', see `StrainableHarmonic`."""
        n_sites = self.crystal.n_sites
        if self.pair_reach is None:
            return np.zeros((6, 6, n_sites, 3))
        parts = [
            self._couple(changed[1], antisymmetric, blocks)
            for changed, (_, antisymmetric), blocks in zip(
                self._changes, self._self_slopes, self._pair_slopes, strict=True
            )
        ]
        found = np.array(parts)
        return np.asarray(0.5 * (found + found.swapaxes(0, 1)))

    @cached_property
    def rest_energy(self) -> StrainEnergy:
        """W, see `StrainableHarmonic`."""
        brackets = self._bracket(self._derivatives[2])
        if self.pair_reach is None:
            return StrainEnergy((((),),), (brackets[None, ..., None],), ((0, 1),), 1)
        slopes = []
        arms = self._pairs[1]
        for (a, b), changed, blocks in zip(VOIGT, self._changes, self._pair_slopes, strict=True):
            bracket = self._bracket(changed[2]) - 0.5 * np.einsum("pab,pg,pd->abgd", blocks, arms, arms)
            slopes.append(bracket * (1.0 if a == b else 2.0))
        multisets = (((),), tuple((k,) for k in range(6)))
        moments = (brackets[None, ..., None], np.array(slopes)[..., None])
        return StrainEnergy(multisets, moments, ((0, 1), (0, 1)), 1)

    @cached_property
    def _derivatives(self) -> list[NDArray[np.float64]]:
        """Derivatives of M with respect to K, from none to three."""
        return self._wave_tensors(self._waves, 3)

    @cached_property
    def _changes(self) -> list[list[NDArray[np.float64]]]:
        """N of each unit strain, and its first and second derivatives."""
        return [_changed(self._waves, self._derivatives, unit) for unit in unit_strains()]

    def _wave_tensors(self, waves: NDArray[np.float64], n_most: int) -> list[NDArray[np.float64]]:
        radial = self._radial(waves, n_most)
        return _times_square(waves, _of_square(waves, self.long_range.dielectric, radial))

    def _radial(self, waves: NDArray[np.float64], n_most: int) -> list[NDArray[np.float64]]:
        """Factor of K_c K_d in M as a function of K eps K, and its derivatives; zero at K = 0."""
        screened = ((waves @ self.long_range.dielectric) * waves).sum(axis=-1)
        is_finite = screened > 1e-18
        screened = np.where(is_finite, screened, 1.0)
        strength = 4.0 * np.pi * self.long_range.coulomb / abs(float(np.linalg.det(self.crystal.lattice)))
        argument = screened / (4.0 * self.long_range.damping**2)
        decay, power, total, found = np.exp(-argument), np.ones_like(argument), np.zeros_like(argument), []
        for n in range(n_most + 1):
            total = total + power / gamma(n + 1)
            found.append(
                strength * is_finite * (-1) ** n * gamma(n + 1) * decay * total / screened ** (n + 1)
            )
            power = power * argument
        return found

    def _sums(self, wavevectors: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Derivatives of the sums over waves and pairs, without self term; (6, n_q, 3 n_sites, 3 n_sites)."""
        inverse, positions = np.linalg.inv(self.crystal.lattice), self.crystal.positions
        charges = self.long_range.charges
        n_q, n_sites = len(wavevectors), self.crystal.n_sites
        waves = (wavevectors[:, None] + self._vectors) @ inverse.T
        value, slope = self._radial(waves, 1)
        dipoles = charges.transpose(1, 0, 2).reshape(3, -1)
        phases = np.repeat(np.exp(2j * np.pi * waves @ positions.T), 3, axis=-1)
        amplitudes = (waves @ dipoles) * phases
        result = np.empty((6, n_q, 3 * n_sites, 3 * n_sites), np.complex128)
        for k, unit in enumerate(unit_strains()):
            moved = waves @ unit
            stretched = 2.0 * ((waves @ self.long_range.dielectric) * moved).sum(axis=-1)
            changes = (moved @ dipoles) * phases
            weight = float(np.trace(unit)) * value + slope * stretched
            half = changes * value[..., None] + 0.5 * amplitudes * weight[..., None]
            product = half.swapaxes(1, 2) @ amplitudes.conj()
            result[k] = -(product + product.conj().swapaxes(1, 2))
        return result + self._pair_sums(wavevectors)

    def _pair_sums(self, wavevectors: NDArray[np.float64]) -> NDArray[np.complex128]:
        n_q, n_sites = len(wavevectors), self.crystal.n_sites
        (first, second, offsets), _ = self._pairs
        phases = np.exp(2j * np.pi * wavevectors @ offsets.T)
        found = np.zeros((n_sites * n_sites, 6, 3, 3, n_q), np.complex128)
        for place in np.unique(first * n_sites + second):
            own = first * n_sites + second == place
            found[place] = np.tensordot(self._pair_slopes[:, own], phases[:, own], axes=([1], [1]))
        by_site = found.reshape(n_sites, n_sites, 6, 3, 3, n_q).transpose(2, 5, 0, 3, 1, 4)
        return np.asarray(by_site.reshape(6, n_q, 3 * n_sites, 3 * n_sites))

    @cached_property
    def _self_slopes(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return [self_term(at_rest.real) for at_rest in self._sums(np.zeros((1, 3)))[:, 0]]

    @cached_property
    def _pairs(
        self,
    ) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]:
        """First site, second site, offset of its cell, and the arm from one to the other, Å."""
        stiffest = float(np.linalg.eigvalsh(self.long_range.dielectric)[-1])
        reach = _LARGEST_ARGUMENT * np.sqrt(stiffest) / (2.0 * np.pi * self.long_range.damping)
        reach = max(reach, (self.pair_reach or 0.0) + _TOLERANCE_ANGSTROM)
        positions, lattice = self.crystal.positions, self.crystal.lattice
        spread = float(np.linalg.norm(positions[:, None] - positions, axis=-1).max())
        offsets = reciprocal_vectors(lattice, reach + spread)
        arms = (positions[None, :, None] + offsets @ lattice) - positions[:, None, None]
        lengths = np.linalg.norm(arms, axis=-1)
        first, second, cells = np.nonzero((lengths > _TOLERANCE_ANGSTROM) & (lengths < reach))
        return (first, second, offsets[cells]), arms[first, second, cells]

    @cached_property
    def _pair_slopes(self) -> NDArray[np.float64]:
        """Derivatives of the force constants of pairs, shape (6, n_pairs, 3, 3), eV/Å²."""
        (first, second, _), arms = self._pairs
        long_range = self.long_range
        metric = np.asarray(np.linalg.inv(long_range.dielectric), np.float64)
        square, rate = ((arms @ metric) * arms).sum(axis=1), 2.0 * np.pi * long_range.damping
        is_beyond = np.linalg.norm(arms, axis=1) > (self.pair_reach or 0.0) + _TOLERANCE_ANGSTROM
        radial = []
        for n in range(4):
            bare = (-1) ** n * gamma(n + 0.5) / np.sqrt(np.pi) * square ** -(n + 0.5)
            remains = np.where(is_beyond, gammaincc(n + 0.5, rate**2 * square), 0.0)
            taken = np.where(is_beyond, 0.0, gammainc(n + 0.5, rate**2 * square))
            radial.append(np.asarray(bare * (remains - taken), np.float64))
        strength = long_range.coulomb / float(np.sqrt(np.linalg.det(long_range.dielectric)))
        third = -strength * _of_square(arms, metric, radial)[3]
        moved = np.einsum("kxy,py->kpx", unit_strains(), arms)
        changed = np.einsum("pcdx,kpx->kpcd", third, moved)
        charges = long_range.charges
        return np.asarray(np.einsum("pca,kpcd,pdb->kpab", charges[first], changed, charges[second]))

    def _couple(
        self,
        slopes: NDArray[np.float64],
        antisymmetric: NDArray[np.float64],
        blocks: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Sum over partners of force constants times arm, symmetric in the strain; (6, n_sites, 3)."""
        charges = self.long_range.charges
        total = np.einsum("gt,tdb->gdb", self._phases.conj(), charges)
        own = np.einsum("gcdx,gdb->gcbx", slopes, total)
        sums = np.einsum("gs,sca,gcbx->sabx", self._phases, charges, own, optimize=True)
        if antisymmetric.any():
            sums += slopes_of_shares(antisymmetric, self.crystal, self._others)
        coupling = sums.imag / (2.0 * np.pi)
        if blocks is not None:
            (first, _, _), arms = self._pairs
            np.add.at(coupling, first, blocks[..., None] * arms[:, None, None])
        coupling -= coupling.mean(axis=0)
        first_axes, second_axes = np.array(VOIGT).T
        symmetric = 0.5 * (coupling[:, :, first_axes, second_axes] + coupling[:, :, second_axes, first_axes])
        return np.asarray(symmetric.transpose(2, 0, 1))

    def _bracket(self, curvatures: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.einsum("gs,sca->gca", self._phases, self.long_range.charges)
        found = np.einsum("gca,gcdxy,gdb->abxy", total, curvatures, total.conj(), optimize=True)
        return np.asarray(found.real / (8.0 * np.pi**2))


def _of_square(
    vectors: NDArray[np.float64], metric: NDArray[np.float64], radial: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Derivatives with respect to v of f(v . metric v), from those of f: shapes (n, 3, ..., 3)."""
    half = 2.0 * vectors @ metric
    found = [radial[0]]
    if len(radial) > 1:
        found.append(radial[1][:, None] * half)
    if len(radial) > 2:
        squares = half[:, :, None] * half[:, None]
        found.append(radial[2][:, None, None] * squares + 2.0 * radial[1][:, None, None] * metric)
        crossed = 2.0 * radial[2][:, None, None, None] * half[:, :, None, None] * metric
        crossed = crossed + crossed.transpose(0, 2, 1, 3) + crossed.transpose(0, 3, 2, 1)
        if len(radial) > 3:
            found.append(np.einsum("n,na,nbc->nabc", radial[3], half, squares) + crossed)
    return found


def _times_square(
    vectors: NDArray[np.float64], factors: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Derivatives of v_c v_d f(v) from those of f, by the product rule: shapes (n, 3, 3, 3, ..., 3)."""
    unit, found = np.eye(3), []
    for n in range(len(factors)):
        axes = "xyz"[:n]
        total = np.zeros((len(vectors), 3, 3, *(3,) * n))
        for i, j in product((None, *range(n)), repeat=2):
            if i == j and i is not None:
                continue
            rest = "".join(axis for place, axis in enumerate(axes) if place not in {i, j})
            first, second = (
                (f"n{name}", vectors) if place is None else (f"{name}{axes[place]}", unit)
                for name, place in (("c", i), ("d", j))
            )
            total += np.einsum(
                f"n{rest},{first[0]},{second[0]}->ncd{axes}", factors[len(rest)], first[1], second[1]
            )
        found.append(total)
    return found


def _changed(
    waves: NDArray[np.float64], tensors: list[NDArray[np.float64]], unit: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """N, and its derivatives with respect to K up to one less than those of M that are given."""
    moved, trace = waves @ unit, float(np.trace(unit))
    found = [-np.einsum("...cdx,...x->...cd", tensors[1], moved) - trace * tensors[0]]
    if len(tensors) > 3:
        first = -np.einsum("gcdyx,gy->gcdx", tensors[2], moved) - tensors[1] @ unit
        turned = tensors[2] @ unit
        second = -np.einsum("gcdyxz,gy->gcdxz", tensors[3], moved) - turned - turned.swapaxes(-1, -2)
        found += [first - trace * tensors[1], second - trace * tensors[2]]
    return found
