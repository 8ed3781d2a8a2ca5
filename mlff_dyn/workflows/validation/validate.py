"""`validate`: a model, and its own error bars, against labelled frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import DataError
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.regression.errors.agreement import agreement, calibration
from mlff_dyn.regression.errors.outliers import misfit
from mlff_dyn.report.answer import write_report
from mlff_dyn.store.model_file import read_model
from mlff_dyn.workflows.given_labels import GivenLabels
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.data_checks import check_frames
from mlff_dyn.workflows.training.label_checks import check_forces, check_labels, check_stresses
from mlff_dyn.workflows.training.outliers import describe_misfit
from mlff_dyn.workflows.validation.validation_report import (
    EV_PER_ANGSTROM,
    EV_PER_ANGSTROM3,
    EV_PER_ATOM,
    Comparison,
    ValidationReport,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceErrors, ForceField
    from mlff_dyn.store.dataset import Snapshot

_PARTS = ("predictive", "epistemic", "truncation")
_OFFSET_WARNED = 5.0


@dataclass(frozen=True, eq=False)
class _Values:
    """Reference, prediction and predicted errors by kind; flat arrays of one length."""

    reference: NDArray[np.float64]
    predicted: NDArray[np.float64]
    sds: dict[str, NDArray[np.float64]]

    def take(self, index: NDArray[np.bool_]) -> _Values:
        sds = {name: sd[index] for name, sd in self.sds.items()}
        return _Values(self.reference[index], self.predicted[index], sds)

    def compare(self, unit: str, *, about_mean: bool = False) -> Comparison:
        errors = self.predicted - self.reference
        return Comparison(
            unit,
            agreement(self.reference, self.predicted, about_mean=about_mean),
            {name: calibration(errors, sd) for name, sd in self.sds.items()},
        )


@dataclass(frozen=True, eq=False)
class _Frame:
    """One frame: forces, energy per atom and stress, and what its force components belong to."""

    forces: _Values
    energy: _Values | None
    stress: _Values | None
    numbers: NDArray[np.int64]
    temperature: str | None


def validate(
    model: Path | Config,
    given: GivenLabels | Path,
    output: Path | None = None,
) -> ValidationReport:
    """Compare predicted and reference forces, energies and stresses.

    Parameters
    ----------
    model : Path or Config
        Model file, or the configuration of its run.
    given : GivenLabels or Path
        Labelled frames: any supercells of the crystal, atoms in any order.
    output : Path, optional
        Directory for the report (JSON) and the plots, named after the first file; nothing is written without
        it.

    Raises
    ------
    DataError
        If a file cannot be read or written, or a frame does not belong to the crystal; with its number.
    """
    force_field = read_model(model)[0] if isinstance(model, Path) else Workspace(model).read_model()
    if isinstance(given, Path):
        given = GivenLabels((given,))
    file, found = given.name, given.read()
    snapshots = found.snapshots
    rows = frames_of_snapshots(file, snapshots, force_field.expansion)
    findings = check_frames(file, snapshots, rows)
    kept = [k for k in range(len(rows)) if k not in findings.repeated]
    distinct = FitData(findings.distinct(findings.with_origins(rows)))
    options = {"uses_stress": force_field.stress is not None, "knows_direction": True}
    check_labels(file, distinct, force_field.basis, **options)
    frames = [_compare(force_field, rows[k], snapshots[k]) for k in kept]
    forces = _join([frame.forces for frame in frames])
    check_forces(file, forces.reference, forces.predicted)
    energy = _join_known([frame.energy for frame in frames])
    stress = _join_known([frame.stress for frame in frames])
    if stress is not None:
        shape = (-1, len(force_field.basis.crystal.stress_components))
        found_stress, predicted = (each.reshape(shape) for each in (stress.reference, stress.predicted))
        check_stresses(file, found_stress, predicted, rows[0].supercell.torus.volume)
    if stress is not None and force_field.stress is None:
        stress = _measured_from_mean(stress)
    report = _report(frames, forces, energy, stress)
    doubtful = _check_frames(file, force_field, [(k, rows[k], snapshots[k]) for k in kept], frames)
    report = replace(
        report, warnings=(*found.refusals(), *findings.warnings, *_check_zero(file, report), *doubtful)
    )
    return report if output is None else _write(output, given.paths[0], report, forces)


def _report(
    frames: Sequence[_Frame], forces: _Values, energy: _Values | None, stress: _Values | None
) -> ValidationReport:
    found = forces.compare(EV_PER_ANGSTROM)
    predictive = found.errors["predictive"]
    by_energy = None if energy is None else energy.compare(EV_PER_ATOM, about_mean=True)
    numbers = np.repeat(np.concatenate([frame.numbers for frame in frames]), 3)
    temperatures = np.concatenate(
        [np.full(len(frame.forces.reference), frame.temperature or "", object) for frame in frames]
    )
    species = np.unique(numbers)
    named = sorted((t for t in set(temperatures.tolist()) if t), key=float)
    return ValidationReport(
        status="done",
        n_snapshots=len(frames),
        n_forces=found.agreement.n,
        rmse_force_ev_per_angstrom=found.agreement.rmse,
        rmse_force_relative=found.agreement.rmse_relative,
        mae_force_ev_per_angstrom=found.agreement.mae,
        r2=found.agreement.r2,
        force_rms_ev_per_angstrom=float(np.sqrt(np.mean(forces.reference**2))),
        force_sd_ev_per_angstrom=predictive.sd,
        calibration_z=predictive.z,
        fraction_within_one_sd=float(
            np.mean(np.abs(forces.predicted - forces.reference) <= forces.sds["predictive"])
        ),
        rmse_energy_ev_per_atom=None if by_energy is None else by_energy.agreement.rmse,
        force=found,
        energy=by_energy,
        stress=None if stress is None else stress.compare(EV_PER_ANGSTROM3),
        per_species={
            chemical_symbols[number]: forces.take(numbers == number).compare(EV_PER_ANGSTROM)
            for number in species.tolist()
        },
        per_temperature={t: forces.take(temperatures == t).compare(EV_PER_ANGSTROM) for t in named},
    )


def _compare(force_field: ForceField, rows: LabelledFrame, snapshot: Snapshot) -> _Frame:
    supercell = force_field.on(rows.supercell.torus, strain=rows.supercell.strain)
    energy, forces = supercell.energy_forces(rows.displacements)
    sds = _sds(supercell.force_errors(rows.displacements))
    by_energy = by_stress = None
    if rows.energy_ev is not None and force_field.training.rmse_energy_ev_per_atom is not None:
        reference, predicted = np.array([[rows.energy_ev], [energy]]) / rows.n_atoms
        by_energy = _Values(reference, predicted, _sds(supercell.energy_errors(rows.displacements)))
    if rows.stress_ev_per_angstrom3 is not None:
        told = supercell.torus.crystal.stress_components
        predicted = supercell.stress(rows.displacements)[told]
        errors = {name: sd[told] for name, sd in _sds(supercell.stress_errors(rows.displacements)).items()}
        by_stress = _Values(rows.stress_ev_per_angstrom3[told], predicted, errors)
    temperature = snapshot.provenance.temperature_kelvin
    static = force_field.static_forces_on(rows.supercell.torus).ravel()
    return _Frame(
        forces=_Values(rows.forces - static, forces.ravel() - static, sds),
        energy=by_energy,
        stress=by_stress,
        numbers=rows.supercell.torus.numbers,
        temperature=None if temperature is None else f"{temperature:g}",
    )


def _sds(errors: ForceErrors | None) -> dict[str, NDArray[np.float64]]:
    return {} if errors is None else {name: getattr(errors, name).ravel() for name in _PARTS}


def _join(parts: Sequence[_Values]) -> _Values:
    names = parts[0].sds
    return _Values(
        np.concatenate([part.reference for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        {name: np.concatenate([part.sds[name] for part in parts]) for name in names},
    )


def _join_known(parts: Sequence[_Values | None]) -> _Values | None:
    known = [part for part in parts if part is not None]
    return _join(known) if known else None


def _measured_from_mean(stress: _Values) -> _Values:
    """Stresses from their means over the frames, where the model does not know the stress at rest."""
    reference, predicted = (a.reshape(-1, 6) for a in (stress.reference, stress.predicted))
    return _Values(
        (reference - reference.mean(axis=0)).ravel(), (predicted - predicted.mean(axis=0)).ravel(), {}
    )


def _check_zero(file: Path, report: ValidationReport) -> list[str]:
    """Say so where all energies are off by about the same."""
    energy = report.energy
    if energy is None or "predictive" not in energy.errors:
        return []
    offset = energy.agreement.mean_error
    if (
        abs(offset) < _OFFSET_WARNED * energy.errors["predictive"].sd
        or abs(offset) < 0.9 * energy.agreement.rmse
    ):
        return []
    found = f"{file}: all energies are off by {offset:.4g} eV per atom, another zero than in the training"
    return [f"{found}; compare frames of one engine and one setting"]


def _check_frames(
    file: Path,
    force_field: ForceField,
    kept: Sequence[tuple[int, LabelledFrame, Snapshot]],
    frames: Sequence[_Frame],
) -> list[str]:
    """Name frames whose forces cannot be noise about their prediction."""
    training, lines = force_field.training, []
    for (k, rows, snapshot), frame in zip(kept, frames, strict=True):
        growth = float(np.sqrt(np.mean(rows.displacements**2))) / training.displacement_rms_angstrom
        errors = frame.forces.predicted - frame.forces.reference
        found = misfit(errors, max(1.0, growth) * frame.forces.sds["predictive"])
        if found.contradicts(training.force_rms_ev_per_angstrom):
            text = describe_misfit(found, snapshot, force_field.basis.crystal)
            lines.append(f"{file}, frame {k + 1}: {text}; look at its labels, or at the model's data")
    return lines


def _write(output: Path, file: Path, report: ValidationReport, forces: _Values) -> ValidationReport:
    """Write plots and report."""
    from mlff_dyn.report.calibration_plot import plot_calibration
    from mlff_dyn.report.plots import plot_parity

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot write to {output}: {error.strerror}", fix="choose a directory with -o"
        ) from None
    stem = output / file.stem
    files = {
        "report": f"{stem}.json",
        "parity": f"{stem}.png",
        "calibration": f"{stem}-calibration.png",
    }
    plot_parity(Path(files["parity"]), forces.reference, forces.predicted, forces.sds["predictive"])
    errors = forces.predicted - forces.reference
    plot_calibration(Path(files["calibration"]), errors, forces.sds, unit="eV/Å")
    found = replace(report, files=files)
    write_report(Path(files["report"]), found)
    return found
