"""Frames whose labels contradict those of all others: found by a fit without them, named, set aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.model.fitting.error_models import held_out_forces
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.force_field import errors_of_rows
from mlff_dyn.regression.errors.outliers import OUTLIER_LIMITS, Misfit, misfit, scalar_outliers
from mlff_dyn.workflows.training.label_checks import other_unit, predicted_energies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.fitting.prior_guess import PriorGuess
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.store.dataset import Snapshot

FORCES, ENERGY = "forces", "energy"


@dataclass(frozen=True)
class Outlier:
    """A label that contradicts all others.

    Attributes
    ----------
    frame : int                    counted from 0
    label : str                    ``forces`` or ``energy``
    misfit : Misfit or None        of the forces
    unit : str or None             that they look like, if they are the predicted ones in another unit
    error, score : float           of the energy, eV, and over its standard deviation
    """

    frame: int
    label: str
    misfit: Misfit | None = None
    unit: str | None = None
    error: float = 0.0
    score: float = 0.0

    def describe(self, snapshot: Snapshot, crystal: Crystal) -> str:
        """Say what is wrong by how much."""
        if self.misfit is None:
            return f"energy off by {self.error:.3g} eV ({self.score:.0f} sd)"
        found = describe_misfit(self.misfit, snapshot, crystal)
        return found if self.unit is None else f"{found}: they are {self.unit}"


@dataclass(frozen=True)
class Contradiction:
    """Forces of a calculation that cannot be noise about their prediction.

    Attributes
    ----------
    text : str             what is off by how much
    is_supported : bool    whether they may be true all the same: the energy agrees
    """

    text: str
    is_supported: bool


def describe_misfit(found: Misfit, snapshot: Snapshot, crystal: Crystal) -> str:
    """Name the atom, as the file counts from 1, where forces are off most, and by how much."""
    match = match_structure(crystal, snapshot.cell, snapshot.positions, snapshot.numbers)
    atom = int(match.atoms[found.component // 3])
    symbol = chemical_symbols[int(snapshot.numbers[atom])]
    here = f"force on atom {atom + 1} ({symbol}) off by {found.error:.3g} eV/Å ({found.score:.0f} sd)"
    return f"{here}, all forces by {found.rms_error:.3g} eV/Å ({found.rms_score:.1f} sd)"


def prediction_misfit(
    force_field: ForceField, frame: LabelledFrame, force_rows: NDArray[np.float64], known_amplitude: float
) -> Misfit:
    """Judge the forces of a frame that a force field was not fitted to.

    Beyond the amplitude of the data, errors may grow faster than the noise model says, by one order.

    Parameters
    ----------
    force_field : ForceField
    frame : LabelledFrame
    force_rows : ndarray, shape (3 * n_atoms, n_parameters)
    known_amplitude : float
        Largest amplitude of the data, Å.
    """
    errors = errors_of_rows(force_field, force_rows, frame.conditions)
    rest = frame.targets.forces - force_rows @ force_field.posterior.mean
    growth = max(1.0, frame.amplitude_angstrom / known_amplitude)
    return misfit(rest, growth * errors.predictive.ravel())


def find_outliers(
    force_field: ForceField, data: FitData, *, guess: PriorGuess | None = None
) -> list[Outlier]:
    """Frames that cannot be noise: suspected by held-out errors, judged by a fit to all others.

    Parameters
    ----------
    force_field : ForceField
        Fitted to the data.
    data : FitData
    guess : PriorGuess, optional
        As the fit used it.
    """
    frames, kept, found = data.frames, list(range(len(data))), list[Outlier]()
    suspects = _suspects(force_field, data)
    while suspects and len(kept) >= OUTLIER_LIMITS.fewest:
        index = kept[suspects.pop(0)]
        others = [k for k in kept if k != index]
        rest = data.updated([frames[k] for k in others])
        without = fit_force_field(force_field.basis, rest, guess=guess)
        amplitude = max(frame.amplitude_angstrom for frame in rest.frames)
        judged = prediction_misfit(without, frames[index], data.force_rows(kept.index(index)), amplitude)
        if judged.contradicts(without.training.force_rms_ev_per_angstrom):
            predicted = data.force_rows(kept.index(index)) @ without.posterior.mean
            unit = other_unit(frames[index].targets.forces, predicted)
            found.append(Outlier(index, FORCES, misfit=judged, unit=unit))
            kept, data, force_field = others, rest, without
            suspects = _suspects(force_field, data)
    found += [Outlier(kept[k], ENERGY, error=e, score=z) for k, e, z in _energies(force_field, data)]
    return sorted(found, key=lambda outlier: outlier.frame)


def refuse_many(path: Path, outliers: Sequence[Outlier], n_frames: int) -> None:
    """Refuse data of which too many contradict the others.

    Raises
    ------
    DataError
        If so.
    """
    if len(outliers) > OUTLIER_LIMITS.largest_share * n_frames:
        numbers = ", ".join(str(outlier.frame + 1) for outlier in outliers)
        raise DataError(
            f"{path}: frames {numbers} of {n_frames} contradict the others",
            fix="label all frames by one engine and one setting, or leave these out",
        )


def _suspects(force_field: ForceField, data: FitData) -> list[int]:
    """Frames that the others predict suspiciously badly, the worst first."""
    suspicions = []
    for k in range(len(data)):
        held = held_out_forces(force_field.posterior, data, k)
        sds = np.sqrt(held.noise_variances * (1.0 + held.leverages)).reshape(-1, 3)
        sds *= force_field.force_scales(len(sds))
        suspicions.append(misfit(held.errors, sds.ravel()).suspicion(len(data)))
    order = np.argsort(suspicions)[::-1][: OUTLIER_LIMITS.most_looks]
    return [int(k) for k in order if suspicions[k] > 1.0]


def _energies(force_field: ForceField, data: FitData) -> list[tuple[int, float, float]]:
    """Energies that differ from their prediction unlike those of the same zero: frame, error, sd."""
    predicted, sds = predicted_energies(force_field, data)
    groups: dict[tuple[int, int], list[int]] = {}
    for k, frame in enumerate(data.frames):
        if frame.energy_ev is not None and not frame.supercell.strain.any():
            groups.setdefault((frame.origin, frame.n_atoms), []).append(k)
    found = []
    for group in groups.values():
        rests = np.array([data.frames[k].energy_ev for k in group], float) - predicted[group]
        rests -= np.median(rests)
        for place in scalar_outliers(rests, sds[group]):
            error = float(abs(rests[place]))
            found.append((group[place], error, error / max(float(sds[group][place]), 1e-300)))
    return found
