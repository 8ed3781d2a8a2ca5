"""Lines of known width, and those of a harmonic crystal in motion, which have none."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.observables.effective.gaussian_crystal import modes_of
from mlff_dyn.observables.effective.line_fit import fit_line, power_spectrum
from mlff_dyn.observables.effective.potential import Potential
from mlff_dyn.observables.effective.spectra import spectra
from mlff_dyn.observables.effective.trajectories import TrajectoryPlan, sampled_chunks
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian


@pytest.mark.parametrize("width", [0.0003, 0.003, 0.02])
def test_a_damped_oscillation_has_its_width(width):
    """From an eighth of the resolution of the series to eight times of it."""
    n_samples, n_series, frequency = 400, 64, 0.11
    generator = np.random.default_rng(2)
    noise = generator.standard_normal((n_samples, n_series, 2)) @ np.array([1.0, 1.0j]) / np.sqrt(2.0)
    factor = np.exp(-np.pi * width + 2j * np.pi * frequency)
    series = np.empty((n_samples, n_series), complex)
    series[0] = noise[0]
    for k in range(1, n_samples):
        series[k] = factor * series[k - 1] + np.sqrt(1.0 - abs(factor) ** 2) * noise[k]
    found = fit_line(power_spectrum(series.T).mean(axis=0), n_samples, 0.1)
    error = np.sqrt((width + 0.1 / n_samples) / (n_samples * n_series))
    assert abs(found.frequency - frequency) < 4.0 * error
    assert abs(found.width - width) < 4.0 * error


def test_modes_of_a_harmonic_crystal_have_their_frequencies_and_no_width():
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: "full"}, torus)
    bond = 3.6 / np.sqrt(2.0)
    force_field = fitted_to_harmonic(basis, torus, spring_hessian(torus, {bond: (2.0, 0.1)}))
    potential = Potential(force_field.expansion, force_field.posterior.mean, torus)
    modes = modes_of(potential.harmonic, torus)
    plan = TrajectoryPlan(4.0, 200, 3000, 6, 4, 0.01, 2.0, seed=1, keeps_energy=True)
    found = spectra(modes, sampled_chunks(potential.kernel, torus, 300.0, plan, lambda *_: None), plan)
    assert sum(line.n_modes for line in found.lines) == 3 * torus.n_atoms - 3
    for line in found.lines:
        assert line.frequency_thz == pytest.approx(line.expected_thz, abs=0.1 * found.resolution_thz)
        assert line.linewidth_thz < 0.15 * found.resolution_thz
