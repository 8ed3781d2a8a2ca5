"""The random stream of the thermostat: xoshiro256++, seeded by splitmix64.

Gaussian numbers are drawn in batches. A batch of count numbers, count rounded up to a multiple of 16, takes
one 64-bit number, the key, from the stream. The key seeds a splitmix64 sequence w(1), w(2), ...; with
m(w) = 1 + (w >> 12) / 2^52, a = 2 - m(w(2 k + 1)) in (0, 1] and b = m(w(2 k + 2)) - 1 in [0, 1), number k of
the first half of the batch is sqrt(-2 ln a) cos 2 pi b, that of the second half sqrt(-2 ln a) sin 2 pi b.
The state after a batch depends only on the state before it, so a run that is split goes on exactly where it
stopped; and the numbers of a batch depend on their index only, so they can be made many at once.

References
----------
Blackman and Vigna, ACM Trans. Math. Softw. 47, 36 (2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_BATCH = 16


def rng_from_seed(seed: int) -> NDArray[np.uint64]:
    """State of the generator for a seed.

    Parameters
    ----------
    seed : int
        Any integer; its low 64 bits count.

    Returns
    -------
    ndarray, shape (4,), uint64
    """
    counters = [(seed + k * _GOLDEN) & _MASK for k in range(1, 5)]
    return _splitmix64(np.array(counters, dtype=np.uint64))


def draw_words(state: NDArray[np.uint64], n_words: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Next 64-bit numbers of the stream.

    Parameters
    ----------
    state : ndarray, shape (4,), uint64
    n_words : int

    Returns
    -------
    tuple of ndarray, shapes (n_words,) and (4,)
        The numbers, and the state after them.
    """
    a, b, c, d = (int(word) for word in state)
    words = []
    for _ in range(n_words):
        words.append((_rotate((a + d) & _MASK, 23) + a) & _MASK)
        shifted = (b << 17) & _MASK
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= shifted
        d = _rotate(d, 45)
    return np.array(words, dtype=np.uint64), np.array([a, b, c, d], dtype=np.uint64)


def draw_gaussians(
    state: NDArray[np.uint64], n_values: int
) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """One batch of standard normal numbers.

    Parameters
    ----------
    state : ndarray, shape (4,), uint64
    n_values : int
        The first numbers of the batch are kept.

    Returns
    -------
    tuple of ndarray, shapes (n_values,) and (4,)
        The numbers, and the state after them.
    """
    key, state = draw_words(state, 1)
    half = -(-n_values // _BATCH) * _BATCH // 2
    words = _splitmix64(key + np.arange(1, 2 * half + 1, dtype=np.uint64) * np.uint64(_GOLDEN))
    fractions = (words >> np.uint64(12)).astype(np.float64) * 2.0**-52
    radius = np.sqrt(-2.0 * np.log(1.0 - fractions[0::2]))
    angle = 2.0 * np.pi * fractions[1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n_values], state


def _splitmix64(counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = (counters ^ (counters >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed


def _rotate(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (64 - bits))) & _MASK
