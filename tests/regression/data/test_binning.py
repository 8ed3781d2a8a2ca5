"""Rows of similar noise are added up: nothing is lost, and bins hold what belongs together."""

import numpy as np

from mlff_dyn.regression.data.binning import Binning, bin_rows
from mlff_dyn.regression.data.conditions import Conditions, RowKind
from mlff_dyn.regression.fit.noise import NoiseModel


def conditions(n: int, seed: int = 0) -> Conditions:
    generator = np.random.default_rng(seed)
    kinds = generator.integers(0, 3, n)
    ratios = np.where(kinds == RowKind.FORCE, np.exp(0.25 * generator.standard_normal(n)), 1.0)
    amplitudes = 0.1 * np.sqrt(generator.integers(1, 3, n)) * np.exp(0.02 * generator.standard_normal(n))
    return Conditions(amplitudes, ratios, kinds)


def conditions_of_bins(binning: Binning) -> Conditions:
    """Conditions of each row as a fit sees them."""
    return binning.centers.take(binning.labels)


def test_rows_of_a_bin_have_nearly_the_same_noise() -> None:
    rows = conditions(3000)
    binning = bin_rows(rows, 50)
    noise = NoiseModel(0.0, 0.1, 3.0, 0.1, 2.0)
    exact = noise.variance(rows.amplitudes, rows.ratios)
    binned = conditions_of_bins(binning)
    found = noise.variance(binned.amplitudes, binned.ratios)
    assert np.abs(0.5 * np.log(found / exact)).max() < 3.0 * 0.05 + 2.0 * 0.15
    np.testing.assert_array_equal(binned.kinds, rows.kinds)


def test_equal_rows_share_a_bin_and_keep_their_amplitude() -> None:
    amplitudes, ratios = np.array([1.0, 2.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0, 0.5])
    binning = bin_rows(Conditions(amplitudes, ratios, np.zeros(4, np.int64)), 3)
    assert len(binning) == 3
    assert binning.labels[0] == binning.labels[2]
    np.testing.assert_allclose(conditions_of_bins(binning).amplitudes, amplitudes, rtol=1e-12)
    np.testing.assert_allclose(conditions_of_bins(binning).ratios, ratios, rtol=1e-12)


def test_many_parameters_get_fewer_bins() -> None:
    """The squares of the columns in all bins together stay below 256 MiB; kinds are never mixed."""
    rows = conditions(5000)
    counts = [len(bin_rows(rows, n)) for n in (10, 1000, 3000, 20000)]
    assert counts == sorted(counts, reverse=True)
    assert 8 * 1000**2 * counts[1] <= 2**28
    assert counts[-1] == 3


def test_the_order_of_rows_does_not_matter() -> None:
    rows, order = conditions(200), np.random.default_rng(1).permutation(200)
    plain, shuffled = bin_rows(rows, 50), bin_rows(rows.take(order), 50)
    np.testing.assert_array_equal(plain.labels[order], shuffled.labels)
    np.testing.assert_allclose(plain.centers.amplitudes, shuffled.centers.amplitudes, rtol=1e-12)
