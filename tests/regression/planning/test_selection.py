"""Selection against refits that know nothing of it: gains, order, duplicates, covariance."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mlff_dyn.errors import DataError, FitError
from mlff_dyn.regression.planning.misfit import Misfit
from mlff_dyn.regression.planning.selection import SELECTIONS, FramePool, frame_pool, select

N_PARAMETERS = 12
KINDS = sorted(SELECTIONS)


def covariance() -> NDArray[np.float64]:
    generator = np.random.default_rng(0)
    half = generator.standard_normal((N_PARAMETERS, N_PARAMETERS))
    return half @ half.T + 0.1 * np.eye(N_PARAMETERS)


def designs(n_frames: int, seed: int = 1, n_rows: int = 5) -> list[NDArray[np.float64]]:
    """Frames of different sizes, some shorter in rows than others."""
    generator = np.random.default_rng(seed)
    sizes = generator.uniform(0.3, 3.0, n_frames)
    return [size * generator.standard_normal((n_rows + i % 3, N_PARAMETERS)) for i, size in enumerate(sizes)]


def variances(n_frames: int) -> NDArray[np.float64]:
    return np.random.default_rng(5).uniform(0.1, 2.0, n_frames)


def pool_of(blocks: list[NDArray[np.float64]], noise: NDArray[np.float64]) -> FramePool:
    return frame_pool(iter(blocks), list(noise), np.linalg.cholesky(covariance()))


def refitted(blocks: list[NDArray[np.float64]], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Posterior covariance with further frames."""
    precision = np.linalg.inv(covariance())
    for block, variance in zip(blocks, noise, strict=True):
        precision += block.T @ block / variance
    return np.linalg.inv(precision)


def mean_variance(blocks: list[NDArray[np.float64]], posterior: NDArray[np.float64]) -> float:
    return float(np.mean([np.mean(np.diag(block @ posterior @ block.T)) for block in blocks]))


