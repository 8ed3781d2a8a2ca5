"""Atoms whose forces are wrong in every frame, which no frame contradicts: rows of two atoms exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.matching import match_structure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.store.dataset import Snapshot


@dataclass(frozen=True)
class AtomLimits:
    """When atoms stand out; in sound data of three frames and more, the worst was up to 6 times the median.

    Attributes
    ----------
    fewest_frames : int
    ratio : float          of what the fit leaves of the forces on an atom over the median of all atoms
    exchanged : float      of what it leaves once the forces of two atoms are exchanged, over that before
    """

    fewest_frames: int = 3
    ratio: float = 8.0
    exchanged: float = 0.5


ATOM_LIMITS = AtomLimits()


def check_atoms(
    path: Path, force_field: ForceField, data: FitData, snapshots: Sequence[Snapshot]
) -> list[str]:
    """Compare what a fit leaves of the forces on each atom with what it leaves of the others.

    Parameters
    ----------
    path : Path
        File of the frames, for the messages.
    force_field : ForceField
        Fitted to the data.
    data : FitData
    snapshots : sequence of Snapshot
        Those of the frames of the data, in their order.

    Raises
    ------
    DataError
        If two atoms have each other's forces.
    """
    supercell = data.frames[0].supercell
    same = [k for k, frame in enumerate(data.frames) if frame.supercell is supercell]
    if len(same) < ATOM_LIMITS.fewest_frames:
        return []
    labels = np.array([data.frames[k].targets.forces for k in same])
    predicted = np.array([data.force_rows(k) @ force_field.posterior.mean for k in same])
    labels, predicted = (each.reshape(len(same), -1, 3) for each in (labels, predicted))  # sia
    # The median over frames: in one of them two atoms may come too close for the expansion.
    left = np.sqrt(np.median(np.mean((labels - predicted) ** 2, axis=2), axis=0))
    order = np.argsort(left)[::-1]
    typical = float(np.median(left))
    if left[order[0]] < max(ATOM_LIMITS.ratio * typical, 1e-6):
        return []
    first = snapshots[same[0]]
    match = match_structure(force_field.basis.crystal, first.cell, first.positions, first.numbers)
    pair = order[:2]
    names = " and ".join(
        str(int(match.atoms[site]) + 1) for site in sorted(pair, key=lambda s: match.atoms[s])
    )
    found = f"{path}: in every frame, forces on atoms {names} are off by {left[order[0]]:.2g} eV/Å"
    exchanged = np.sqrt(np.mean((labels[:, pair[::-1]] - predicted[:, pair]) ** 2))
    if exchanged < ATOM_LIMITS.exchanged * np.sqrt(np.mean(left[pair] ** 2)):
        raise DataError(
            f"{found}; they have each other's forces",
            fix="write positions and forces in one order of the atoms",
        )
    return [f"{found}, {left[order[0]] / typical:.0f} times as much as on others; check the order of atoms"]
