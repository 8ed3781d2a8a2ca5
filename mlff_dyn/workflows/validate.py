"""`validate`: a model, and its own error bars, against labelled frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.model_file import read_model
from mlff_dyn.workflows.training_data import rows_of_snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.model.fit import LabelledRows
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True)
class ValidationReport:
    """How well a model predicts; the names are those of the JSON object.

    Attributes
    ----------
    n_snapshots, n_forces : int                  frames and force components
    rmse_force_ev_per_angstrom : float
    rmse_force_relative : float                  over the root mean square reference force
    mae_force_ev_per_angstrom : float
    r2 : float or None                           1 - squared errors / variance of the reference forces
    force_rms_ev_per_angstrom : float            of the reference
    force_sd_ev_per_angstrom : float             predicted error, root mean square
    calibration_z : float or None                root mean square of error over predicted error
    fraction_within_one_sd : float               0.68 for a normal error of the predicted size
    rmse_energy_ev_per_atom : float or None      None where the frames or the training had no energies
    """

    n_snapshots: int
    n_forces: int
    rmse_force_ev_per_angstrom: float
    rmse_force_relative: float | None
    mae_force_ev_per_angstrom: float
    r2: float | None
    force_rms_ev_per_angstrom: float
    force_sd_ev_per_angstrom: float
    calibration_z: float | None
    fraction_within_one_sd: float
    rmse_energy_ev_per_atom: float | None

    exit_code = 0

    def to_json(self) -> dict[str, object]:
        """Return the JSON object."""
        return {"schema": "mlff-dyn validate 1", "status": "done", **asdict(self)}

    def table(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        relative = "" if self.rmse_force_relative is None else f" ({100 * self.rmse_force_relative:.2f} %)"
        energy = self.rmse_energy_ev_per_atom
        calibration = "-" if self.calibration_z is None else f"{self.calibration_z:.2f} (1 is right)"
        return [
            ("frames", f"{self.n_snapshots}, {self.n_forces} force components"),
            ("force rmse", f"{self.rmse_force_ev_per_angstrom:.4g} eV/Å{relative}"),
            ("force mae", f"{self.mae_force_ev_per_angstrom:.4g} eV/Å"),
            ("R²", "-" if self.r2 is None else f"{self.r2:.6f}"),
            ("energy rmse", "no energies" if energy is None else f"{1000 * energy:.3g} meV per atom"),
            ("predicted force error", f"{self.force_sd_ev_per_angstrom:.4g} eV/Å"),
            ("error over predicted", calibration),
            ("within one sd", f"{100 * self.fraction_within_one_sd:.0f} % (68 % for a normal error)"),
        ]


@dataclass(frozen=True, eq=False)
class _Frame:
    """Reference forces, errors and predicted errors (flat, eV/Å), and the energy error per atom (eV)."""

    forces: np.ndarray
    errors: np.ndarray
    sd: np.ndarray
    energy_error: float | None


def validate(model: Path, file: Path) -> ValidationReport:
    """Compare predicted and reference forces and energies.

    Parameters
    ----------
    model : Path
        Model file.
    file : Path
        Labelled frames: any supercells of the crystal, atoms in any order.

    Raises
    ------
    DataError
        If a file cannot be read, or a frame does not belong to the crystal; with its number.
    """
    force_field, _ = read_model(model)
    snapshots = read_snapshots(file)
    frames = [
        _compare(force_field, rows_of_snapshots(file, [snapshot], force_field.expansion, first=i)[0])
        for i, snapshot in enumerate(snapshots)
    ]
    forces, errors, sd = (
        np.concatenate([getattr(frame, name) for frame in frames]) for name in ("forces", "errors", "sd")
    )
    energy_errors = [frame.energy_error for frame in frames if frame.energy_error is not None]
    size, rmse = _rms(forces), _rms(errors)
    known = sd > 0.0
    return ValidationReport(
        n_snapshots=len(frames),
        n_forces=len(forces),
        rmse_force_ev_per_angstrom=rmse,
        rmse_force_relative=rmse / size if size > 0.0 else None,
        mae_force_ev_per_angstrom=float(np.abs(errors).mean()),
        r2=1.0 - rmse**2 / float(forces.var()) if forces.var() > 0.0 else None,
        force_rms_ev_per_angstrom=size,
        force_sd_ev_per_angstrom=_rms(sd),
        calibration_z=_rms(errors[known] / sd[known]) if known.any() else None,
        fraction_within_one_sd=float(np.mean(np.abs(errors) <= sd)),
        rmse_energy_ev_per_atom=_rms(np.array(energy_errors)) if energy_errors else None,
    )


def _compare(force_field: ForceField, rows: LabelledRows) -> _Frame:
    supercell = force_field.on(rows.supercell.torus, strain=rows.supercell.strain)
    energy, forces = supercell.energy_forces(rows.displacements)
    energy_error = None
    if rows.energy_ev is not None and np.isfinite(force_field.training.rmse_energy_ev_per_atom):
        energy_error = (energy - rows.energy_ev) / len(rows.displacements)
    return _Frame(
        forces=rows.forces,
        errors=forces.ravel() - rows.forces,
        sd=supercell.force_errors(rows.displacements).predictive.ravel(),
        energy_error=energy_error,
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
