"""The energy of a force field, and what order 2 at rest leaves out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.harmonic import HarmonicTorus
from mlff_dyn.model.force_constants import ForceConstants, whole_force_constants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.expansion import Expansion


class Potential:
    """Energy and forces on a supercell for given parameters.

    Parameters
    ----------
    expansion : Expansion
    parameters : ndarray, shape (n_parameters,)
    torus : Torus
    """

    def __init__(self, expansion: Expansion, parameters: NDArray[np.float64], torus: Torus) -> None:
        self.kernel = expansion.on(torus).kernel(parameters)
        self.harmonic = harmonic_torus(whole_force_constants(expansion, parameters, 2, torus))

    def anharmonic(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Energy (eV), and forces (eV/Å) without those of order 2, at displacements (Å)."""
        energy, forces = self.kernel.energy_forces(displacements)
        return energy, forces - self.harmonic.energy_forces(displacements)[1]


def harmonic_torus(constants: ForceConstants) -> HarmonicTorus:
    """Force constants of order 2 as blocks of a torus."""
    torus = constants.torus
    n_sites, n_cells = torus.crystal.n_sites, torus.n_cells
    blocks = np.zeros((n_sites, n_sites, n_cells, 3, 3))
    others, cells = np.divmod(constants.clusters[:, 1], n_cells)
    blocks[constants.clusters[:, 0] // n_cells, others, cells] = constants.blocks
    return HarmonicTorus(torus.grid, blocks.transpose(0, 3, 1, 4, 2).reshape(3 * n_sites, -1, n_cells))


def constants_of(harmonic: HarmonicTorus, torus: Torus) -> ForceConstants:
    """Blocks of a torus as force constants of order 2."""
    n_sites, n_cells = torus.crystal.n_sites, torus.n_cells
    first = n_cells * np.arange(n_sites)
    pairs = np.stack(np.meshgrid(first, np.arange(torus.n_atoms), indexing="ij"), axis=-1)
    blocks = harmonic.blocks.reshape(n_sites, 3, n_sites, 3, n_cells).transpose(0, 2, 4, 1, 3)
    return ForceConstants(2, torus, pairs.reshape(-1, 2), blocks.reshape(-1, 3, 3))


def torus_of_compact(
    compact: NDArray[np.float64], torus: Torus, positions: NDArray[np.float64], first: NDArray[np.int64]
) -> HarmonicTorus:
    """Force constants of phonopy's compact form as blocks of a torus.

    Parameters
    ----------
    compact : ndarray, shape (n_sites, n_atoms, 3, 3)
    torus : Torus
    positions : ndarray, shape (n_atoms, 3)
        Of the atoms of phonopy's supercell, Å.
    first : ndarray of int, shape (n_sites,)
        Atoms of it that the first axis runs over.
    """
    n_sites, n_cells = torus.crystal.n_sites, torus.n_cells
    others, cells = np.divmod(torus.match(positions)[0], n_cells)
    blocks = np.zeros((n_sites, n_sites, n_cells, 3, 3))
    for row, atom in zip(compact, first.tolist(), strict=True):
        shifted = torus.cell_index(torus.offsets[cells] - torus.offsets[cells[atom]])
        blocks[others[atom], others, shifted] = row
    return HarmonicTorus(torus.grid, blocks.transpose(0, 3, 1, 4, 2).reshape(3 * n_sites, -1, n_cells))
