"""Dipole-dipole interaction of displaced atoms: force constants on any supercell from Born charges.

With K the reciprocal vectors (2π included) of the supercell of volume V, K = 0 left out, k_e e² = 14.4 eV Å,

    Phi_(i a)(j b) = (4π k_e e² / V) sum_K (K Z_i)_a (K Z_j)_b exp(-K eps K / (4 (2π Lambda)²)) / (K eps K)
                     exp(i K (R_i - R_j)) - (self term)

The damping keeps the part that is smooth in space; what is left of the interaction decays within a few Å and
belongs to the short-range force constants. The self term is what makes a rigid shift cost nothing. On sites
of low symmetry it has an antisymmetric part, which is no second derivative of an energy; that part is put on
the pairs of sites around, by a wide Gaussian.

==============  ==============================  =========================================================
code            equation                        meaning
==============  ==============================  =========================================================
charges         Z                               dipole (first index) per displacement (second index), e
dielectric      eps                             high-frequency dielectric tensor
damping         Lambda                          1/Å, as phonopy counts it (without 2π)
==============  ==============================  =========================================================

References
----------
Gonze and Lee, Phys. Rev. B 55, 10355 (1997), section IV. phonopy keeps the same part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError, check_shape
from mlff_dyn.kernels.harmonic import HarmonicTorus, opposite_pairs, row_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus

_LARGEST_EXPONENT = 40.0
_WIDE_EXPONENT = 4.5
_CHUNK_NUMBERS = 4_000_000


@dataclass(frozen=True, eq=False)
class LongRange:
    """Dipoles of a crystal.

    Attributes
    ----------
    charges : ndarray, shape (n_sites, 3, 3)
        Born effective charges, e; dipole along the first axis per displacement along the second. Their sum
        vanishes.
    dielectric : ndarray, shape (3, 3)
        High-frequency dielectric tensor.
    damping : float                              1/Å, see above
    coulomb : float                              k_e e², eV Å

    Raises
    ------
    DataError
        If a shape, the sum of the charges or the sign of the dielectric tensor is wrong.
    """

    charges: NDArray[np.float64]
    dielectric: NDArray[np.float64]
    damping: float
    coulomb: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_shape("charges", self.charges, (None, 3, 3))
        check_shape("dielectric", self.dielectric, (3, 3))
        if not (np.isfinite(self.charges).all() and np.isfinite(self.dielectric).all()):
            raise DataError(
                "a Born charge or a component of the dielectric tensor is not a finite number",
                fix="give finite numbers",
            )
        if np.abs(self.charges.sum(axis=0)).max() > 1e-8 * max(1.0, float(np.abs(self.charges).max())):
            raise DataError(
                "the Born charges do not add up to zero", fix="subtract their mean from each charge"
            )
        asymmetry = np.abs(self.dielectric - self.dielectric.T).max()
        if asymmetry > 1e-8 or np.linalg.eigvalsh(self.dielectric)[0] <= 0.0:
            raise DataError(
                "the dielectric tensor is not symmetric and positive",
                fix="give the electronic dielectric tensor, which is 1 or more in every direction",
            )
        if not (0.0 < self.damping < np.inf and 0.0 < self.coulomb < np.inf):
            raise DataError("damping and Coulomb constant are not positive", fix="give numbers above zero")

    def on(self, torus: Torus) -> HarmonicTorus:
        """Force constants on a supercell.

        Parameters
        ----------
        torus : Torus
            Of the crystal whose sites the charges belong to.

        Raises
        ------
        DataError
            If the number of sites is another one.
        """
        check_shape("charges", self.charges, (torus.crystal.n_sites, 3, 3))
        waves = opposite_pairs(torus.grid)[:, 0]
        return torus_of_spectrum(torus, self.spectrum(torus.crystal, torus.wavevectors[waves]))

    def spectrum(self, crystal: Crystal, wavevectors: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Phi(q) = sum over cells of the force constants times exp(2πi q.n), n the offset of the cell.

        Parameters
        ----------
        crystal : Crystal
        wavevectors : ndarray, shape (n_q, 3)
            In the reciprocal basis, without 2π. At integers K = 0 is left out.

        Returns
        -------
        ndarray, shape (n_q, 3 * n_sites, 3 * n_sites)
            eV/Å², Hermitian.
        """
        reciprocal = np.linalg.inv(crystal.lattice).T
        folded = wavevectors - np.rint(wavevectors)
        vectors = reciprocal_vectors(reciprocal, self.reach)
        n = 3 * crystal.n_sites
        result = np.empty((len(folded), n, n), np.complex128)
        symmetric, antisymmetric = self_term(self.spectrum_without_self(crystal))
        n_chunks = 1 + len(folded) * len(vectors) * n // _CHUNK_NUMBERS
        for rows in np.array_split(np.arange(len(folded)), n_chunks):
            result[rows] = self._sum_waves(crystal, folded[rows], vectors)
            if antisymmetric.any():
                result[rows] += shared_among_pairs(antisymmetric, crystal, folded[rows], vectors)
        for site, block in enumerate(symmetric):
            place = slice(3 * site, 3 * site + 3)
            result[:, place, place] -= block
        return result

    def spectrum_without_self(self, crystal: Crystal) -> NDArray[np.float64]:
        """Sum over waves at q = 0 without self term, shape (3 * n_sites, 3 * n_sites), eV/Å²."""
        vectors = reciprocal_vectors(np.linalg.inv(crystal.lattice).T, self.reach)
        return np.asarray(self._sum_waves(crystal, np.zeros((1, 3)), vectors)[0].real)

    @property
    def reach(self) -> float:
        """Length of K, without 2π, beyond which nothing is left, 1/Å."""
        softest = float(np.linalg.eigvalsh(self.dielectric)[0])
        return 2.0 * self.damping * float(np.sqrt(_LARGEST_EXPONENT / softest))

    def _sum_waves(
        self, crystal: Crystal, wavevectors: NDArray[np.float64], vectors: NDArray[np.int64]
    ) -> NDArray[np.complex128]:
        """Sum over reciprocal vectors at each wave vector, shape (n_q, 3 * n_sites, 3 * n_sites)."""
        inverse, charges = np.linalg.inv(crystal.lattice), self.charges.transpose(1, 0, 2).reshape(3, -1)
        own, others = wavevectors @ inverse.T, vectors @ inverse.T
        waves = own[:, None] + others
        screened = ((waves @ self.dielectric) * waves).sum(axis=-1)
        is_finite = screened > 1e-18
        weights = np.exp(-screened / (4.0 * self.damping**2)) * is_finite / np.where(is_finite, screened, 1.0)
        weights *= 4.0 * np.pi * self.coulomb / abs(float(np.linalg.det(crystal.lattice)))
        phases, turned = (
            np.repeat(np.exp(2j * np.pi * each @ crystal.positions.T), 3, axis=1) for each in (others, own)
        )
        amplitudes = ((own @ charges)[:, None] + others @ charges) * phases
        sums = (amplitudes * weights[..., None]).swapaxes(1, 2) @ amplitudes.conj()
        return np.asarray(sums * turned[:, :, None] * turned.conj()[:, None])


