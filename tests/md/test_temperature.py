"""Drift of an energy."""

import numpy as np
import pytest

from mlff_dyn.md.temperature import energy_drift


def test_the_drift_is_the_slope_of_the_energy() -> None:
    times = 5.0 * np.arange(200) + 1e6
    energies = 3.0 + 2e-3 * (times - 1e6) + 0.1 * np.cos(times)
    assert energy_drift(energies, times) == pytest.approx(2.0, rel=0.05)
    assert energy_drift(energies[:1], times[:1]) == 0.0
