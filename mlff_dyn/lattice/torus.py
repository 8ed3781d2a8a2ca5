"""Any supercell as a torus Z_d1 x Z_d2 x Z_d3 of primitive cells, by the Smith normal form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import BasisError
from mlff_dyn.kernels.slot_atoms import EVERY_CELL, TorusSlots
from mlff_dyn.lattice.aperiodic import leave_vacuum_alone

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mlff_dyn.lattice.crystal import Crystal


def smith_normal_form(matrix: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Diagonal d and unimodular V with U S V = diag(d).

    An integer row vector n belongs to the lattice spanned by the rows of S exactly when every component
    (n V)_k is a multiple of d_k.

    Parameters
    ----------
    matrix : array_like of int, shape (3, 3)
        Nonsingular S.
    """
    a = np.array(matrix, np.int64)
    v = np.eye(3, dtype=np.int64)
    for k in range(3):
        while not _clear_pivot(a, v, k):
            pass
    return np.abs(np.diag(a)), v


def _clear_pivot(a: NDArray[np.int64], v: NDArray[np.int64], k: int) -> bool:
    """One round of elimination at diagonal position k, in place; True once row, column and block are done."""
    candidates = [(abs(a[i, j]), i, j) for i in range(k, 3) for j in range(k, 3) if a[i, j]]
    _, i, j = min(candidates)
    a[[k, i]] = a[[i, k]]
    a[:, [k, j]] = a[:, [j, k]]
    v[:, [k, j]] = v[:, [j, k]]
    for row in range(k + 1, 3):
        a[row] -= a[row, k] // a[k, k] * a[k]
    for column in range(k + 1, 3):
        quotient = a[k, column] // a[k, k]
        a[:, column] -= quotient * a[:, k]
        v[:, column] -= quotient * v[:, k]
    if a[k, k + 1 :].any() or a[k + 1 :, k].any():
        return False
    indivisible = np.argwhere(a[k + 1 :, k + 1 :] % a[k, k])
    if len(indivisible):
        a[k] += a[k + 1 + indivisible[0, 0]]
        return False
    return True


