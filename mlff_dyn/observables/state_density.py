"""Density of states on a mesh of wave vectors, by phonopy's linear tetrahedra.

Sums over the sites of a species are alike at equivalent wave vectors, so one of each kind is enough. Weights
are averaged over the tetrahedra that the point group makes of one another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from phonopy.phonon.grid import BZGrid, get_ir_grid_points
from phonopy.phonon.tetrahedron_method import get_integration_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from phonopy import Phonopy


class DensityMesh:
    """Mesh whose irreducible wave vectors are known.

    Parameters
    ----------
    phonon : Phonopy
        Of the crystal.
    mesh : sequence of int
        Around the zone center. One that the point group does not keep is taken without symmetry.
    """

    def __init__(self, phonon: Phonopy, mesh: Sequence[int]) -> None:
        self.mesh = tuple(mesh)
        lattice = phonon.primitive.cell
        try:
            self._grid = BZGrid(
                list(mesh), lattice=lattice, symmetry_dataset=phonon.primitive_symmetry.dataset
            )
        except RuntimeError:
            self._grid = BZGrid(list(mesh), lattice=lattice)
        table = get_ir_grid_points(self._grid)[2]
        self._points, self._image, self._counts = np.unique(table, return_inverse=True, return_counts=True)

    def density(
        self, frequencies: NDArray[np.float64], shares: NDArray[np.float64], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Density of the modes, shared out.

        Parameters
        ----------
        frequencies : ndarray, shape (n_wavevectors, n_modes)
            Of all wave vectors, in phonopy's order.
        shares : ndarray, shape (n_wavevectors, n_shares, n_modes)
            Whose sums over modes of one frequency have the symmetry of the crystal.
        values : ndarray, shape (n_values,)
            Frequencies at which it is wanted.

        Returns
        -------
        ndarray, shape (n_shares, n_values)
            For each primitive cell, by the inverse unit of the frequencies.
        """
        weights = get_integration_weights(
            values,
            frequencies[self._points],
            self._grid,
            grid_points=self._grid.grg2bzg[self._points],
            bzgp2irgp_map=self._image[self._grid.bzg2grg],
            symmetrize_tetrahedra=True,
        )
        portions = self._counts[:, None, None] * shares[self._points] / len(frequencies)
        return np.asarray(np.einsum("qfm,qsm->sf", weights, portions, optimize=True))
