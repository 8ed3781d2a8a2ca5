"""Fit a force field to labelled supercells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.model.fitting.energy_prior import energy_prior
from mlff_dyn.model.fitting.error_models import (
    energy_model,
    held_out_scores,
    noise_family,
    site_scales,
    stress_model,
)
from mlff_dyn.model.fitting.prior_guess import fit_with_guess
from mlff_dyn.model.force_field import ForceField, TrainingSummary
from mlff_dyn.regression.errors.held_out import calibration_scale
from mlff_dyn.regression.fit.evidence import maximize_evidence
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors
from mlff_dyn.regression.fit.posterior import fit_posterior
from mlff_dyn.regression.linalg.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.model.expansion import SupercellExpansion
    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.fitting.prior_guess import PriorGuess, PriorGuessSummary
    from mlff_dyn.regression.data.observations import Observations
    from mlff_dyn.regression.fit.evidence import Hyperparameters
    from mlff_dyn.regression.fit.noise_by_kind import KindNoise
    from mlff_dyn.regression.fit.posterior import Posterior
    from mlff_dyn.regression.fit.priors import StructuredPrior

_SMALLEST_SHARE = 1e-7


@one_thread()
def fit_force_field(
    basis: ForceConstantBasis,
    data: FitData,
    *,
    guess: PriorGuess | None = None,
    hyperpriors: Hyperpriors = HYPERPRIORS,
) -> ForceField:
    """Fit by evidence maximization and calibrate the errors on held-out supercells.

    Columns of order n are scaled by u0^(n - 1), u0 the rms displacement of the data, so that every parameter
    is in eV/Å while hyperparameters are found. Fits to growing data cost what the new data cost: rows are
    added to sums, and the search begins where that of a little less data ended, see `FitData`.

    Parameters
    ----------
    basis : ForceConstantBasis
    data : FitData
    guess : PriorGuess, optional
        What a cheaper source suggests; kept as far as the data support it.
    hyperpriors : Hyperpriors

    Raises
    ------
    FitError
        If there are no data or no displacement in them.
    """
    problem, fitted, prior_guess = _search(basis, data, guess, hyperpriors)
    posterior = _unscaled(fitted, problem)
    chosen = _representatives(data, hyperpriors.most_held_out)
    scores = held_out_scores(posterior, data, chosen, most_atoms=hyperpriors.most_scored_atoms)
    summary = _summarize(posterior, problem, _residual_rms(fitted, posterior, problem))
    scales = site_scales(scores, basis.crystal)
    held_out = scores.forces
    if scales is not None:
        held_out = tuple(
            part.with_scales(scales[sites]) for part, sites in zip(held_out, scores.sites, strict=True)
        )
    calibration = calibration_scale(held_out, len(data))
    energy = energy_model(posterior, data, scores, calibration, coherence=hyperpriors.coherence)
    if energy is not None:
        zero = float(energy.zero[0]) * basis.crystal.n_sites
        summary = replace(summary, reference_energy_ev_per_cell=zero)
    return ForceField(
        basis,
        posterior,
        calibration,
        summary,
        energy=energy,
        stress=stress_model(posterior, data, scores),
        long_range=data.expansion.long_range,
        local=data.expansion.local,
        prior_guess=prior_guess,
        site_scales=scales,
    )


def _search(
    basis: ForceConstantBasis, data: FitData, guess: PriorGuess | None, hyperpriors: Hyperpriors
) -> tuple[_Problem, Posterior, PriorGuessSummary | None]:
    """Posterior at the hyperparameters of largest evidence, in the units of the problem."""
    start = _earlier(basis, data, hyperpriors) if guess is None else None
    problem = _pose(basis, data, hyperpriors)
    guess = None if guess is None else guess.of_orders(data.expansion.parameter_orders)
    if guess is not None and guess.parameters.any():
        fitted, summary = fit_with_guess(
            *problem.model,
            guess=guess,
            column_scale=problem.scale,
            noise_hint=problem.noise_hint,
        )
        return problem, fitted, summary
    fitted = fit_posterior(
        *problem.model, noise_hint=problem.noise_hint, start=start, hyperpriors=hyperpriors
    )
    data.remember(fitted.hyperparameters)
    return problem, fitted, None


@dataclass(frozen=True, eq=False)
class _Problem:
    """A fit before the search.

    Columns are divided by powers of the displacement rounded to a power of two, which growing data rarely
    change.
    """

    data: FitData
    displacement_rms: float
    displacement_unit: float
    scale: NDArray[np.float64]
    model: tuple[Observations, StructuredPrior, KindNoise]
    noise_hint: float


def _pose(basis: ForceConstantBasis, data: FitData, hyperpriors: Hyperpriors) -> _Problem:
    expansion = data.expansion
    displacement_rms = _rms(np.concatenate([frame.displacements.ravel() for frame in data.frames]))
    if displacement_rms < 1e-6:
        raise FitError("no atom is displaced in the data", fix="add displaced snapshots to the data set")
    unit = float(2.0 ** np.rint(np.log2(displacement_rms)))
    scale = np.asarray(unit ** expansion.displacement_powers.astype(float), np.float64)
    observations = data.observations(scale)
    model = (
        observations,
        energy_prior(basis, expansion.local, hyperpriors),
        noise_family(basis, data, hyperpriors),
    )
    noise_hint = hyperpriors.noise_hint_relative * observations.target_rms
    return _Problem(data, displacement_rms, unit, scale, model, noise_hint)


def _earlier(basis: ForceConstantBasis, data: FitData, hyperpriors: Hyperpriors) -> Hyperparameters | None:
    """Hyperparameters of the fit to the data up to the last milestone; None at one, and where data are few.

    None also where the data do not grow. Fits to milestones begin anew, so that the search does not stay
    where few data have led it.
    """
    n = _last_milestone(len(data), hyperpriors.fewest_earlier)
    if not data.grows or n is None or n == len(data):
        return None
    part = data.first(n)
    if part.start is None:
        problem = _pose(basis, part, hyperpriors)
        part.remember(
            maximize_evidence(*problem.model, noise_hint=problem.noise_hint, hyperpriors=hyperpriors)
        )
    return part.start


def _last_milestone(n_data: int, fewest: int) -> int | None:
    """Largest number not above n_data of those that grow by a quarter of 2^k, from each 2^k on."""
    if n_data < fewest:
        return None
    return n_data - n_data % max(1, (1 << n_data.bit_length()) // 8)


def _unscaled(fitted: Posterior, problem: _Problem) -> Posterior:
    """Posterior of parameters in units of the columns before they were divided; prior sds in units of u0."""
    free, scale, prior = fitted.free, problem.scale, problem.model[1]
    values = fitted.hyperparameters.prior_values.copy()
    values[: prior.n_groups] += (prior.group_orders - 1) * np.log(
        problem.displacement_rms / problem.displacement_unit
    )
    return replace(
        fitted,
        mean=fitted.mean / scale,
        covariance_factor=fitted.covariance_factor / scale[:, None],
        hyperparameters=replace(fitted.hyperparameters, prior_values=values),
        free=None if free is None else replace(free, coupling=free.coupling * scale),
    )


def _representatives(data: FitData, most: int) -> list[int]:
    """Data to calibrate on: all, or as many as tell enough, spread evenly over the amplitudes."""
    count = min(len(data), most)
    chosen = np.rint(np.linspace(0, len(data) - 1, count)).astype(int)
    order = np.argsort([frame.amplitude_angstrom for frame in data.frames], kind="stable")
    return [int(k) for k in order[chosen]]


def _residual_rms(fitted: Posterior, posterior: Posterior, problem: _Problem) -> float:
    """Root mean square of what the fit leaves of the forces, from the sums unless rounding hides it there."""
    observations, data = problem.model[0], problem.data
    n_forces = sum(len(frame.forces) for frame in data.frames)
    mean = np.concatenate([np.zeros(observations.n_free), fitted.mean])
    mean_square = observations.residual_sq(mean) / n_forces
    if mean_square > _SMALLEST_SHARE * observations.target_rms**2:
        return float(np.sqrt(mean_square))
    rests = [f.targets.forces - data.force_rows(k) @ posterior.mean for k, f in enumerate(data.frames)]
    return _rms(np.concatenate(rests))


def _summarize(posterior: Posterior, problem: _Problem, residual_rms: float) -> TrainingSummary:
    data, frames = problem.data, problem.data.frames
    rests: dict[int, list[float]] = {}
    for index, frame in enumerate(frames):
        energy = frame.targets.energy_ev
        if energy is not None and not frame.supercell.strain.any():
            rest = (energy - float(data.energy_row(index) @ posterior.mean)) / frame.n_cells
            rests.setdefault(frame.origin, []).append(rest)
    per_cell = float(np.mean(rests[min(rests)])) if rests else 0.0
    n_sites = frames[0].n_atoms / frames[0].n_cells
    spread = [np.array(rest) - np.mean(rest) for rest in rests.values()]
    return TrainingSummary(
        n_snapshots=len(data),
        displacement_rms_angstrom=problem.displacement_rms,
        displacement_max_angstrom=max(float(np.linalg.norm(f.displacements, axis=1).max()) for f in frames),
        force_rms_ev_per_angstrom=_rms(_vibrational_forces(data, posterior)),
        rmse_force_ev_per_angstrom=residual_rms,
        rmse_energy_ev_per_atom=_rms(np.concatenate(spread)) / n_sites if spread else None,
        reference_energy_ev_per_cell=per_cell,
    )


def _vibrational_forces(data: FitData, posterior: Posterior) -> NDArray[np.float64]:
    """Forces of all frames without those that the fit finds on the undisplaced atoms."""
    at_rest: dict[SupercellExpansion, NDArray[np.float64] | float] = {}
    forces = []
    for frame in data.frames:
        supercell = frame.supercell
        if supercell not in at_rest:
            still = np.zeros_like(frame.displacements)
            is_loaded = 1 in supercell.basis.orders
            at_rest[supercell] = supercell.rows(still)[0] @ posterior.mean if is_loaded else 0.0
        forces.append(frame.forces - at_rest[supercell])
    return np.concatenate(forces)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