def score(
    kind: str, frame: int, blocks: list[NDArray[np.float64]], noise: NDArray[np.float64], known: list[int]
) -> float:
    """Gain of a frame by refits, given known ones."""
    before = refitted([blocks[i] for i in known], noise[known])
    chosen = [*known, frame]
    after = refitted([blocks[i] for i in chosen], noise[chosen])
    if kind == "i-optimal":
        return mean_variance(blocks, before) - mean_variance(blocks, after)
    if kind == "d-optimal":
        return float(np.linalg.slogdet(before)[1] - np.linalg.slogdet(after)[1])
    return mean_variance([blocks[frame]], before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_every_choice_is_the_best_of_all_refits(kind: str, seed: int) -> None:
    """Bounds only save work: the greedy choice is that of refitting with every frame in turn."""
    blocks, noise = designs(15, seed), variances(15)
    found = select(pool_of(blocks, noise), SELECTIONS[kind], 5)
    for step, frame in enumerate(found.frames):
        known = list(found.frames[:step])
        left = [i for i in range(15) if i not in known]
        assert frame == max(left, key=lambda i: score(kind, i, blocks, noise, known))


def test_rows_of_a_frame_may_differ_in_noise() -> None:
    """A frame with noise v is one whose rows are divided by the root of v."""
    blocks = designs(6)
    noise = [np.random.default_rng(i).uniform(0.1, 2.0, len(block)) for i, block in enumerate(blocks)]
    found = frame_pool(blocks, noise, np.linalg.cholesky(covariance()))
    scaled = [block / np.sqrt(variance)[:, None] for block, variance in zip(blocks, noise, strict=True)]
    np.testing.assert_allclose(
        found.informations, pool_of(scaled, np.ones(6)).informations, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(found.importance, pool_of(blocks, np.ones(6)).importance, rtol=1e-12)


@pytest.mark.parametrize("size", [0.3, 3.0])
def test_the_mean_square_error_falls_most(size: float) -> None:
    """Variance and bias of refits with every frame in turn, at two sizes of what is left out."""
    blocks, noise = designs(10), variances(10)
    held_out = size * np.random.default_rng(7).uniform(0.2, 2.0, 10)
    weights = np.array([len(block) for block in blocks]) / noise
    misfit = Misfit(held_out, weights, known_size=0.5, known_weight=2.0)
    pool = frame_pool(blocks, list(noise), np.linalg.cholesky(covariance()), misfit)
    known: list[int] = []
    for frame in select(pool, SELECTIONS["i-optimal"], 5).frames:
        errors = {}
        for i in set(range(10)) - set(known):
            chosen = [*known, i]
            mean = np.average([0.5, *held_out[chosen]], weights=[2.0, *weights[chosen]])
            bias = misfit.share * np.mean((held_out - mean) ** 2)
            posterior = refitted([blocks[k] for k in chosen], noise[chosen])
            errors[i] = mean_variance(blocks, posterior) + bias
        assert frame == min(errors, key=lambda i: errors[i])
        known.append(frame)


def test_where_the_expansion_leaves_much_out_a_frame_of_the_pool_s_size_is_chosen() -> None:
    """Equal information: the known frames leave out too little, so the next one leaves out more."""
    blocks, held_out = [designs(1)[0]] * 4, np.array([0.1, 1.0, 2.0, 30.0])
    chosen = {}
    for known_size in (0.0, 100.0):
        misfit = Misfit(held_out, np.ones(4), known_size, known_weight=1.0)
        pool = frame_pool(blocks, [1.0] * 4, np.linalg.cholesky(covariance()), misfit)
        chosen[known_size] = select(pool, SELECTIONS["i-optimal"], 1).frames
    assert chosen == {0.0: (3,), 100.0: (0,)}


def test_the_fall_of_the_variance_is_that_of_the_formula_in_rows() -> None:
    """tr[(X S M S X^T)(X S X^T + v)^-1]."""
    blocks, noise, S = designs(6), variances(6), covariance()
    M = np.mean([block.T @ block / len(block) for block in blocks], axis=0)
    found = select(pool_of(blocks, noise), SELECTIONS["i-optimal"], 1)
    X = blocks[found.frames[0]]
    inner = X @ S @ X.T + noise[found.frames[0]] * np.eye(len(X))
    expected = np.trace(X @ S @ M @ S @ X.T @ np.linalg.inv(inner))
    assert found.mean_variances[0] - found.mean_variances[1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_variances_and_covariance_are_those_of_refits(kind: str) -> None:
    """After every choice; the factor returned is one of the covariance with all of them."""
    blocks, noise = designs(10), variances(10)
    found = select(pool_of(blocks, noise), SELECTIONS[kind], 10)
    assert sorted(found.frames) == list(range(10))
    for step, value in enumerate(found.mean_variances):
        known = list(found.frames[:step])
        posterior = refitted([blocks[i] for i in known], noise[known])
        assert value == pytest.approx(mean_variance(blocks, posterior), rel=1e-9)
    assert (np.diff(found.mean_variances) < 0).all()
    factor = found.covariance_factor
    np.testing.assert_allclose(factor @ factor.T, posterior, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_duplicate_is_not_chosen_next(kind: str) -> None:
    """Noise is small, so that one frame says all that its copy would say."""
    blocks = designs(6, n_rows=4)
    best = select(pool_of(blocks, np.full(6, 1e-3)), SELECTIONS[kind], 1).frames[0]
    doubled = [*blocks, blocks[best]]
    found = select(pool_of(doubled, np.full(7, 1e-3)), SELECTIONS[kind], 3)
    assert found.frames[0] == best
    assert 6 not in found.frames


@pytest.mark.parametrize("kind", ["i-optimal", "d-optimal"])
def test_a_noisy_frame_is_worth_less_than_a_clean_one(kind: str) -> None:
    blocks = [designs(1)[0]] * 3
    assert select(pool_of(blocks, np.array([2.0, 0.5, 1.0])), SELECTIONS[kind], 3).frames == (1, 2, 0)


def test_greedy_is_no_worse_than_random() -> None:
    blocks, noise = designs(40), variances(40)
    greedy = select(pool_of(blocks, noise), SELECTIONS["i-optimal"], 4).mean_variances[-1]
    generator = np.random.default_rng(3)
    draws = [generator.choice(40, 4, replace=False) for _ in range(50)]
    assert greedy <= min(
        mean_variance(blocks, refitted([blocks[i] for i in draw], noise[draw])) for draw in draws
    )


def test_another_importance_changes_the_choice() -> None:
    """Frames that know one direction each: the one that matters is taken."""
    blocks = [np.eye(N_PARAMETERS)[[i]] for i in range(N_PARAMETERS)]
    pool = frame_pool(blocks, [1.0] * N_PARAMETERS, np.eye(N_PARAMETERS))
    for direction in (2, 9):
        importance = np.diag((np.arange(N_PARAMETERS) == direction).astype(float))
        assert select(pool, SELECTIONS["i-optimal"], 1, importance).frames == (direction,)


def test_requests_that_make_no_sense_are_refused() -> None:
    blocks = designs(3)
    with pytest.raises(FitError, match="cannot be chosen"):
        select(pool_of(blocks, np.ones(3)), SELECTIONS["i-optimal"], 4)
    with pytest.raises(FitError, match="noise variance"):
        pool_of(blocks, np.array([1.0, 0.0, 1.0]))
    with pytest.raises(FitError, match="frames"):
        pool_of([], np.zeros(0))
    with pytest.raises(DataError, match="design"):
        pool_of([np.ones((3, 2))], np.ones(1))