def torus_of_spectrum(torus: Torus, half: NDArray[np.complex128]) -> HarmonicTorus:
    """Force constants on a supercell from Phi(q) at the first wave vector of each of its opposite pairs."""
    waves, opposite = opposite_pairs(torus.grid).T
    blocks = np.empty((*half.shape[1:], torus.n_cells))
    for rows in row_slices(*blocks.shape):
        spectrum = np.empty((torus.n_cells, *half[0, rows].shape), np.complex128)
        spectrum[opposite] = half[:, rows].conj()
        spectrum[waves] = half[:, rows]
        on_grid = spectrum.transpose(1, 2, 0).reshape(*spectrum.shape[1:], *torus.grid)
        on_cells = np.fft.fftn(on_grid, axes=(-3, -2, -1)).real / torus.n_cells
        blocks[rows] = on_cells.reshape(blocks[rows].shape)
    return HarmonicTorus(torus.grid, blocks)


def self_term(at_rest: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Symmetric and antisymmetric part for each site, both of shape (n_sites, 3, 3).

    Parameters
    ----------
    at_rest : ndarray, shape (3 * n_sites, 3 * n_sites)
        Sum at q = 0 without self term.
    """
    n_sites = len(at_rest) // 3
    on_site = at_rest.reshape(n_sites, 3, n_sites, 3).sum(axis=2)
    antisymmetric = 0.5 * (on_site - on_site.swapaxes(1, 2))
    antisymmetric[np.abs(antisymmetric) < 1e-11 * np.abs(on_site).max()] = 0.0
    return on_site - antisymmetric, antisymmetric - antisymmetric.mean(axis=0)


def reciprocal_vectors(reciprocal: NDArray[np.float64], reach: float) -> NDArray[np.int64]:
    """Indices of the reciprocal vectors that come within reach of a wave vector of the cell around 0."""
    corner = 0.5 * float(np.abs(np.linalg.norm(reciprocal, axis=1)).sum())
    lengths = np.linalg.norm(np.linalg.inv(reciprocal), axis=0)
    counts = np.ceil((reach + corner) * lengths).astype(np.int64)
    indices = np.array(list(np.ndindex(*(2 * counts + 1))), np.int64) - counts
    return np.asarray(indices[np.linalg.norm(indices @ reciprocal, axis=1) < reach + corner])


def shared_among_pairs(
    antisymmetric: NDArray[np.float64],
    crystal: Crystal,
    wavevectors: NDArray[np.float64],
    vectors: NDArray[np.int64],
) -> NDArray[np.complex128]:
    """Interactions of pairs of sites that take up an antisymmetric self term, a block of zero sum per site.

    Pair (s, t) gets -(block_s - block_t) / n_sites, spread over its images by a Gaussian so wide that few
    reciprocal vectors matter.
    """
    n_sites = crystal.n_sites
    waves = (np.concatenate([wavevectors, np.zeros((1, 3))])[:, None] + vectors) @ np.linalg.inv(
        crystal.lattice
    ).T
    gaussians = np.exp(-_steepness(crystal, vectors) * (waves**2).sum(axis=-1))
    phases = np.exp(2j * np.pi * waves @ crystal.positions.T)
    shares = (phases * gaussians[..., None]).swapaxes(1, 2) @ phases.conj()
    shares = shares[:-1] / shares[-1]
    blocks = -(antisymmetric[:, None] - antisymmetric[None]) / n_sites
    spread = shares[:, :, None, :, None] * blocks.transpose(0, 2, 1, 3)
    return np.asarray(spread.reshape(len(wavevectors), 3 * n_sites, 3 * n_sites))


def slopes_of_shares(
    antisymmetric: NDArray[np.float64], crystal: Crystal, vectors: NDArray[np.int64]
) -> NDArray[np.complex128]:
    """Slope at q = 0 of what `shared_among_pairs` gives, summed over partners: (n_sites, 3, 3, 3)."""
    waves = np.concatenate([np.zeros((1, 3)), vectors @ np.linalg.inv(crystal.lattice).T])
    steepness = _steepness(crystal, vectors)
    gaussians = np.exp(-steepness * (waves**2).sum(axis=-1))
    phases = np.exp(2j * np.pi * waves @ crystal.positions.T)
    norms = np.einsum("g,gs,gt->st", gaussians, phases, phases.conj())
    slopes = np.einsum("gc,g,gs,gt->stc", -2.0 * steepness * waves, gaussians, phases, phases.conj())
    blocks = -(antisymmetric[:, None] - antisymmetric[None]) / crystal.n_sites
    return np.asarray(np.einsum("stab,stc->sabc", blocks, slopes / norms[..., None]))


def _steepness(crystal: Crystal, vectors: NDArray[np.int64]) -> float:
    """Of the Gaussian over wave vectors, Å²: small already at the shortest reciprocal vector."""
    squares = ((vectors @ np.linalg.inv(crystal.lattice).T) ** 2).sum(axis=1)
    return _WIDE_EXPONENT / float(squares[squares > 1e-12].min())
