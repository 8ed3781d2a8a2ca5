"""Which supercell to train in: large enough between periodic images, small enough to calculate."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import spglib
from ase.geometry.minkowski_reduction import minkowski_reduce

from mlff_dyn.lattice.aperiodic import leave_vacuum_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal


@dataclass(frozen=True)
class CellLimits:
    """Sizes of training cells; all by convention.

    Attributes
    ----------
    fewest_atoms, most_atoms : int
        Of the proposed cell.
    image_distance_angstrom : float
        Distance of periodic images that suffices; the smallest cell that has it is proposed.
    largest_alternative_atoms : int
    compactness : float
        Least distance of images over the cube root of the volume; 1.12 is the most there can be. For a sheet
        it is the square root of the area, for a wire the length.
    plain_cost, plain_distance : float
        A plain repetition of the input cell is preferred up to this size and down to this distance of images,
        both over those of the best matrix.
    step : float
        Least ratio of the numbers of atoms of the alternatives and the proposed cell.
    gain : float
        Growth of that distance, as a factor, for which a larger cell is worth looking at.
    """

    fewest_atoms: int = 54
    most_atoms: int = 150
    image_distance_angstrom: float = 9.0
    largest_alternative_atoms: int = 400
    compactness: float = 0.45
    plain_cost: float = 1.15
    plain_distance: float = 0.8
    step: float = 1.25
    gain: float = 1.05


CELL_LIMITS = CellLimits()

_SHAPES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((-1, 1, 1), (1, -1, 1), (1, 1, -1)),
    ((0, 1, 1), (1, 0, 1), (1, 1, 0)),
    ((1, 1, 0), (-1, 1, 0), (0, 0, 1)),
    ((2, 1, 0), (-1, 1, 0), (0, 0, 1)),
    ((1, -1, 0), (0, 1, -1), (1, 1, 1)),
)


@dataclass(frozen=True)
class TrainingCell:
    """A supercell in vectors of the input cell.

    Attributes
    ----------
    matrix : tuple of 3 tuples of 3 int        rows
    n_atoms : int
    image_distance_angstrom : float            shortest lattice vector
    """

    matrix: tuple[tuple[int, int, int], ...]
    n_atoms: int
    image_distance_angstrom: float

    @property
    def is_plain(self) -> bool:
        """Whether the cell repeats the input cell along its own vectors."""
        return not np.any(np.array(self.matrix) - np.diag(np.diag(self.matrix)))


@dataclass(frozen=True)
class CellProposal:
    """The proposed cell, and the next ones that are cheaper and larger where there are any."""

    proposed: TrainingCell
    cheaper: TrainingCell | None
    larger: TrainingCell | None


def propose_cell(crystal: Crystal, limits: CellLimits = CELL_LIMITS) -> CellProposal:
    """Choose a training cell by the shortest distance of periodic images.

    Cells that keep all symmetry operations come first; among them only those count whose images are farther
    apart than those of any smaller one. A plain repetition of the input cell is taken where it costs little
    more. Nothing is repeated across the vacuum of a sheet or a wire.
    """
    found = _candidates(crystal, limits)
    symmetric = [cell for cell, keeps in found if keeps]
    enough = any(_fits(cell, limits) for cell in symmetric)
    pool = symmetric if enough else [cell for cell, _ in found]
    pool.append(training_cell(crystal, np.eye(3, dtype=np.int64)))
    front = _front(pool, limits.gain)
    fitting = [cell for cell in front if _fits(cell, limits)]
    fitting = fitting or [
        max((c for c in front if c.n_atoms <= limits.most_atoms), default=front[0], key=_size)
    ]
    proposed = next((cell for cell in fitting if _is_wide(cell, limits)), fitting[-1])
    plain = [cell for cell in pool if cell.is_plain and _replaces(cell, proposed, limits)]
    proposed = min(plain, default=proposed, key=_size)
    return CellProposal(
        proposed=proposed,
        cheaper=max(
            (c for c in front if limits.step * c.n_atoms < proposed.n_atoms), default=None, key=_size
        ),
        larger=min((c for c in front if _is_larger(c, proposed, limits)), default=None, key=_size),
    )


def _size(cell: TrainingCell) -> int:
    return cell.n_atoms


def _fits(cell: TrainingCell, limits: CellLimits) -> bool:
    return limits.fewest_atoms <= cell.n_atoms <= limits.most_atoms


def _is_wide(cell: TrainingCell, limits: CellLimits) -> bool:
    return cell.image_distance_angstrom >= limits.image_distance_angstrom


def _replaces(cell: TrainingCell, other: TrainingCell, limits: CellLimits) -> bool:
    cheap = limits.fewest_atoms <= cell.n_atoms <= limits.plain_cost * other.n_atoms
    near = cell.image_distance_angstrom >= limits.plain_distance * other.image_distance_angstrom
    return cheap and near and (_is_wide(cell, limits) or not _is_wide(other, limits))


def _is_larger(cell: TrainingCell, other: TrainingCell, limits: CellLimits) -> bool:
    wider = cell.image_distance_angstrom > limits.gain * other.image_distance_angstrom
    return wider and cell.n_atoms > limits.step * other.n_atoms


def training_cell(crystal: Crystal, matrix: NDArray[np.int64]) -> TrainingCell:
    """Describe a supercell given in vectors of the input cell."""
    matrix = matrix * round(np.sign(np.linalg.det(matrix)))
    reduced, _ = minkowski_reduce(matrix @ crystal.input_lattice, crystal.periodic)
    first, second, third = (tuple(int(n) for n in row) for row in matrix)
    return TrainingCell(
        matrix=(first, second, third),  # type: ignore[arg-type]
        n_atoms=round(abs(np.linalg.det(matrix))) * len(crystal.input_numbers),
        image_distance_angstrom=float(np.linalg.norm(reduced[list(crystal.periodic)], axis=1).min()),
    )


def _front(cells: list[TrainingCell], gain: float) -> list[TrainingCell]:
    """Cells by their size, each with images farther apart than all before it."""
    front: list[TrainingCell] = []
    for cell in sorted(cells, key=lambda c: (c.n_atoms, -c.image_distance_angstrom)):
        if not front or cell.image_distance_angstrom > gain * front[-1].image_distance_angstrom:
            front.append(cell)
    return front


def _candidates(crystal: Crystal, limits: CellLimits) -> list[tuple[TrainingCell, bool]]:
    """Compact repetitions of several cells of the crystal, and whether they keep its symmetry."""
    most = limits.largest_alternative_atoms // crystal.n_sites
    counts = (range(1, 21) if each else (1,) for each in crystal.periodic)
    repeats = np.array([n for n in product(*counts) if np.prod(n) <= most])
    around = (range(-2, 3) if each else (0,) for each in crystal.periodic)
    near = np.array([c for c in product(*around) if any(c)])
    unlike: dict[tuple[int, float, bool], TrainingCell] = {}
    for basis in _bases(crystal):
        for shape in _shapes(crystal):
            count = np.prod(repeats, axis=1) * abs(np.linalg.det(shape @ basis))
            matrices = shape @ (repeats[count < most + 0.5, :, None] * basis)
            given = matrices @ np.linalg.inv(crystal.input_matrix)
            fits = (np.abs(given - np.rint(given)) < 1e-6).all(axis=(1, 2))
            shortest = np.linalg.norm(near @ matrices[fits] @ crystal.lattice, axis=-1).min(axis=1)
            compact = shortest > limits.compactness * _mean_lengths(crystal, matrices[fits])
            chosen = np.rint(given[fits][compact]).astype(np.int64)
            keeps = _keep_symmetry(crystal, matrices[fits][compact])
            for matrix, kept, distance in zip(chosen, keeps, shortest[compact], strict=True):
                key = (round(abs(np.linalg.det(matrix))), round(float(distance), 2), bool(kept))
                if key not in unlike:
                    unlike[key] = training_cell(crystal, matrix)
    return [(cell, key[2]) for key, cell in unlike.items()]


def _mean_lengths(crystal: Crystal, matrices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Root of the volume, the area or the length of supercells, by how many axes are periodic, Å."""
    across = np.linalg.norm(crystal.lattice[~np.array(crystal.periodic)], axis=1)
    sizes = np.abs(np.linalg.det(matrices @ crystal.lattice)) / np.prod(across)
    return np.asarray(sizes ** (1.0 / sum(crystal.periodic)))


