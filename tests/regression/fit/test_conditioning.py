"""Sums lose digits with the square of signal over noise, triangles of rows with the ratio itself.

Both do so whatever the condition of the rows.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import qr

from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import collect
from mlff_dyn.regression.fit.evidence import Hyperparameters, evaluate
from mlff_dyn.regression.fit.evidence_from_sums import Objective
from mlff_dyn.regression.fit.evidence_from_triangles import SquareRootObjective
from mlff_dyn.regression.fit.noise import NoiseModel
from tests.regression.exact_reference import exact_posterior
from tests.regression.linear_problems import collect_root, independent_prior

N_PARAMETERS = 12
EPS = float(np.finfo(float).eps)


@pytest.mark.parametrize("n_rows", [8, 50])
@pytest.mark.parametrize("condition", [1e2, 1e6, 1e12])
@pytest.mark.parametrize("signal_to_noise", [1e2, 1e4, 1e6, 1e8, 1e11])
def test_digits_lost_are_few_standard_deviations(
    n_rows: int, condition: float, signal_to_noise: float
) -> None:
    """In posterior sds, with s = |X| prior sd / noise: 100 eps s^2 from sums, 100 eps s from triangles."""
    generator = np.random.default_rng(int(np.log10(condition)))
    rank = min(n_rows, N_PARAMETERS)
    left = qr(generator.standard_normal((n_rows, rank)), mode="economic")[0]
    right = qr(generator.standard_normal((N_PARAMETERS, rank)), mode="economic")[0]
    design = (left * np.logspace(0.0, -np.log10(condition), rank)) @ right.T
    noise = 1.0 / signal_to_noise
    targets = design @ generator.standard_normal(N_PARAMETERS) + noise * generator.standard_normal(n_rows)
    expected, sds, _ = exact_posterior(design, targets, noise**2, 1.0)

    prior = independent_prior(np.zeros(N_PARAMETERS, np.int64))
    sums = Observations((collect(design, targets),), np.ones(1))
    by_sums = Objective(sums, prior)
    by_roots = SquareRootObjective([collect_root(design, targets)], prior)
    variances, values = np.array([noise**2]), np.zeros(1)
    lost = np.abs((by_roots.fit(variances, values).mean - expected) / sds).max()
    assert lost < 100.0 * EPS * signal_to_noise
    if signal_to_noise <= 1e6:
        lost = np.abs((by_sums.fit(variances, values).mean - expected) / sds).max()
        assert lost < 100.0 * EPS * signal_to_noise**2

    data = replace(sums, rows=lambda: [collect_root(design, targets)])
    found = evaluate(data, prior, Hyperparameters(NoiseModel(noise), values)).mean
    assert np.abs((found - expected) / sds).max() < 1e-3
