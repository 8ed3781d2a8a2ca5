"""Effective force constants of dynamics, against averages of Boltzmann's distribution in closed form."""

import numpy as np
import pytest

from mlff_dyn.observables.effective.averaged import EffectiveSettings
from mlff_dyn.observables.effective.correction import Correction
from mlff_dyn.observables.effective.from_dynamics import effective_from_dynamics
from mlff_dyn.observables.effective.trajectories import TrajectoryPlan
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from tests.observables.effective.gap_equation import oscillator

KELVIN, THERMAL = 300.0, 8.617333e-5 * 300.0


def boltzmann_stiffness(force_field, torus):
    """3 kT / <|x|^2>, which least squares finds by equipartition, <x F> = -3 kT."""
    axis = np.linspace(-0.45, 0.45, 19)
    x = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    kernel = force_field.expansion.on(torus).kernel(force_field.posterior.mean)
    energies = np.array([kernel.energy_forces(np.array([np.zeros(3), each]))[0] for each in x])
    weights = np.exp(-(energies - energies.min()) / THERMAL)
    return 3.0 * THERMAL / float(weights @ (x**2).sum(axis=1) / weights.sum())


@pytest.mark.parametrize("quadratic", [2.0, -2.0])
def test_least_squares_and_its_two_kinds_of_errors(quadratic):
    """A single well and a double well; samples of the posterior by the covariance identity."""
    force_field, torus, _ = oscillator(quadratic, 200.0)
    force_field.posterior.covariance_factor[:] *= 10.0
    phonons = sampled_phonons(force_field, torus, n_samples=6, seed=2)
    plan = TrajectoryPlan(4.0, 500, 12000, 20, 8, 0.01, 1.5, seed=3)
    settings = EffectiveSettings(KELVIN, "dynamics", False, 0.01, 1000, 3)
    found = effective_from_dynamics(phonons, Correction(force_field.expansion, torus), settings, plan)
    values = [each.blocks[0, 0].sum() for each in (found.harmonic, *found.of_data, *found.of_monte_carlo)]
    exact = boltzmann_stiffness(force_field, torus)
    statistical = np.std(values[7:], ddof=1)
    assert statistical < 0.05 * exact
    assert abs(values[0] - exact) < 4.0 * statistical
    mean, changes = force_field.posterior.mean.copy(), []
    for parameters in phonons.parameters[1:]:
        force_field.posterior.mean[:] = parameters
        changes.append(boltzmann_stiffness(force_field, torus) - exact)
    force_field.posterior.mean[:] = mean
    np.testing.assert_allclose(np.array(values[1:7]) - values[0], changes, atol=0.2 * np.abs(changes).max())
