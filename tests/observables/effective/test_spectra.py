"""Lines of known width, and those of a harmonic crystal in motion, which have none."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from scipy.linalg import expm

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.observables.effective.gaussian_crystal import modes_of
from mlff_dyn.observables.effective.line_errors import LineValues, data_errors
from mlff_dyn.observables.effective.line_fit import fit_line, power_spectrum
from mlff_dyn.observables.effective.potential import Potential
from mlff_dyn.observables.effective.spectra import lines_of, spectra
from mlff_dyn.observables.effective.spectral_map import lines_between
from mlff_dyn.observables.effective.trajectories import TrajectoryPlan, sampled_chunks
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.report.spectral_plot import line_power
from tests.models import crystal_of, dipoles_of, fitted_to_harmonic, spring_hessian


def oscillations(frequency, width, n_samples, n_series, seed=2):
    """Velocities of a damped oscillator, sampled exactly."""
    square, damping = (2.0 * np.pi * frequency) ** 2, 2.0 * np.pi * width
    step = expm(np.array([[0.0, 1.0], [-square, -damping]]))
    thermal = np.diag([1.0 / square, 1.0])
    kick = np.linalg.cholesky(thermal - step @ thermal @ step.T)
    generator = np.random.default_rng(seed)
    state, found = np.sqrt(thermal) @ generator.standard_normal((2, n_series)), []
    for _ in range(n_samples):
        found.append(state[1])
        state = step @ state + kick @ generator.standard_normal((2, n_series))
    return np.array(found, complex).T


@pytest.mark.parametrize(
    ("frequency", "width"), [(0.11, 0.0003), (0.11, 0.003), (0.11, 0.02), (0.05, 0.06), (0.02, 0.05)]
)
def test_a_damped_oscillator_has_its_frequency_and_width(frequency, width):
    """From an eighth of the resolution of the series on; the last one does not oscillate any more."""
    n_samples, n_series = 400, 128
    powers = power_spectrum(oscillations(frequency, width, n_samples, n_series)).mean(axis=0)
    found = fit_line(powers, n_samples, 1.1 * frequency)
    error = np.sqrt((width + 0.1 / n_samples) / (n_samples * n_series))
    assert abs(found.frequency - frequency) < 4.0 * error
    assert abs(found.width - width) < 4.0 * error


def test_a_line_is_found_where_it_is_not_expected():
    powers = power_spectrum(oscillations(0.15, 0.004, 400, 128)).mean(axis=0)
    assert fit_line(powers, 400, 0.05).frequency == pytest.approx(0.15, rel=0.01)


@pytest.fixture(scope="module")
def harmonic():
    """A harmonic crystal in a cell, and the plan of its dynamics."""
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: "full"}, torus)
    bond = 3.6 / np.sqrt(2.0)
    force_field = fitted_to_harmonic(basis, torus, spring_hessian(torus, {bond: (2.0, 0.1)}))
    plan = TrajectoryPlan(4.0, 200, 3000, 6, 4, 0.01, 2.0, seed=1, keeps_energy=True)
    return force_field, torus, plan


def lines_in_motion(force_field, parameters, torus, plan, modes=None):
    potential = Potential(force_field.expansion, parameters, torus)
    modes = modes or modes_of(potential.harmonic, torus)
    chunks = sampled_chunks(potential.kernel, torus, 300.0, plan, lambda *_: None)
    return modes, spectra(modes, chunks, plan)


def test_modes_of_a_harmonic_crystal_have_their_frequencies_and_no_width(harmonic):
    force_field, torus, plan = harmonic
    modes, found = lines_in_motion(force_field, force_field.posterior.mean, torus, plan)
    assert found.values.weights.sum() == 3 * torus.n_atoms - 3
    expected = [modes.frequencies_thz[tuple(members[0])] for members in lines_of(modes)]
    assert found.values.whole[:, 0] == pytest.approx(expected, abs=0.1 * found.resolution_thz)
    assert found.values.whole[:, 1].max() < 0.15 * found.resolution_thz


def test_data_errors_are_what_samples_do_to_harmonic_frequencies(harmonic):
    """All force constants 4 and 8 % larger or smaller: frequencies by half of that."""
    force_field, torus, plan = harmonic
    mean = force_field.posterior.mean
    modes, found = lines_in_motion(force_field, mean, torus, plan)
    factors = (0.92, 0.96, 1.04, 1.08)
    samples = [lines_in_motion(force_field, f * mean, torus, plan, modes)[1].values for f in factors]
    expected = np.sqrt(np.mean([(np.sqrt(f) - 1.0) ** 2 for f in factors])) * found.values.whole[:, 0]
    sds = data_errors(found.values, samples, 2.0)
    assert sds[:, 0] == pytest.approx(2.0 * expected, rel=0.1)
    assert sds[:, 1].max() < 0.3 * found.resolution_thz
    mean_width = data_errors(found.values.mean_width, [each.mean_width for each in samples], 2.0)
    assert mean_width[0, 1] < 0.1 * found.resolution_thz


def test_noise_of_trajectories_is_no_error_of_the_data():
    """Where samples differ by statistical errors, what is left is little more than they resolve."""
    generator = np.random.default_rng(4)

    def values(n_lines, scale):
        each = 1.0 + scale * generator.standard_normal((8, n_lines, 2))
        without = np.array([np.delete(each, k, axis=0).mean(axis=0) for k in range(8)])
        return LineValues(each.mean(axis=0), without, np.ones(n_lines))

    mean, samples = values(400, 0.1), [values(400, 0.1) for _ in range(16)]
    noise = np.sqrt(2.0) * 0.1 / np.sqrt(8.0)
    assert mean.statistical_errors.mean() == pytest.approx(0.1 / np.sqrt(8.0), rel=0.05)
    assert np.median(data_errors(mean, samples, 1.0)) < 0.8 * noise
    moved = [replace(each, whole=each.whole + 0.3 * generator.standard_normal()) for each in samples]
    shift = np.sqrt(np.mean([np.median(each.whole - 1.0) ** 2 for each in moved]))
    assert np.median(data_errors(mean, moved, 1.0)) == pytest.approx(shift, rel=0.1)


@pytest.mark.parametrize("dipoles", [False, True])
def test_lines_between_wave_vectors_are_those_of_phonopy(dipoles):
    """Frequencies of the cell, carried to any wave vector: LO and TO are split once, as in the dispersion."""
    crystal = crystal_of(bulk("NaCl", "rocksalt", a=5.6))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    hessian = spring_hessian(torus, {2.8: (2.0, 0.3)})
    long_range = None
    if dipoles:
        long_range = dipoles_of(crystal, scalar=True)
        long_range = replace(long_range, charges=0.3 * long_range.charges)
    force_field = replace(fitted_to_harmonic(basis, torus, hessian), long_range=long_range)
    phonons = sampled_phonons(force_field, torus, n_samples=2)
    wavevectors = np.array([[0.0, 0.0, 0.02], [0.1, 0.2, 0.3], [0.5, 0.5, 0.0], [0.25, 0.1, 0.25]])
    phonons.choose(0).run_qpoints(wavevectors)
    expected = np.array(phonons.phonon.qpoints.frequencies)
    modes = modes_of(Potential(force_field.expansion, force_field.posterior.mean, torus).harmonic, torus)
    own = np.array([modes.frequencies_thz[tuple(members[0])] for members in lines_of(modes)])
    assert min(own) > 0.0
    values = np.stack([own, np.full(len(own), 0.3)], axis=1)
    frequencies, widths = lines_between(modes, values, phonons.phonon, wavevectors)
    assert frequencies == pytest.approx(expected, abs=1e-3)
    assert widths[2] == pytest.approx(0.3, abs=1e-9)
    assert np.all((widths >= 0.0) & (widths < 0.4))


def test_the_power_of_a_line_has_unit_area_and_its_width():
    places = np.linspace(0.0, 2000.0, 2_000_001)
    for frequency, width in ((3.0, 0.1), (3.0, 5.0)):
        power = line_power(np.array(frequency), np.array(width), places)
        assert np.trapezoid(power, places) == pytest.approx(1.0, abs=3e-3)
        above = places[power > 0.5 * power.max()]
        assert above[-1] - above[0] == pytest.approx(width, abs=3e-3)
        assert places[power.argmax()] == pytest.approx(frequency, abs=2e-3)
