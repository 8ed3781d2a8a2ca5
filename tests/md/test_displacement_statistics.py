"""Statistics of displacements against closed forms."""

import numpy as np
import pytest

from mlff_dyn.md.displacement_statistics import BIN_ANGSTROM, DisplacementSums, total_histogram

NUMBERS = np.array([5] * 400 + [33] * 100)


def sums_of(frames: np.ndarray) -> DisplacementSums:
    sums = DisplacementSums(NUMBERS)
    for frame in frames:
        sums.add(frame)
    return sums


def normal(n_frames: int, sd: float = 0.1) -> np.ndarray:
    return sd * np.random.default_rng(1).standard_normal((n_frames, len(NUMBERS), 3))


def test_normal_displacements_have_five_thirds_and_average_out() -> None:
    found = sums_of(normal(50))
    assert found.flatness(5) == pytest.approx(5.0 / 3.0, rel=0.02)
    assert found.static_share(5) == pytest.approx(1.0 / 50, rel=0.1)


def test_wells_beside_the_sites_and_another_structure_are_seen() -> None:
    """Atoms at one distance have 1; those that stay there do not average out."""
    hopping = np.sign(normal(50)) * 0.3 + normal(50, 0.02)
    assert sums_of(hopping).flatness(33) == pytest.approx(1.0, abs=0.02)
    assert sums_of(hopping).static_share(33) < 0.05
    assert sums_of(np.abs(hopping)).static_share(33) > 0.95


def test_the_histogram_counts_every_atom_of_every_frame_once() -> None:
    frames = normal(3)
    parts = [sums_of(frames[:1]), sums_of(frames[1:])]
    distances = np.linalg.norm(frames[:, NUMBERS == 33], axis=2).ravel()
    counts = total_histogram(parts, 33)
    assert counts.sum() == distances.size == 300
    edges = BIN_ANGSTROM * np.arange(len(counts) + 1)
    np.testing.assert_array_equal(counts, np.histogram(distances, edges)[0])
    assert parts[0].elements == (5, 33)
