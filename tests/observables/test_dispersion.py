"""Phonons of a force field: those of phonopy on its exports, and the spread that its posterior says."""

import dataclasses
from pathlib import Path

import numpy as np
import phonopy
import pytest
from ase.build import bulk

from mlff_dyn.formats.phonopy_files import write_phonopy
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.observables.dispersion import dispersion
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper, crystal_of, dipoles_of, emt_snapshots, random_force_field


@pytest.fixture(scope="module")
def trained():
    """Copper of EMT, from two frames."""
    basis = build_basis(crystal_of(copper()), {2: 4.5})
    torus = input_supercell(basis.crystal, np.diag([2, 2, 2]))
    expansion = Expansion(basis)
    frames = frames_of_snapshots(Path("frames"), emt_snapshots((2, 2, 2), (0.05, 0.08)), expansion)
    return fit_force_field(basis, FitData(frames)), torus


def test_frequencies_are_those_of_the_exported_force_constants(trained, tmp_path):
    force_field, torus = trained
    found = dispersion(force_field, torus, n_points=40, n_samples=2)
    write_phonopy(force_field, torus, tmp_path)
    phonon = phonopy.load(tmp_path / "phonopy_params.yaml", log_level=0)
    phonon.run_qpoints(found.path.wavevectors)
    np.testing.assert_allclose(found.frequencies_thz, phonon.qpoints.frequencies, atol=1e-6)


def test_longitudinal_waves_are_split_once(tmp_path):
    """By phonopy on the exported files with their dipoles; near the center only dipoles split them."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    force_field, torus = random_force_field(atoms, (2, 2, 2), {2: 4.5})
    force_field = dataclasses.replace(force_field, long_range=dipoles_of(torus.crystal, scalar=True))
    found = dispersion(force_field, torus, n_points=60, n_samples=2)
    write_phonopy(force_field, torus, tmp_path)
    phonon = phonopy.load(tmp_path / "phonopy_params.yaml", log_level=0)
    phonon.run_qpoints(found.path.wavevectors)
    np.testing.assert_allclose(found.frequencies_thz, phonon.qpoints.frequencies, atol=1e-4)
    assert phonon.nac_params is not None


def test_the_path_visits_the_special_points_of_fcc(trained):
    found = dispersion(*trained, n_points=60, n_samples=2)
    names = {name for _, tick in found.path.ticks for name in tick.split("|")}
    assert {"Γ", "X", "W", "K", "L", "U"} <= names
    assert found.is_stable
    center = np.linalg.norm(found.path.wavevectors, axis=1) < 1e-9
    assert np.abs(found.frequencies_thz[center]).max() < 1e-3


def test_the_band_is_the_spread_of_the_posterior(trained):
    """To first order, var(nu) is the sum of squared slopes along the columns of a covariance factor."""
    force_field, torus = trained
    posterior = force_field.posterior
    exact = dataclasses.replace(posterior.hyperparameters, noise=NoiseModel(posterior.noise.floor_sd))
    posterior = dataclasses.replace(posterior, hyperparameters=exact)
    force_field = dataclasses.replace(force_field, posterior=posterior, calibration=1.0)
    found = dispersion(force_field, torus, n_points=12, n_samples=300)
    variance = np.zeros_like(found.frequencies_thz)
    for column in posterior.covariance_factor.T:
        moved = dataclasses.replace(posterior, mean=posterior.mean + 0.1 * column)
        shifted = dispersion(
            dataclasses.replace(force_field, posterior=moved), torus, n_points=12, n_samples=2
        )
        variance += ((shifted.frequencies_thz - found.frequencies_thz) / 0.1) ** 2
    chosen = found.frequencies_thz[:, -1] > 0.8 * found.frequencies_thz.max()
    assert chosen.sum() >= 3
    np.testing.assert_allclose(found.sds_thz[chosen, -1], np.sqrt(variance[chosen, -1]), rtol=0.25)


def test_error_bars_follow_the_calibration(trained):
    force_field, torus = trained
    once = dispersion(force_field, torus, n_points=8, n_samples=4)
    twice = dataclasses.replace(force_field, calibration=2.0 * force_field.calibration)
    np.testing.assert_allclose(dispersion(twice, torus, n_points=8, n_samples=4).sds_thz, 2.0 * once.sds_thz)


def test_a_larger_cell_has_the_same_long_waves(trained):
    force_field, torus = trained
    larger = input_supercell(torus.crystal, np.diag([3, 3, 3]))
    first = dispersion(force_field, torus, n_points=30, n_samples=2)
    second = dispersion(force_field, larger, n_points=30, n_samples=2)
    commensurate = np.abs(first.path.wavevectors * 2 - np.rint(first.path.wavevectors * 2)).max(axis=1) < 1e-9
    assert commensurate.any()
    np.testing.assert_allclose(
        first.frequencies_thz[commensurate], second.frequencies_thz[commensurate], atol=1e-3
    )
