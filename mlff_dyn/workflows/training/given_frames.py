"""Frames of a trajectory without labels that a training may have calculated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.formats.unlabelled_frames import read_unlabelled
from mlff_dyn.lattice.other_lengths import match_frame
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.training.walk import Frames
from mlff_dyn.workflows.snapshots import check_periodic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.lattice.matching import Match
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.workflows.setup.workspace import Workspace

SAME_ANGSTROM, NO_STRAIN = 1e-4, 1e-6
"""Displacements of the same frame, and strains that only the digits of a file make."""
_NAMED = 3
"""Refused frames that a warning names."""


@dataclass(frozen=True, eq=False)
class GivenFrames:
    """Frames that belong to the crystal, all on one supercell.

    Attributes
    ----------
    torus : Torus
    frames : Frames
    numbers : tuple of int          of each in its file, counted from 1
    warnings : tuple of str         what is refused, and why
    """

    torus: Torus
    frames: Frames
    numbers: tuple[int, ...]
    warnings: tuple[str, ...]

    def left(self, known: Iterable[tuple[Torus, NDArray[np.float64]]]) -> NDArray[np.intp]:
        """Places of the frames that are not among known structures (Å)."""
        free = np.ones(len(self.frames), dtype=bool)
        for torus, displacements in known:
            if np.array_equal(torus.matrix, self.torus.matrix):
                away = np.abs(self.frames.displacements - displacements).max(axis=(1, 2))
                free &= away > SAME_ANGSTROM
        return np.flatnonzero(free)


def given_frames_of(workspace: Workspace) -> GivenFrames | None:
    """Read the trajectory that the configuration names; None where it names none."""
    given = workspace.config.training.exploration
    return (
        None if given.file is None else read_given_frames(given.file, workspace.expansion, every=given.every)
    )


def read_given_frames(
    file: Path, expansion: Expansion, *, every: int, limits: DecisionLimits = LIMITS
) -> GivenFrames:
    """Read a trajectory, and match its frames to the crystal.

    Parameters
    ----------
    file : Path
        See `read_unlabelled`.
    expansion : Expansion
    every : int
        Every so many frames one is taken, the first included.
    limits : DecisionLimits

    Raises
    ------
    DataError
        If the file cannot be read, or no frame belongs to the crystal.
    """
    found: list[tuple[int, Match]] = []
    refused: list[str] = []
    damage: list[str] = []
    try:
        for number, atoms in read_unlabelled(file, stride=every):
            try:
                check_periodic(atoms.pbc.tolist(), expansion.basis.crystal)
                match = match_frame(expansion.basis.crystal, atoms.cell.array, atoms.positions, atoms.numbers)
                _check_near(expansion, match, limits)
                _check_same(match, found[0][1] if found else match)
            except DataError as error:
                refused.append(f"frame {number}: {error.message}")
                continue
            found.append((number, match))
    except DataError as error:
        if not found and not refused:
            raise
        damage.append(f"{error.message}; only the frames before it are used")
    if not found:
        raise DataError(
            f"{file}: no frame can be used; {refused[0]}",
            fix="give a trajectory of the crystal of structure.file in training.exploration.file",
        )
    strains = np.array([match.strain for _, match in found])
    frames = Frames(
        np.array([match.displacements for _, match in found]),
        strains if np.abs(strains).max() > NO_STRAIN else None,
    )
    warnings = (*([_describe(file, refused, len(found))] if refused else []), *damage)
    return GivenFrames(found[0][1].torus, frames, tuple(number for number, _ in found), warnings)


def _check_near(expansion: Expansion, match: Match, limits: DecisionLimits) -> None:
    """Refuse a frame in which an atom has left its site."""
    farthest = limits.largest_fraction_of_bond * expansion.basis.crystal.nearest_neighbor_distance
    if expansion.local is not None:
        farthest = min(farthest, expansion.local.largest_displacement)
    lengths = np.linalg.norm(match.displacements, axis=1)
    if lengths.max() >= farthest:
        atom = int(match.atoms[int(np.argmax(lengths))]) + 1
        raise DataError(
            f"atom {atom} is {lengths.max():.3g} Å from its site, more than {farthest:.3g} Å",
            fix="leave the frame out",
        )


def _check_same(match: Match, first: Match) -> None:
    if not np.array_equal(match.torus.matrix, first.torus.matrix):
        raise DataError("another supercell than that of the first frame", fix="give one supercell")


def _describe(file: Path, refused: list[str], n_used: int) -> str:
    more = len(refused) - _NAMED
    named = "; ".join(refused[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
    return f"{file}: {len(refused)} of {len(refused) + n_used} frames are not used: {named}"
