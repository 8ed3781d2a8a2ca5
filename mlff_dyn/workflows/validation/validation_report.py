"""What `validate` reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlff_dyn.regression.errors.agreement import LEVELS
from mlff_dyn.report.answer import Report
from mlff_dyn.report.numbers import format_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlff_dyn.regression.errors.agreement import Agreement, Calibration

EV_PER_ANGSTROM, EV_PER_ATOM, EV_PER_ANGSTROM3 = "ev_per_angstrom", "ev_per_atom", "ev_per_angstrom3"


@dataclass(frozen=True)
class Comparison:
    """Predictions of one quantity against reference values.

    Attributes
    ----------
    unit : str                        as in the names of JSON keys
    agreement : Agreement
    errors : dict of Calibration      by the kind of predicted error
    """

    unit: str
    agreement: Agreement
    errors: dict[str, Calibration] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return plain values, units in their names."""
        found, unit = self.agreement, self.unit
        return {
            "n": found.n,
            f"rmse_{unit}": found.rmse,
            f"mae_{unit}": found.mae,
            f"mean_error_{unit}": found.mean_error,
            "rmse_relative": found.rmse_relative,
            "r2": found.r2,
            "errors": {
                name: {
                    f"sd_{unit}": part.sd,
                    "calibration_z": part.z,
                    "coverage": {str(level): part.coverage[place] for place, level in enumerate(LEVELS)},
                }
                for name, part in self.errors.items()
            },
        }


@dataclass(frozen=True)
class ValidationReport(Report):
    """How well a model predicts; the names are those of the JSON object.

    Attributes
    ----------
    n_snapshots, n_forces : int                  frames and force components
    rmse_force_ev_per_angstrom : float
    rmse_force_relative : float or None          over the root mean square reference force
    mae_force_ev_per_angstrom : float
    r2 : float or None                           1 - squared errors / variance of the reference forces
    force_rms_ev_per_angstrom : float            of the reference
    force_sd_ev_per_angstrom : float             predicted error, root mean square
    calibration_z : float or None                root mean square of error over predicted error
    fraction_within_one_sd : float               0.68 for a normal error of the predicted size
    rmse_energy_ev_per_atom : float or None      None where the frames or the training had no energies
    force, energy, stress : Comparison or None   the same and more of each quantity, None where not known
    per_species, per_temperature : dict          forces of each element, and of each temperature in the frames
    warnings : tuple of str
    files : dict                                 what was written
    """

    verb = "validate"
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
    force: Comparison
    energy: Comparison | None = None
    stress: Comparison | None = None
    per_species: dict[str, Comparison] = field(default_factory=dict)
    per_temperature: dict[str, Comparison] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, object]:
        """Return the JSON values."""
        return {name: _plain(value) for name, value in super().values().items()}

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        no_energy = "the frames or the training have no energies"
        return {
            "rmse_relative": "the reference values are zero",
            "rmse_force_relative": "the reference forces are zero",
            "r2": "the reference values do not vary",
            "calibration_z": "the predicted errors are zero",
            "rmse_energy_ev_per_atom": no_energy,
            "energy": no_energy,
            "stress": "the frames have no stress",
        }

    def table(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        energy = self.rmse_energy_ev_per_atom
        rows = [
            ("frames", f"{self.n_snapshots}, {self.n_forces} force components"),
            ("force rmse", format_error(self.rmse_force_ev_per_angstrom, self.rmse_force_relative, ".4g")),
            ("force mae", format_error(self.mae_force_ev_per_angstrom, form=".4g")),
            ("R²", "-" if self.r2 is None else f"{self.r2:.6f}"),
            ("energy rmse", "no energies" if energy is None else f"{1000 * energy:.3g} meV per atom"),
        ]
        if self.stress is not None:
            rows.append(("stress rmse", f"{self.stress.agreement.rmse:.3g} eV/Å³"))
        rows += [
            ("predicted force error", format_error(self.force_sd_ev_per_angstrom, form=".4g")),
            ("error over predicted", _score(self.calibration_z)),
            ("within one sd", f"{100 * self.fraction_within_one_sd:.0f} % (68 % for a normal error)"),
        ]
        for label, part in (
            ("energy error over predicted", self.energy),
            ("stress error over predicted", self.stress),
        ):
            if part is not None and "predictive" in part.errors:
                rows.append((label, _score(part.errors["predictive"].z)))
        rows += [(f"  {name}", _line(part)) for name, part in self.per_species.items()]
        rows += [(f"  {name} K", _line(part)) for name, part in self.per_temperature.items()]
        rows += [("written", path) for path in self.files.values()]
        return rows + [("warning", line) for line in self.warnings]


def _plain(value: Any) -> object:  # noqa: ANN401 (a field of any type)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value.to_json() if isinstance(value, Comparison) else value


def _score(z: float | None) -> str:
    return "-" if z is None else f"{z:.2f} (1 is right)"


def _line(part: Comparison) -> str:
    """Force error of a part of the frames on one line."""
    found, predicted = part.agreement, part.errors["predictive"]
    z = "-" if predicted.z is None else f"{predicted.z:.2f}"
    within = f"{100 * predicted.coverage[LEVELS.index(68)]:.0f} % within one sd"
    return f"rmse {format_error(found.rmse, found.rmse_relative, '.4g')}, over predicted {z}, {within}"
