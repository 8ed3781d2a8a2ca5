"""How far off calculations of like displacements were found, over what was expected of them.

One scale and one power law make the error bars of all frames. Where data reach from small to large
displacements they can be right on the whole and wrong at one temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.workflows.reporting.held_out import held_out_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.workflows.setup.workspace import Workspace


@dataclass(frozen=True)
class CorrectionLimits:
    """When errors are corrected by what calculations were found to be.

    Attributes
    ----------
    alike : float
        Root mean square displacement of a frame over that of the trajectories, or its inverse, at most.
    pseudo_count : float
        Frames found as expected that are added, so that few do not move the factor much.
    least_factor : float
        Factor below which nothing is corrected.
    """

    alike: float = 1.5
    pseudo_count: float = 1.0
    least_factor: float = 1.1


CORRECTION_LIMITS = CorrectionLimits()


@dataclass(frozen=True)
class FoundErrors:
    """Scores of the labelled frames of a run, each predicted by a fit to all others.

    Attributes
    ----------
    displacements_angstrom : tuple of float     root mean square of a component in each frame
    scores : tuple of float                     root mean square of error over expected error in each frame
    """

    displacements_angstrom: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()

    def factor(
        self, displacement_rms_angstrom: float, limits: CorrectionLimits = CORRECTION_LIMITS
    ) -> tuple[float, int]:
        """Factor on the errors of frames with such displacements, and frames that it is of.

        1 where it would be small, or lower the errors.
        """
        moved = np.array(self.displacements_angstrom)
        apart = np.abs(np.log(np.maximum(moved, 1e-12) / max(displacement_rms_angstrom, 1e-12)))
        scores = np.array(self.scores)[apart <= np.log(limits.alike)]
        total = float(np.sum(scores**2)) + limits.pseudo_count
        found = float(np.sqrt(total / (len(scores) + limits.pseudo_count)))
        return (found if found >= limits.least_factor else 1.0), len(scores)


def found_errors(workspace: Workspace, force_field: ForceField) -> FoundErrors:
    """Hold out each frame that a force field was fitted to; nothing where its data are not there.

    Parameters
    ----------
    workspace : Workspace
    force_field : ForceField

    Raises
    ------
    DataError
        If the data set is damaged.
    """
    if not workspace.dataset_path.exists():
        return FoundErrors()
    rows, held_out = held_out_parts(workspace, force_field)
    if len(held_out) != force_field.training.n_snapshots:
        return FoundErrors()
    return FoundErrors(
        tuple(_rms(frame.displacements) for frame in rows.frames),
        tuple(_rms(part.scores) / force_field.calibration for part in held_out),
    )


def _rms(values: Sequence[float] | np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