def _shapes(crystal: Crystal) -> NDArray[np.int64]:
    """Shapes that leave axes with vacuum alone."""
    if all(crystal.periodic):
        return np.array(_SHAPES)
    every = np.concatenate([np.roll(_SHAPES, k, axis=(1, 2)) for k in range(3)])
    return np.unique(every[leave_vacuum_alone(every, crystal.periodic)], axis=0)


def _bases(crystal: Crystal) -> Iterator[NDArray[np.int64]]:
    """Input, conventional (of a crystal) and reduced primitive cell, rows in primitive vectors."""
    yield crystal.input_matrix
    cell = (crystal.lattice, crystal.positions @ np.linalg.inv(crystal.lattice), crystal.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=crystal.symprec) if all(crystal.periodic) else None
    if dataset is not None:
        conventional = np.linalg.inv(dataset.transformation_matrix).T
        if np.abs(conventional - np.rint(conventional)).max() < 1e-3:
            yield np.rint(conventional).astype(np.int64)
    yield np.array(minkowski_reduce(crystal.lattice, crystal.periodic)[1], np.int64)


def _keep_symmetry(crystal: Crystal, matrices: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether every operation maps the lattices of rows in primitive vectors onto themselves."""
    rotated = np.einsum("gab,mkb->gmka", crystal.rotations, matrices) @ np.linalg.inv(matrices)
    return np.asarray((np.abs(rotated - np.rint(rotated)) < 1e-6).all(axis=(0, 2, 3)))
