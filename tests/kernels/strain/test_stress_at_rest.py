"""Sound and strain agree whatever stress the local part has at rest."""

import numpy as np
import pytest

from mlff_dyn.kernels.strain.stress_at_rest import second_order_strain, strained_virial


@pytest.mark.parametrize("seed", [1, 2])
def test_the_virial_is_the_derivative_of_the_work(seed: int) -> None:
    rng = np.random.default_rng(seed)
    virial, strain, step = (a + a.T for a in rng.normal(size=(3, 3, 3)))
    change = 1e-6 * step
    work = [(virial * second_order_strain(strain + sign * change)).sum() for sign in (1, -1)]
    assert (work[0] - work[1]) / 2e-6 == pytest.approx(
        (strained_virial(virial, strain) * step).sum(), rel=1e-8
    )


def test_the_second_order_is_no_sound() -> None:
    """The gradient a k of a plane wave has no part in tr(e)^2 - tr(e^2)."""
    a, k = np.random.default_rng(3).normal(size=(2, 3))
    gradient = np.outer(a, k)
    assert np.trace(gradient) ** 2 == pytest.approx(np.trace(gradient @ gradient))
