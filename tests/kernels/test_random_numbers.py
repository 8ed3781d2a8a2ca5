"""The random stream: published values, statistics, continuation."""

from __future__ import annotations

import numpy as np
from scipy import stats

from mlff_dyn.kernels.random_numbers import draw_gaussians, draw_words, rng_from_seed


def test_splitmix_and_xoshiro_give_their_published_first_words():
    assert rng_from_seed(0)[0] == 0xE220A8397B1DCDAF
    words, _ = draw_words(np.array([1, 2, 3, 4], dtype=np.uint64), 3)
    assert words.tolist() == [41943041, 58720359, 3588806011781223]


def test_gaussians_are_standard_normal():
    values, _ = draw_gaussians(rng_from_seed(7), 20_000)
    assert stats.kstest(values, "norm").pvalue > 0.01


def test_stream_goes_on_where_it_stopped():
    whole, end = draw_gaussians(rng_from_seed(3), 20)
    first, middle = draw_gaussians(rng_from_seed(3), 12)
    second, same_end = draw_gaussians(middle, 8)
    assert np.concatenate([first, second]).tobytes() == whole.tobytes()
    assert end.tolist() == same_end.tolist()


def test_seeds_give_different_streams():
    assert len({draw_words(rng_from_seed(seed), 1)[0][0] for seed in range(-5, 50)}) == 55
