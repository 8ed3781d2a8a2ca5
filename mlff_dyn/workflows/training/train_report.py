"""What `train` reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.model.fitting.fit import force_constant_prior
from mlff_dyn.model.force_field import energy_errors_of_row, stress_errors_of_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.force_field import ForceErrors, ForceField
    from mlff_dyn.training.criteria import MeanErrors

CONVERGED = "converged"
STATIC = "static fit"
BUDGET = "budget exhausted"
LIMITED = "limited by the expansion"
DRY_RUN = "dry run"


@dataclass(frozen=True)
class TrainReport:
    """Result of a training.

    Attributes
    ----------
    status : str
    up_to_date : bool                        nothing had to be done
    values : dict                            further JSON values, units in their names
    """

    status: str
    values: dict[str, Any] = field(default_factory=dict)
    up_to_date: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 4 if the limit was not reached."""
        return 4 if self.status in (BUDGET, LIMITED) else 0

    def to_json(self) -> dict[str, object]:
        """Return the JSON object."""
        return {"schema": "mlff-dyn train 1", "status": self.status, **self.values}

    def table(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        values = self.values
        rows = [("status", self.status + (" (up to date)" if self.up_to_date else ""))]
        warnings = [("warning", line) for line in values.get("warnings", ())]
        if self.status == DRY_RUN:
            sizes = {name: value for name, value in values.items() if name != "warnings"}
            return [
                *rows,
                *((name.replace("_", " "), str(value)) for name, value in sizes.items()),
                *warnings,
            ]
        rows += [
            (
                "labelled snapshots",
                f"{values['n_labelled']} ({values['n_calculations']} calculated in this run)",
            ),
            ("MD steps", f"{values['n_steps']}"),
            ("fit, force rmse", f"{values['rmse_force_ev_per_angstrom']:#.2g} eV/Å"),
            ("fit, relative", f"{100 * values['rmse_force_relative']:.2f} %"),
            ("expected force error", _describe_parts(values["force_sd_ev_per_angstrom"])),
            ("expected, relative", f"{100 * values['force_sd_relative']:.2f} %"),
        ]
        if values.get("prior"):
            rows.append(("prior", _describe_prior(values["prior"])))
        if values.get("calibration_z") is not None:
            rows.append(
                ("error over expected", f"{values['calibration_z']:.2f} on calculations not trained on")
            )
        energy = values.get("energy_sd_ev_per_atom")
        if energy is not None:
            rows.append(("expected energy error", f"{1000 * energy['predictive']:.3g} meV per atom"))
        rows.append(("to lower it", remedy(values["force_sd_ev_per_angstrom"])))
        rows += warnings
        if self.status == LIMITED:
            rows.append(
                (
                    "advice",
                    "add an order or enlarge expansion.cutoffs_angstrom: more data cannot reach the limit",
                )
            )
        if self.status == BUDGET:
            rows.append(("advice", "raise training.max_calculations and run the same command again"))
        return rows


def describe_fit(force_field: ForceField) -> dict[str, object]:
    """JSON values of a fit."""
    training, posterior = force_field.training, force_field.posterior
    noise, values = posterior.noise, posterior.hyperparameters.prior_values
    prior = force_constant_prior(force_field.basis)
    decays = [str(order) for order in force_field.basis.orders if order > 1]
    return {
        "n_parameters": force_field.basis.n_parameters,
        "rmse_force_ev_per_angstrom": training.rmse_force_ev_per_angstrom,
        "rmse_force_relative": training.rmse_force_ev_per_angstrom / training.force_rms_ev_per_angstrom,
        "rmse_energy_ev_per_atom": training.rmse_energy_ev_per_atom,
        "log_evidence": posterior.log_evidence,
        "noise_sd": float(np.sqrt(noise.variance(noise.reference_amplitude))),
        "noise_exponent": noise.exponent,
        "prior_sd": dict(zip(prior.group_names, np.exp(values[: prior.n_groups]).tolist(), strict=True)),
        "prior_decay_per_angstrom": dict(zip(decays, values[prior.n_groups :].tolist(), strict=True)),
        "calibration": force_field.calibration,
        "prior": None if force_field.transfer is None else force_field.transfer.to_json(),
    }


def describe_errors(errors: MeanErrors) -> dict[str, object]:
    """JSON values of averaged errors, absolute and relative to the root mean square force."""
    parts = ("epistemic", "truncation", "predictive")
    absolute = {part: getattr(errors, part) * errors.force_rms_ev_per_angstrom for part in parts}
    return {"force_sd_ev_per_angstrom": absolute, "force_sd_relative": errors.predictive}


def _describe_prior(prior: dict[str, Any]) -> str:
    if not prior["used"]:
        return f"{prior['source']} (not used: the data are more probable without it)"
    return f"{prior['source']} (scales {' '.join(f'{scale:.2f}' for scale in prior['scales'].values())})"


def describe_labels(force_field: ForceField, data: FitData) -> dict[str, object]:
    """JSON values of the errors of energies and stresses, averaged over the data; None where not fitted."""
    energies, stresses = [], []
    for index, frame in enumerate(data.frames):
        amplitude = frame.amplitude_angstrom
        if force_field.energy is not None:
            row = data.energy_row(index) / frame.n_atoms
            energies.append(energy_errors_of_row(force_field, row, amplitude))
        if force_field.stress is not None:
            stresses.append(stress_errors_of_rows(force_field, data.stress_rows(index), amplitude))
    return {
        "energy_sd_ev_per_atom": _mean_parts(energies),
        "stress_sd_ev_per_angstrom3": _mean_parts(stresses),
    }


def _mean_parts(errors: Sequence[ForceErrors | None]) -> dict[str, float] | None:
    if not errors:
        return None
    parts = ("epistemic", "truncation", "predictive")
    return {p: float(np.sqrt(np.mean([getattr(e, p) ** 2 for e in errors]))) for p in parts}


def remedy(sd: dict[str, float]) -> str:
    """Say which part of the error more data would remove, and which only a larger expansion would."""
    total = sd["predictive"] ** 2
    if not total > 0.0:
        return "nothing to do"
    share = 100.0 * sd["epistemic"] ** 2 / total
    parts = (
        f"more data remove at most {sd['epistemic']:#.2g} eV/Å ({share:.0f} % of the variance), "
        f"only more orders or larger cutoffs the other {sd['truncation']:#.2g}"
    )
    return f"{'data' if share >= 50.0 else 'expansion'}: {parts}"


def _describe_parts(sd: dict[str, float]) -> str:
    parts = f"epistemic {sd['epistemic']:#.2g}, truncation {sd['truncation']:#.2g}"
    return f"{sd['predictive']:#.2g} eV/Å ({parts})"
