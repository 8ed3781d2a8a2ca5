"""The random stream of the thermostat: xoshiro256++, seeded by splitmix64, Gaussian by Box and Muller.

A Gaussian pair takes two 64-bit numbers x, y: with a = ((x >> 11) + 1) / 2^53 in (0, 1] and
b = (y >> 11) / 2^53, the pair is sqrt(-2 ln a) (cos 2 pi b, sin 2 pi b). The state after a draw depends only
on the state before it and on the number of values, so a run that is split goes on exactly where it stopped.

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
    counter = seed & _MASK
    words = []
    for _ in range(4):
        counter = (counter + 0x9E3779B97F4A7C15) & _MASK
        word = ((counter ^ (counter >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
        words.append(word ^ (word >> 31))
    return np.array(words, dtype=np.uint64)


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
    """Standard normal numbers; the second of the last pair is dropped when n_values is odd.

    Parameters
    ----------
    state : ndarray, shape (4,), uint64
    n_values : int

    Returns
    -------
    tuple of ndarray, shapes (n_values,) and (4,)
        The numbers, and the state after them.
    """
    words, state = draw_words(state, 2 * ((n_values + 1) // 2))
    fractions = (words >> np.uint64(11)).astype(np.float64)
    radius = np.sqrt(-2.0 * np.log((fractions[0::2] + 1.0) * 2.0**-53))
    angle = 2.0 * np.pi * (fractions[1::2] * 2.0**-53)
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:n_values], state


def _rotate(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (64 - bits))) & _MASK
