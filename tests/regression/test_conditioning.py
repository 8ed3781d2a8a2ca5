"""Normal equations lose digits with the square of signal over noise, whatever the condition of the rows."""

import numpy as np
import pytest
from scipy.linalg import qr, solve_triangular

from mlff_dyn.regression.evidence import Hyperparameters, Observations, evaluate
from mlff_dyn.regression.noise import NoiseModel
from mlff_dyn.regression.priors import independent_prior
from mlff_dyn.regression.statistics import collect

N_PARAMETERS = 24


@pytest.mark.parametrize("n_rows", [16, 120])
@pytest.mark.parametrize("condition", [1e2, 1e6, 1e12])
@pytest.mark.parametrize("signal_to_noise", [1e2, 1e4, 1e6])
def test_digits_lost_by_sums_are_few_standard_deviations(
    n_rows: int, condition: float, signal_to_noise: float
) -> None:
    """Against a QR of the rows and the prior: 100 eps (|X| prior sd / noise)^2 posterior sds at most."""
    generator = np.random.default_rng(int(np.log10(condition)))
    rank = min(n_rows, N_PARAMETERS)
    left = qr(generator.standard_normal((n_rows, rank)), mode="economic")[0]
    right = qr(generator.standard_normal((N_PARAMETERS, rank)), mode="economic")[0]
    design = (left * np.logspace(0.0, -np.log10(condition), rank)) @ right.T
    noise = 1.0 / signal_to_noise
    targets = design @ generator.standard_normal(N_PARAMETERS) + noise * generator.standard_normal(n_rows)

    whitened = np.vstack([design / noise, np.eye(N_PARAMETERS)])
    basis, triangle = qr(whitened, mode="economic")
    expected = solve_triangular(triangle, basis.T @ np.append(targets / noise, np.zeros(N_PARAMETERS)))
    sds = np.linalg.norm(solve_triangular(triangle, np.eye(N_PARAMETERS)), axis=1)

    found = evaluate(
        Observations((collect(design, targets),), np.ones(1)),
        independent_prior(np.zeros(N_PARAMETERS, np.int64)),
        Hyperparameters(NoiseModel(noise), np.zeros(1)),
    ).mean
    limit = 100.0 * np.finfo(float).eps * signal_to_noise**2
    assert np.abs((found - expected) / sds).max() < limit
