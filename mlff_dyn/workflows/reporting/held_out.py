"""How well each labelled frame is predicted by a fit to all others, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.model.fitting.error_models import held_out_forces
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions
from mlff_dyn.workflows.training.data import TrainingData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.regression.errors.held_out import HeldOut
    from mlff_dyn.workflows.setup.workspace import Workspace


@dataclass(frozen=True, eq=False)
class HeldOutForces:
    """Force components of all frames.

    Attributes
    ----------
    reference, predicted, sds : ndarray, shape (n,), eV/Å
        Labels, predictions by fits to the other frames, and their predicted standard deviations.
    numbers : ndarray of int, shape (n,)
        Atomic numbers.
    """

    reference: NDArray[np.float64]
    predicted: NDArray[np.float64]
    sds: NDArray[np.float64]
    numbers: NDArray[np.int64]

    @property
    def errors_relative(self) -> float:
        """Root mean square error over the root mean square force."""
        return _rms(self.predicted - self.reference) / max(_rms(self.reference), 1e-150)

    @property
    def calibration_z(self) -> float:
        """Root mean square of error over predicted standard deviation."""
        return _rms((self.predicted - self.reference) / self.sds)

    def of_species(self) -> dict[str, tuple[float, float]]:
        """Found and predicted root mean square error of each species, eV/Å."""
        return {
            chemical_symbols[number]: (
                _rms((self.predicted - self.reference)[self.numbers == number]),
                _rms(self.sds[self.numbers == number]),
            )
            for number in np.unique(self.numbers).tolist()
        }


def held_out_parts(workspace: Workspace, force_field: ForceField) -> tuple[FitData, list[HeldOut]]:
    """Rows of all frames of a run, and the prediction of each by a fit to the others; none of a single frame.

    Energies and stresses stay in the fit: they tell little beside the forces, and a model file does not keep
    their zeros.

    Raises
    ------
    DataError
        If the data set is damaged.
    """
    fit = workspace.config.training.fit
    options = FitOptions(energies=fit.energies, stress=fit.stress)
    data = TrainingData(workspace.dataset_path, workspace.expansion, options)
    rows = FitData((), FitOptions(energies=False, stress=False)).updated(data.fit_rows())
    rows = rows.up_to(max(force_field.basis.orders)) if len(rows) else rows
    numbers = range(len(rows)) if len(rows) > 1 else ()
    return rows, [held_out_forces(force_field.posterior, rows, k) for k in numbers]


def hold_out_frames(workspace: Workspace, force_field: ForceField) -> HeldOutForces | None:
    """Predict the forces of each frame of the data set of a run by a fit to those of all others.

    None where there is one frame.

    Parameters
    ----------
    workspace : Workspace
    force_field : ForceField
        Fitted to these frames.

    Raises
    ------
    DataError
        If the data set is damaged.
    """
    rows, found = held_out_parts(workspace, force_field)
    if not found:
        return None
    reference = np.concatenate([frame.targets.forces for frame in rows.frames])
    sds = [np.sqrt(part.noise_variances * (1.0 + part.leverages)) for part in found]
    numbers = [np.repeat(frame.supercell.torus.numbers, 3) for frame in rows.frames]
    return HeldOutForces(
        reference=reference,
        predicted=reference - np.concatenate([part.errors for part in found]),
        sds=force_field.calibration * np.concatenate(sds),
        numbers=np.concatenate(numbers),
    )


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
