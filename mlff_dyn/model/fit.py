"""Fit a force field to labelled supercells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.model.force_field import ForceField, TrainingSummary
from mlff_dyn.model.labelled_rows import DataRows, FitOptions, LabelledRows, label_rows
from mlff_dyn.model.row_errors import (
    energy_model,
    left_out_scores,
    noise_family,
    pops_factor,
    stress_model,
)
from mlff_dyn.model.transfer import fit_with_guess
from mlff_dyn.regression.calibration import calibration_scale
from mlff_dyn.regression.posterior import fit_posterior
from mlff_dyn.regression.priors import PriorBlock, StructuredPrior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.lattice.basis import ClusterClasses, ForceConstantBasis
    from mlff_dyn.model.transfer import TransferGuess, TransferSummary
    from mlff_dyn.regression.posterior import Posterior

__all__ = ["FitOptions", "LabelledRows", "fit_force_field", "force_constant_prior", "label_rows"]

DEFAULT_OPTIONS = FitOptions()
_NOISE_HINT_RELATIVE = 0.02
_MOST_LEFT_OUT = 20


def fit_force_field(
    basis: ForceConstantBasis,
    data: Sequence[LabelledRows],
    *,
    options: FitOptions = DEFAULT_OPTIONS,
    guess: TransferGuess | None = None,
) -> ForceField:
    """Fit by evidence maximization and calibrate the errors on left-out supercells.

    Columns of order n are scaled by u0^(n - 1), u0 the rms displacement of the data, so that every parameter
    is in eV/Å while hyperparameters are found.

    Parameters
    ----------
    basis : ForceConstantBasis
    data : sequence of LabelledRows
    options : FitOptions
        Kinds of rows beyond forces.
    guess : TransferGuess, optional
        What a cheaper source suggests; kept as far as the data support it.

    Raises
    ------
    FitError
        If there are no data or no displacement in them.
    """
    if not data:
        raise FitError("there is no labelled snapshot", fix="label some or give --dataset")
    displacement_rms = _rms(np.concatenate([rows.displacements.ravel() for rows in data]))
    if displacement_rms < 1e-6:
        raise FitError("no atom is displaced in the data", fix="add displaced snapshots to the data set")
    scale = np.asarray(displacement_rms ** (basis.parameter_orders - 1.0), np.float64)
    rows = DataRows(data, options)
    observations = rows.observations(scale)
    model = (observations, force_constant_prior(basis), noise_family(basis, rows))
    hint = _NOISE_HINT_RELATIVE * observations.target_rms
    transfer: TransferSummary | None = None
    if guess is None:
        fitted = fit_posterior(*model, noise_hint=hint)
    else:
        fitted, transfer = fit_with_guess(
            *model,
            guess=guess,
            parameter_orders=basis.parameter_orders,
            column_scale=scale,
            noise_hint=hint,
        )
    posterior = _unscaled(fitted, scale)
    scores = left_out_scores(posterior, rows, _representatives(data))
    summary = _summarize(posterior, data, displacement_rms)
    calibration = calibration_scale(scores.forces)
    energy = energy_model(posterior, rows, scores, calibration)
    if energy is not None:
        zero = float(energy.zero[0]) * basis.crystal.n_sites
        summary = replace(summary, reference_energy_ev_per_cell=zero)
    stress = stress_model(posterior, rows, scores)
    pops = pops_factor(posterior, rows, _representatives(data), scale)
    long_range = data[0].supercell.long_range
    return ForceField(basis, posterior, calibration, summary, energy, stress, pops, long_range, transfer)


def _unscaled(fitted: Posterior, scale: NDArray[np.float64]) -> Posterior:
    """Posterior of parameters in units of the columns before they were divided by ``scale``."""
    free = fitted.free
    return replace(
        fitted,
        mean=fitted.mean / scale,
        covariance_factor=fitted.covariance_factor / scale[:, None],
        free=None if free is None else replace(free, coupling=free.coupling * scale),
    )


def _representatives(data: Sequence[LabelledRows]) -> list[int]:
    """Data to calibrate on: all, or as many as tell enough, spread evenly over the amplitudes."""
    count = min(len(data), _MOST_LEFT_OUT)
    chosen = np.rint(np.linspace(0, len(data) - 1, count)).astype(int)
    order = np.argsort([rows.amplitude_angstrom for rows in data], kind="stable")
    return [int(k) for k in order[chosen]]


def force_constant_prior(basis: ForceConstantBasis) -> StructuredPrior:
    """Prior of the force constants: a scale per order and kind, a decay over distance per order.

    Kinds are the numbers of bodies, on-site terms being one body; pairs along their bond, whose force
    constants are far larger than those across it, have a scale of their own.
    """
    blocks: list[PriorBlock] = []
    names: list[str] = []
    for order, classes in zip(basis.orders, basis.classes, strict=True):
        kinds = _kinds(order, classes)
        present, groups = np.unique(kinds, return_inverse=True)
        distances = classes.radii - classes.radii.mean() if order > 1 else None
        log_weights = np.log(classes.multiplicities)
        blocks.append(PriorBlock(classes.whitened, len(names) + groups, distances, log_weights))
        names += [f"{order}.{kind}" for kind in present]
    return StructuredPrior(blocks, tuple(names))


def _kinds(order: int, classes: ClusterClasses) -> NDArray[np.str_]:
    """Kind of each orbit parameter."""
    kinds = np.minimum(classes.n_bodies, order).astype(str)
    if classes.is_longitudinal is not None:
        kinds = np.where(classes.is_longitudinal, np.char.add(kinds, " along"), kinds)
    return kinds


def _summarize(
    posterior: Posterior, data: Sequence[LabelledRows], displacement_rms: float
) -> TrainingSummary:
    supercells = {id(rows.supercell): rows.supercell for rows in data}
    kernels = {key: supercell.kernel(posterior.mean) for key, supercell in supercells.items()}
    predicted = [kernels[id(rows.supercell)].energy_forces(rows.displacements) for rows in data]
    residuals = np.concatenate(
        [rows.forces - forces.ravel() for rows, (_, forces) in zip(data, predicted, strict=True)]
    )
    rests: dict[int, list[float]] = {}
    for rows, (energy, _) in zip(data, predicted, strict=True):
        if rows.energy_ev is not None and not rows.supercell.strain.any():
            rests.setdefault(rows.origin, []).append((rows.energy_ev - energy) / rows.n_cells)
    per_cell = float(np.mean(rests[min(rests)])) if rests else 0.0
    n_sites = len(data[0].displacements) / data[0].n_cells
    spread = [np.array(rest) - np.mean(rest) for rest in rests.values()]
    return TrainingSummary(
        n_snapshots=len(data),
        displacement_rms_angstrom=displacement_rms,
        displacement_max_angstrom=max(float(np.linalg.norm(r.displacements, axis=1).max()) for r in data),
        force_rms_ev_per_angstrom=_rms(np.concatenate([rows.forces for rows in data])),
        rmse_force_ev_per_angstrom=_rms(residuals),
        rmse_energy_ev_per_atom=_rms(np.concatenate(spread)) / n_sites if spread else float("nan"),
        reference_energy_ev_per_cell=per_cell,
    )


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
