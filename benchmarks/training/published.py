"""The published scheme with its own model: force constants of orders 2 to 6 with one prior and one noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions
from mlff_dyn.model.force_field import ForceField, TrainingSummary
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.regression.fit.posterior import fit_posterior
from mlff_dyn.regression.fit.priors import PriorBlock, StructuredPrior
from mlff_dyn.store.provenance import LEFT_TRUSTED_REGION
from mlff_dyn.training.criteria.paper import PaperCriterion
from mlff_dyn.training.exploration import QUIET, ExplorationPlan, explore
from mlff_dyn.training.initial import rattled_displacements

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.regression.data.conditions import Conditions

_STARTS = 5
_START_ANGSTROM = 0.01


@dataclass(frozen=True)
class ConstantNoise:
    """One noise sd for all rows; the value is its logarithm."""

    def start(self, target_rms: float) -> np.ndarray:
        """First guess of the values."""
        return np.array([np.log(0.05 * target_rms)])

    def bounds(self, target_rms: float, smallest: float = 1e-7) -> list[tuple[float, float]]:
        """Range of each value."""
        return [(float(np.log(smallest * target_rms)), float(np.log(10 * target_rms)))]

    def model(self, values: np.ndarray) -> NoiseModel:
        """Noise model that the values mean."""
        return NoiseModel(float(np.exp(values[0])))

    def other_models(self, values: np.ndarray) -> dict[int, NoiseModel]:  # noqa: ARG002 (none)
        """No other kinds of rows."""
        return {}

    def values(self, forces: NoiseModel, others: dict[int, NoiseModel], target_rms: float) -> np.ndarray:  # noqa: ARG002
        """Return the values that mean a given model."""
        return np.array([np.log(forces.floor_sd)])

    def variances(self, values: np.ndarray, conditions: Conditions) -> np.ndarray:
        """Noise variance under each of the conditions."""
        return np.full(len(conditions.amplitudes), np.exp(2 * values[0]))

    def gradient(self, values: np.ndarray, conditions: Conditions, by_variance: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Derivatives by the values, given those by the variance under each condition."""
        return np.array([2 * np.exp(2 * values[0]) * by_variance.sum()])

    def log_prior(self, values: np.ndarray, target_rms: float) -> tuple[float, np.ndarray]:  # noqa: ARG002
        """Log prior density of the values, up to a constant, and its gradient."""
        return 0.0, np.zeros_like(values)


def fit_published(basis: ForceConstantBasis, data: FitData) -> ForceField:
    """Posterior with covariance S = (α I + β XᵀX)⁻¹, α and β by evidence; errors are not calibrated."""
    count = data.expansion.n_parameters
    single = PriorBlock(np.eye(count), np.zeros(count, np.int64), None, np.zeros(count))
    observations = data.observations(np.ones(count))
    size = observations.target_rms
    posterior = fit_posterior(
        observations, StructuredPrior([single], ("all",)), ConstantNoise(), noise_hint=1e-3 * size
    )
    moved = np.concatenate([frame.displacements for frame in data.frames])
    return ForceField(
        basis,
        posterior,
        calibration=1.0,
        training=TrainingSummary(
            n_snapshots=len(data),
            displacement_rms_angstrom=float(np.sqrt(np.mean(moved**2))),
            displacement_max_angstrom=float(np.linalg.norm(moved, axis=1).max()),
            force_rms_ev_per_angstrom=size,
            rmse_force_ev_per_angstrom=0.0,
            rmse_energy_ev_per_atom=None,
            reference_energy_ev_per_cell=0.0,
        ),
    )


@dataclass(frozen=True, eq=False)
class PublishedTraining:
    """What the published scheme came to.

    Attributes
    ----------
    force_field : ForceField
    numbers, errors : tuple           calculations after each refit, and what `measure` found then
    called_at : tuple of float        see `Run`
    n_stopped : int                   how often they left the trusted region
    """

    force_field: ForceField
    numbers: tuple[int, ...]
    errors: tuple[float, ...]
    called_at: tuple[float, ...]
    n_stopped: int


def train_published(
    laboratory: Laboratory, n_steps: int, most: int, seed: int, measure: Callable[[ForceField], float]
) -> PublishedTraining:
    """Train by the published criterion, one trajectory at each temperature of a system."""
    system, torus = laboratory.system, laboratory.torus
    starts = [rattled_displacements(torus.n_atoms, _START_ANGSTROM, (seed, k)) for k in range(_STARTS)]
    data = FitData([laboratory.calculate(u) for u in starts], FitOptions(energies=False))
    force_field = fit_published(laboratory.basis, data)
    numbers, errors, called_at, n_stopped = [len(data)], [measure(force_field)], [], 0
    for temperature in system.temperatures_kelvin:
        trajectory, made = None, 0
        while len(data) < most:
            plan = ExplorationPlan(
                temperature_kelvin=temperature,
                timestep_femtoseconds=system.timestep_femtoseconds,
                n_steps=n_steps,
                seed=(seed, round(temperature), len(data)),
                tested_error_relative=0.0,
                start=trajectory,
            )
            found = explore(force_field.on(torus), PaperCriterion(), plan, lambda *_: None)
            if found.reason == QUIET:
                break
            n_stopped += found.reason == LEFT_TRUSTED_REGION
            trajectory, made = found.trajectory, made + found.n_steps
            called_at.append(made / n_steps)
            frames = found.displacements
            if not len(frames):
                frames = rattled_displacements(torus.n_atoms, 2 * _START_ANGSTROM, plan.seed)[None]
            data = data.extended([laboratory.calculate(u) for u in frames])
            force_field = fit_published(laboratory.basis, data)
            numbers.append(len(data))
            errors.append(measure(force_field))
    return PublishedTraining(force_field, tuple(numbers), tuple(errors), tuple(called_at), n_stopped)
