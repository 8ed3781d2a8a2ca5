"""What `train` reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.model.fitting.energy_prior import decay_names, energy_prior
from mlff_dyn.model.force_field import ForceErrors, energy_errors_of_row, stress_errors_of_rows
from mlff_dyn.report.answer import Report
from mlff_dyn.report.numbers import (
    UNKNOWN,
    format_displacements,
    format_error,
    format_parts,
    format_percent,
    format_remedy,
)
from mlff_dyn.workflows.training.temperature_rows import ALL_ORDERS, order_rows, source_rows, temperature_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.store.provenance import Provenance
    from mlff_dyn.training.criteria.errors import MeanErrors

CONVERGED = "converged"
STATIC = "static fit"
BUDGET = "budget exhausted"
LIMITED = "limited by the expansion"
ALL_STEPS = "all steps made, error above the limit"
NARROW = "md.displacement_limit_angstrom is too small"
_PARTS = ("epistemic", "truncation", "predictive")
_NOT_REACHED = (LIMITED, BUDGET, ALL_STEPS, NARROW)


@dataclass(frozen=True, kw_only=True)
class TrainReport(Report):
    """Result of a training; the names are those of the JSON object.

    Attributes
    ----------
    n_labelled, n_calculations : int                 snapshots, and those calculated in this run
    n_steps : int                                    of exploring dynamics
    n_parameters : int                               of both parts of the energy
    rmse_force_ev_per_angstrom, rmse_force_relative, rmse_energy_ev_per_atom : float or None
        Of the fit; None where it had no such labels.
    log_evidence, noise_sd, noise_exponent : float
    prior_sd, prior_decay_per_angstrom : dict        by group of parameters, and by order
    calibration : float                              factor on all standard deviations
    prior : dict or None                             what became of the guess of a cheaper source
    force_sd_ev_per_angstrom : dict or None          expected error by part
    force_sd_relative : float or None                predictive one over the root mean square force
    displacement_rms_angstrom, displacement_max_angstrom : float or None
        Displacements for which the expected errors hold.
    energy_sd_ev_per_atom, stress_sd_ev_per_angstrom3 : dict or None
    calibration_z : float or None
        Root mean square of true over expected error of calculations before they were trained on.
    warnings : sequence of str
    temperatures : sequence of dict                  see `TemperatureSummary`; empty of a static fit
    advice : str                                     what to do if the limit was not reached
    advice_steps : sequence of dict                  see `AdvisedStep`; empty where none is known to help
    null_reasons : dict of str                       why values are None, by their names
    n_parameters_local : int                         those of the local part
    file : dict or None                              what came of the user's trajectory
    observable : dict or None                        error of the observable that the training is for
    orders : dict or None
        Orders in use, and the log evidence up to each, where the data choose them.
    """

    verb = "train"
    n_labelled: int
    n_calculations: int
    n_steps: int
    n_parameters: int
    rmse_force_ev_per_angstrom: float
    rmse_force_relative: float
    rmse_energy_ev_per_atom: float | None
    log_evidence: float
    noise_sd: float
    noise_exponent: float
    prior_sd: dict[str, float]
    prior_decay_per_angstrom: dict[str, float]
    calibration: float
    prior: dict[str, Any] | None
    force_sd_ev_per_angstrom: dict[str, float] | None
    force_sd_relative: float | None
    displacement_rms_angstrom: float | None
    displacement_max_angstrom: float | None
    energy_sd_ev_per_atom: dict[str, float] | None
    stress_sd_ev_per_angstrom3: dict[str, float] | None
    calibration_z: float | None
    warnings: Sequence[str]
    temperatures: Sequence[dict[str, Any]] = ()
    advice: str = ""
    advice_steps: Sequence[dict[str, Any]] = ()
    null_reasons: dict[str, str] = field(default_factory=dict)
    n_parameters_local: int = 0
    file: dict[str, Any] | None = None
    observable: dict[str, Any] | None = None
    orders: dict[str, Any] | None = None

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        unstable = "the crystal is not stable yet"
        return {
            "file": "training.exploration.file is not set",
            "n_frames": "nobody has looked at the file",
            "observable": "training.criterion.kind is not observable",
            "orders": ALL_ORDERS,
            **dict.fromkeys(("error_relative", "epistemic_relative", "truncation_relative"), unstable),
            **self.null_reasons,
        }

    @property
    def exit_code(self) -> int:
        """0, or 4 if the limit was not reached."""
        return 4 if self.status in _NOT_REACHED else 0

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        sd, energy = self.force_sd_ev_per_angstrom, self.energy_sd_ev_per_atom
        rows = [
            ("labelled snapshots", f"{self.n_labelled} ({self.n_calculations} calculated in this run)"),
            ("MD steps", f"{self.n_steps}"),
            *([("parameters", self._describe_parameters())] if self.n_parameters_local else []),
            *order_rows(self.orders),
            ("fit, force rmse", format_error(self.rmse_force_ev_per_angstrom)),
            ("fit, relative", format_percent(self.rmse_force_relative)),
        ]
        if sd is None or self.force_sd_relative is None:
            reason = self.null_reasons.get("force_sd_relative", "not known")
            rows.append(("expected force error", f"{UNKNOWN}: {reason}"))
        else:
            rows.append(("expected force error", f"{format_error(sd['predictive'])} ({format_parts(sd)})"))
            expected = f"{format_percent(self.force_sd_relative)} {self._holds_for()}".rstrip()
            rows.append(("expected, relative", expected))
        if self.prior:
            rows.append(("prior", _describe_prior(self.prior)))
        if self.calibration_z is not None:
            rows.append(("error over expected", f"{self.calibration_z:.2f} on calculations not trained on"))
        if energy is not None:
            rows.append(("expected energy error", f"{1000 * energy['predictive']:.3g} meV per atom"))
        if sd is not None:
            rows.append(("to lower it", format_remedy(sd)))
        rows += temperature_rows(self.temperatures)
        rows += source_rows(self.file, self.observable)
        rows += [("warning", line) for line in self.warnings]
        return rows + ([("advice", self.advice)] if self.advice else [])

    def _describe_parameters(self) -> str:
        n_local = self.n_parameters_local
        return f"{self.n_parameters - n_local} of force constants, {n_local} of the local part"

    def _holds_for(self) -> str:
        return format_displacements(self.displacement_rms_angstrom, self.displacement_max_angstrom)


def n_parameters_of(expansion: Expansion) -> dict[str, int]:
    """JSON values of the numbers of parameters: of all, and of the local part."""
    n_local = expansion.n_parameters - expansion.basis.n_parameters
    return {"n_parameters": expansion.n_parameters, "n_parameters_local": n_local}


def describe_fit(force_field: ForceField) -> dict[str, Any]:
    """JSON values of a fit."""
    training, posterior = force_field.training, force_field.posterior
    noise, values = posterior.noise, posterior.hyperparameters.prior_values
    prior = energy_prior(force_field.basis, force_field.local)
    decays = decay_names(force_field.basis, force_field.local)
    return {
        **n_parameters_of(force_field.expansion),
        "rmse_force_ev_per_angstrom": training.rmse_force_ev_per_angstrom,
        "rmse_force_relative": training.rmse_force_ev_per_angstrom / training.force_rms_ev_per_angstrom,
        "rmse_energy_ev_per_atom": training.rmse_energy_ev_per_atom,
        "log_evidence": posterior.log_evidence,
        "noise_sd": float(np.sqrt(noise.variance(noise.reference_amplitude))),
        "noise_exponent": noise.exponent,
        "prior_sd": dict(zip(prior.group_names, np.exp(values[: prior.n_groups]).tolist(), strict=True)),
        "prior_decay_per_angstrom": dict(zip(decays, values[prior.n_groups :].tolist(), strict=True)),
        "calibration": force_field.calibration,
        "prior": None if force_field.prior_guess is None else force_field.prior_guess.to_json(),
    }


def describe_errors(errors: MeanErrors | None) -> dict[str, Any]:
    """JSON values of averaged errors, absolute and relative to the root mean square force."""
    if errors is None:
        names = ("force_sd_ev_per_angstrom", "force_sd_relative")
        return dict.fromkeys((*names, "displacement_rms_angstrom", "displacement_max_angstrom"))
    absolute = {part: getattr(errors, part) * errors.force_rms_ev_per_angstrom for part in _PARTS}
    return {
        "force_sd_ev_per_angstrom": absolute,
        "force_sd_relative": errors.predictive,
        "displacement_rms_angstrom": errors.displacement_rms_angstrom,
        "displacement_max_angstrom": errors.displacement_max_angstrom,
    }


def _describe_prior(prior: dict[str, Any]) -> str:
    if not prior["used"]:
        return f"{prior['source']} (not used: the data are more probable without it)"
    return f"{prior['source']} (scales {' '.join(f'{scale:.2f}' for scale in prior['scales'].values())})"


def describe_labels(force_field: ForceField, data: FitData) -> dict[str, Any]:
    """JSON values of the errors of energies and stresses, averaged over the data; None where not fitted."""
    energies, stresses = [], []
    for index, frame in enumerate(data.frames):
        amplitude = frame.amplitude_angstrom
        if force_field.energy is not None:
            row = data.energy_row(index) / frame.n_atoms
            energies.append(energy_errors_of_row(force_field, row, amplitude))
        if force_field.stress is not None:
            errors = stress_errors_of_rows(force_field, data.stress_rows(index), amplitude)
            if errors is not None:
                parts = (getattr(errors, part)[data.stress_components] for part in _PARTS)
                stresses.append(ForceErrors(*parts))
    return {
        "energy_sd_ev_per_atom": _mean_parts(energies),
        "stress_sd_ev_per_angstrom3": _mean_parts(stresses),
    }


def why_unknown(data: FitData, no_errors: str | None) -> dict[str, str]:
    """Why values of the answer are None, where they are.

    Parameters
    ----------
    data : FitData
    no_errors : str or None
        Why the exploring dynamics have no errors.
    """
    energies = [frame for frame in data.frames if frame.energy_ev is not None]
    if not energies:
        no_energy = "no labelled snapshot has an energy"
    elif all(frame.supercell.strain.any() for frame in energies):
        no_energy = "all labelled cells with energies are strained"
    else:
        no_energy = "fewer than two labelled energies"
    no_stress = "fewer than two labelled stresses"
    no_errors = no_errors or "no exploring dynamics"
    return {
        "rmse_energy_ev_per_atom": no_energy,
        "energy_sd_ev_per_atom": no_energy if data.options.energies else "training.fit.energies is false",
        "stress_sd_ev_per_angstrom3": no_stress if data.options.stress else "training.fit.stress is false",
        "force_sd_ev_per_angstrom": no_errors,
        "force_sd_relative": no_errors,
        "displacement_rms_angstrom": no_errors,
        "displacement_max_angstrom": no_errors,
        "found_force_error_relative": "no calculation at this temperature was predicted before",
        "calibration_z": "no calculation was predicted before it was trained on",
        "prior": "training.prior is not set",
    }


def _mean_parts(errors: Sequence[ForceErrors | None]) -> dict[str, float] | None:
    if not errors:
        return None
    return {p: float(np.sqrt(np.mean([getattr(e, p) ** 2 for e in errors]))) for p in _PARTS}


def describe_calculation(label: Provenance) -> str:
    """Say in one line why a calculation was made, and what it found."""
    text = f"calculation {label.calculation}: {label.reason}"
    if label.found_force_error_relative is None:
        return text
    return (
        f"{text}; expected error {label.expected_force_error_ev_per_angstrom:#.2g} eV/Å, "
        f"found {label.found_force_error_ev_per_angstrom:#.2g} eV/Å "
        f"({100 * label.found_force_error_relative:.2f} %)"
    )
