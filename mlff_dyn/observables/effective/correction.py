"""What temperature adds to order 2, in a basis with the symmetry and the sum rules of the crystal.

    F(u) - F_2(u) = f - Phi' u        least squares over configurations

Only clusters of the anharmonic part couple pairs of atoms anew, so the basis reaches as far as they do; the
harmonic part, and with it dipoles, stays as it is. f is there where symmetry lets sites move.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import pinvh

from mlff_dyn.errors import BasisError
from mlff_dyn.kernels.harmonic import HarmonicTorus, second_order
from mlff_dyn.lattice.basis import FULL, build_basis
from mlff_dyn.lattice.rotations import ROTATIONAL_SUM_RULES
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.lattice.wigner_seitz import largest_safe_cutoff
from mlff_dyn.model.expansion import Expansion

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Correction:
    """Forces that are linear in displacements, on a supercell.

    Parameters
    ----------
    expansion : Expansion
        Of the force field.
    torus : Torus

    Raises
    ------
    BasisError
        If there are too many parameters.
    """

    def __init__(self, expansion: Expansion, torus: Torus) -> None:
        crystal = torus.crystal
        reach = max(anharmonic_reach(expansion), crystal.nearest_neighbor_distance)
        cutoff: float | str = FULL if reach > largest_safe_cutoff(torus) else reach + _MARGIN_ANGSTROM
        rules = () if all(crystal.periodic) else tuple(ROTATIONAL_SUM_RULES)
        self.torus = torus
        try:
            self.basis = build_basis(crystal, {2: cutoff}, torus, rotational_sum_rules=rules)
        except BasisError as error:
            raise BasisError(
                f"effective force constants on {torus.n_atoms} atoms: {error.message}",
                fix="choose another phonons.supercell",
            ) from None
        self._expansion = Expansion(self.basis)
        self._supercell = self._expansion.on(torus)
        self.is_linear = self.basis.parameter_orders == 2
        """Columns of force constants; the others are of forces on the sites."""

    @property
    def n_parameters(self) -> int:
        """Of force constants and of forces."""
        return self.basis.n_parameters

    def rows(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Forces per parameter at displacements (Å), shape (3 * n_atoms, n_parameters)."""
        return self._supercell.rows(displacements)[0]

    @cached_property
    def site_rows(self) -> NDArray[np.float64]:
        """Forces on the sites per parameter of them, shape (3 * n_sites, n_parameters of forces)."""
        one_cell = Torus(self.torus.crystal, np.eye(3, dtype=np.int64))
        rest = np.zeros((self.torus.crystal.n_sites, 3))
        if self.is_linear.all():
            return np.zeros((rest.size, 0))
        return self._expansion.on(one_cell).rows(rest)[0][:, ~self.is_linear]

    def harmonic(self, parameters: NDArray[np.float64]) -> HarmonicTorus:
        """Force constants of parameters, of which those of forces are left out."""
        lattice, torus = self._expansion.lattice, self.torus
        orbit_parameters = lattice.orbit_parameters(np.where(self.is_linear, parameters, 0.0))
        home = torus.slot_atoms(lattice.tables.slots).home
        return second_order(lattice.tables, orbit_parameters, home, torus.grid)


_MARGIN_ANGSTROM = 1.0e-4


def anharmonic_reach(expansion: Expansion) -> float:
    """Largest distance (Å) of two atoms that an anharmonic cluster couples; 0 without any."""
    polynomial, crystal = expansion.basis.polynomial, expansion.basis.crystal
    slots = polynomial.slots.astype(np.int64)
    places = crystal.positions[slots[:, 0]] + slots[:, 1:] @ crystal.lattice
    farthest = 0.0 if expansion.local is None else 2.0 * expansion.local.settings.cutoff_angstrom
    for terms in polynomial.orders:
        if terms.order > 2:
            clusters = np.unique(terms.monomials.astype(np.int64) // 3, axis=0)
            steps = places[clusters][:, :, None] - places[clusters][:, None]
            farthest = max(farthest, float(np.linalg.norm(steps, axis=-1).max(initial=0.0)))
    return farthest


class BlockSums:
    """Normal equations of a least-squares fit, block by block.

    Parameters
    ----------
    n_blocks, n_parameters : int
    singular : float
        Eigenvalue over the largest that counts as none.
    """

    def __init__(self, n_blocks: int, n_parameters: int, singular: float) -> None:
        self._grams = np.zeros((n_blocks, n_parameters, n_parameters))
        self._moments = np.zeros((n_blocks, n_parameters))
        self._singular = singular

    def add(self, block: int, rows: NDArray[np.float64], forces: NDArray[np.float64]) -> None:
        """Take in rows, shape (n, n_parameters), and forces, shape (n,)."""
        self.add_products(block, rows.T @ rows, rows.T @ forces)

    def add_products(self, block: int, gram: NDArray[np.float64], moment: NDArray[np.float64]) -> None:
        """Take in products of rows with rows and with forces."""
        self._grams[block] += gram
        self._moments[block] += moment

    @property
    def gram(self) -> NDArray[np.float64]:
        """Sum of products of rows."""
        return np.asarray(self._grams.sum(axis=0))

    @cached_property
    def inverse(self) -> NDArray[np.float64]:
        """Its inverse, where it has one; to be taken when all rows are there."""
        gram = self.gram
        return np.asarray(pinvh(gram, rtol=self._singular)) if gram.any() else np.zeros_like(gram)

    @cached_property
    def solution(self) -> NDArray[np.float64]:
        """Parameters of least squares."""
        return np.asarray(self.inverse @ self._moments.sum(axis=0))

    def deviations(self) -> NDArray[np.float64]:
        """Change of the solution by each block, scaled: their products add up to its covariance."""
        residuals = self._moments - self._grams @ self.solution
        n_blocks = len(residuals)
        return np.asarray(residuals @ self.inverse * np.sqrt(n_blocks / max(1, n_blocks - 1)))
