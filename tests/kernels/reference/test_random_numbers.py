"""The random stream: published values, statistics, continuation."""

from __future__ import annotations

import numpy as np
from scipy import stats

from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.reference.random_numbers import draw_gaussians, draw_words, rng_from_seed


def test_splitmix_and_xoshiro_give_their_published_first_words():
    assert rng_from_seed(0)[0] == 0xE220A8397B1DCDAF
    words, _ = draw_words(np.array([1, 2, 3, 4], dtype=np.uint64), 3)
    assert words.tolist() == [41943041, 58720359, 3588806011781223]


def test_gaussians_are_standard_normal():
    values, _ = draw_gaussians(rng_from_seed(7), 20_000)
    assert stats.kstest(values, "norm").pvalue > 0.01


def test_stream_goes_on_where_it_stopped():
    whole, end = draw_words(rng_from_seed(3), 20)
    first, middle = draw_words(rng_from_seed(3), 12)
    second, same_end = draw_words(middle, 8)
    assert np.concatenate([first, second]).tobytes() == whole.tobytes()
    assert end.tolist() == same_end.tolist()


def test_batches_differ_and_keep_their_numbers_when_cut():
    whole, after = draw_gaussians(rng_from_seed(3), 64)
    cut, same_after = draw_gaussians(rng_from_seed(3), 50)
    assert cut.tobytes() == whole[:50].tobytes()
    assert after.tolist() == same_after.tolist()
    following, _ = draw_gaussians(after, 64)
    assert abs(np.corrcoef(whole, following)[0, 1]) < 0.5


def test_compiled_batches_have_the_same_numbers():
    state = rng_from_seed(12)
    key = int(draw_words(state, 1)[0][0])
    for n_values in (16, 160, 40_000):
        values = _compiled.gaussians(INSTRUCTION_SET, key, n_values)
        np.testing.assert_allclose(values, draw_gaussians(state, n_values)[0], rtol=2e-14, atol=2e-14)


def test_seeds_give_different_streams():
    assert len({draw_words(rng_from_seed(seed), 1)[0][0] for seed in range(-5, 50)}) == 55