@dataclass(frozen=True, eq=False)
class Torus:
    """A supercell of a crystal; atoms are numbered site * n_cells + cell.

    Attributes
    ----------
    crystal : Crystal
    matrix : ndarray of int, shape (3, 3)     supercell vectors (rows) in the primitive basis
    """

    crystal: Crystal
    matrix: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse matrices that span no cell."""
        if self.matrix.shape != (3, 3) or round(np.linalg.det(self.matrix)) == 0:
            raise BasisError(
                f"supercell matrix {self.matrix.tolist()} is singular", fix="give independent vectors"
            )
        if not leave_vacuum_alone(self.matrix[None], self.crystal.periodic).all():
            raise BasisError(
                f"the supercell repeats axis {self.crystal.periodic.index(False) + 1}, which is vacuum",
                fix="1 along it in every supercell of the configuration, or true in structure.periodic",
            )

    @cached_property
    def _smith(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return smith_normal_form(self.matrix)

    @property
    def n_cells(self) -> int:
        """Number of primitive cells."""
        return int(self._smith[0].prod())

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.n_cells * self.crystal.n_sites

    @property
    def grid(self) -> tuple[int, int, int]:
        """Extents d1, d2, d3 of the torus."""
        d1, d2, d3 = self._smith[0]
        return int(d1), int(d2), int(d3)

    @property
    def lattice(self) -> NDArray[np.float64]:
        """Supercell vectors as rows, Å."""
        return np.asarray(self.matrix @ self.crystal.lattice)

    @property
    def volume(self) -> float:
        """Volume, Å³."""
        return abs(float(np.linalg.det(self.lattice)))

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Offset of every cell, folded into the supercell; shape (n_cells, 3)."""
        diagonal, v = self._smith
        raw = _grid_points(diagonal) @ np.rint(np.linalg.inv(v)).astype(np.int64)
        fold = np.floor(raw @ np.linalg.inv(self.matrix) + 1e-9).astype(np.int64)
        return raw - fold @ self.matrix

    @cached_property
    def wavevectors(self) -> NDArray[np.float64]:
        """Wave vectors that fit the torus, reciprocal basis without 2π, shape (n_cells, 3).

        exp(2πi q.n) has the period of the torus in n. Wave vectors are numbered by the grid as cells are.
        """
        diagonal, v = self._smith
        return np.asarray(_grid_points(diagonal) / diagonal @ v.T)

    def of_wave(self, wavevector: int) -> Torus:
        """Smallest supercell that one of the wave vectors fits: as many cells as its order in the torus."""
        period = self.grid[2]
        multiples = np.rint(period * self.wavevectors[wavevector]).astype(np.int64)
        divisor = np.gcd.reduce([*multiples, period])
        multiples //= divisor
        vectors = np.eye(3, dtype=np.int64)
        while np.count_nonzero(multiples) > 1:
            smallest = np.abs(multiples[multiples != 0]).min()
            pivot = int(np.flatnonzero(np.abs(multiples) == smallest)[0])
            times = multiples // multiples[pivot]
            times[pivot] = 0
            multiples -= times * multiples[pivot]
            vectors -= times[:, None] * vectors[pivot]
        vectors[np.abs(multiples).argmax()] *= period // divisor
        return Torus(self.crystal, vectors)

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Ideal Cartesian positions of all atoms inside the supercell, shape (n_atoms, 3), Å."""
        crystal = self.crystal
        raw = (crystal.positions[:, None] + self.offsets @ crystal.lattice).reshape(-1, 3)
        fold = np.floor(raw @ np.linalg.inv(self.lattice) + 1e-9) * np.array(crystal.periodic)
        return np.asarray(raw - fold @ self.lattice)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Atomic numbers, shape (n_atoms,)."""
        return np.repeat(self.crystal.numbers, self.n_cells)

    @property
    def masses(self) -> NDArray[np.float64]:
        """Masses, shape (n_atoms,), amu."""
        return np.repeat(self.crystal.masses, self.n_cells)

    @property
    def magnetic_moments(self) -> NDArray[np.float64] | None:
        """Magnetic moments, shape (n_atoms,), Bohr magnetons; None for a crystal without."""
        moments = self.crystal.magnetic_moments
        return None if moments is None else np.repeat(moments, self.n_cells)

    def consists_of(self, other: Torus) -> bool:
        """Whether copies of another supercell fill this one."""
        ratio = self.matrix @ np.linalg.inv(other.matrix)
        return bool(np.abs(ratio - np.rint(ratio)).max() < 1e-6)

    def cell_index(self, offsets: ArrayLike) -> NDArray[np.int64]:
        """Index of the cell that an offset falls on; offsets of shape (..., 3) give shape (...)."""
        diagonal, v = self._smith
        wrapped = (np.asarray(offsets, np.int64) @ v) % diagonal
        return np.asarray((wrapped[..., 0] * diagonal[1] + wrapped[..., 1]) * diagonal[2] + wrapped[..., 2])

    def atom_indices(self, slots: ArrayLike) -> NDArray[np.int32]:
        """Atom that each slot (site, offset) means when the home cell is cell c; shape (n_slots, n_cells)."""
        return self.slot_atoms(slots).of_cells(EVERY_CELL)

    def slot_atoms(self, slots: ArrayLike) -> TorusSlots:
        """Atoms of slots (site, offset), shape (n_slots, 4), without a table of all cells."""
        table = np.asarray(slots, np.int64).reshape(-1, 4)
        home = table[:, 0] * self.n_cells + self.cell_index(table[:, 1:])
        return TorusSlots(home.astype(np.int32), self.grid)

    def match(self, positions: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Nearest ideal atom of each position and the displacement from it.

        Parameters
        ----------
        positions : array_like, shape (n, 3)     Cartesian, Å

        Returns
        -------
        atoms : ndarray of int, shape (n,)
        displacements : ndarray, shape (n, 3)    Å
        """
        crystal = self.crystal
        inverse = np.linalg.inv(crystal.lattice)
        relative = np.asarray(positions, float)[:, None] - crystal.positions[None]
        base = np.rint(relative @ inverse).astype(np.int64)
        neighbors = np.array(list(np.ndindex(3, 3, 3))) - 1
        offsets = base[:, :, None] + neighbors
        residual = relative[:, :, None] - offsets @ crystal.lattice
        distance = np.linalg.norm(residual, axis=-1).reshape(len(relative), -1)
        best = distance.argmin(axis=1)
        site = best // len(neighbors)
        rows = np.arange(len(relative))
        chosen = offsets.reshape(len(relative), -1, 3)[rows, best]
        displacements = residual.reshape(len(relative), -1, 3)[rows, best]
        return site * self.n_cells + self.cell_index(chosen), displacements


def _grid_points(extents: NDArray[np.int64]) -> NDArray[np.int64]:
    """All points of a grid, the last direction fastest, shape (n_points, 3)."""
    return np.stack([axis.ravel() for axis in np.indices(extents.tolist(), np.int64)], axis=1)


def input_supercell(crystal: Crystal, supercell: ArrayLike) -> Torus:
    """Torus of a supercell given in vectors of the input cell (three integers or a 3x3 matrix of rows).

    Examples
    --------
    >>> from ase.build import bulk
    >>> from mlff_dyn.lattice.crystal import build_crystal
    >>> cell = bulk("Cu", "fcc", a=3.6, cubic=True)
    >>> torus = input_supercell(build_crystal(cell.cell.array, cell.positions, cell.numbers), (2, 2, 2))
    >>> torus.n_atoms, torus.n_cells
    (32, 32)
    >>> atoms, displacements = torus.match(torus.positions + 0.1)
    >>> bool((atoms == range(32)).all()), bool(abs(displacements - 0.1).max() < 1e-12)
    (True, True)
    """
    given = np.array(supercell, np.int64)
    matrix = np.diag(given) if given.ndim == 1 else given
    return Torus(crystal, matrix @ crystal.input_matrix)
