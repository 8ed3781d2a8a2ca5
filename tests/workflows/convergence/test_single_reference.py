"""Signs that one reference structure does not suffice."""

from dataclasses import replace

import numpy as np
import pytest

from mlff_dyn.md.displacement_statistics import DisplacementSums
from mlff_dyn.model.force_field import SupercellForceField
from mlff_dyn.workflows.convergence.sampling import Replica
from mlff_dyn.workflows.convergence.single_reference import SingleReference, single_reference
from tests.models import copper, random_force_field
from tests.workflows.convergence.test_verdict import replicas


@pytest.fixture(scope="module")
def force_field() -> SupercellForceField:
    model, torus = random_force_field(copper(), (2, 2, 2), {2: 3.0})
    return model.on(torus)


def examined(
    force_field: SupercellForceField, errors: np.ndarray, frames: np.ndarray, picoseconds: float = 20.0
) -> SingleReference:
    def with_frames(replica: Replica) -> Replica:
        sums = DisplacementSums(force_field.torus.numbers)
        for frame in frames:
            sums.add(frame)
        return replace(replica, displacements=frames[::10], distances=sums)

    found = single_reference(force_field, list(map(with_frames, replicas(errors))), picoseconds)
    assert found is not None
    return found


def frames_of(mean: float, sd: float) -> np.ndarray:
    generator = np.random.default_rng(0)
    signs = np.sign(generator.standard_normal((100, 32, 3)))
    return mean * signs + sd * generator.standard_normal((100, 32, 3))


def test_a_harmonic_crystal_needs_no_other_reference(force_field: SupercellForceField) -> None:
    found = examined(force_field, np.full((2, 100), 0.1), frames_of(0.0, 0.1))
    assert found.doubts == ()
    assert found.sigma_a == pytest.approx(0.0, abs=1e-6)
    assert found.error_growth == pytest.approx(1.0)


def test_wells_beside_the_sites_and_another_structure_are_named(force_field: SupercellForceField) -> None:
    hopping = frames_of(0.3, 0.05)
    (doubt,) = examined(force_field, np.full((2, 100), 0.1), hopping).doubts
    assert "Cu atoms keep away from their sites" in doubt
    shifted = frames_of(0.0, 0.1) + 0.3
    (doubt,) = examined(force_field, np.full((2, 100), 0.1), shifted, 4.0).doubts
    doubts = examined(force_field, np.full((2, 100), 0.1), shifted).doubts
    assert len(doubts) == 2
    assert "Cu atoms do not move about their sites: 9" in doubts[1]


def test_errors_that_grow_are_named(force_field: SupercellForceField) -> None:
    errors = np.repeat([[0.1] * 50 + [0.5] * 50], 2, axis=0)
    (doubt,) = examined(force_field, errors, frames_of(0.0, 0.1)).doubts
    assert "grows 5 times" in doubt


def test_without_frames_nothing_is_said(force_field: SupercellForceField) -> None:
    assert single_reference(force_field, [], 20.0) is None
