"""Grüneisen parameters: those of phono3py from force constants of order 3."""

import dataclasses

import h5py
import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.formats.phono3py_files import write_phono3py
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.observables.gruneisen import gruneisen, has_gruneisen
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from tests.models import (
    crystal_of,
    dipoles_of,
    fitted_to_harmonic,
    random_force_field,
    spring_hessian,
    with_local_part,
)

WAVES = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.1, 0.4]])


def stable(atoms, repetitions, springs, cutoff, seed=1):
    """Order 2 of springs, and a random order 3."""
    torus = input_supercell(crystal_of(atoms), repetitions)
    basis = build_basis(torus.crystal, {2: "full", 3: cutoff}, torus)
    harmonic = fitted_to_harmonic(basis, torus, spring_hessian(torus, springs))
    mean = harmonic.posterior.mean.copy()
    cubic = basis.parameter_orders == 3
    mean[cubic] = 100.0 * np.random.default_rng(seed).standard_normal(cubic.sum())
    posterior = dataclasses.replace(harmonic.posterior, mean=mean, covariance_factor=0.01 * np.eye(len(mean)))
    return dataclasses.replace(harmonic, posterior=posterior, calibration=1.0), torus


CRYSTALS = {
    "Cu": (bulk("Cu", "fcc", a=3.6, cubic=True), (2, 2, 2), {3.6 / np.sqrt(2.0): (2.0, 0.3)}, 2.7),
    "ZnS": (
        bulk("ZnS", "wurtzite", a=3.8, c=6.2),
        (3, 3, 2),
        {},
        2.7,
    ),
}


@pytest.mark.parametrize("name", ["Cu", "ZnS"])
def test_parameters_are_those_of_phono3py(name, tmp_path):
    """Where a strain moves the sites, as in wurtzite, too."""
    phono3py = pytest.importorskip("phono3py")
    from phono3py.phonon3.gruneisen import Gruneisen

    atoms, repetitions, springs, cutoff = CRYSTALS[name]
    if name == "ZnS":
        lengths = atoms.repeat(2).get_all_distances(mic=True)[0]
        near = lengths[(lengths > 0.1) & (lengths < 2.6)]
        springs = {float(each): (5.0, 2.0) for each in np.unique(near.round(6))}
    force_field, torus = stable(atoms, repetitions, springs, cutoff)
    prepared = sampled_phonons(force_field, torus, n_samples=2)
    found = gruneisen(prepared, WAVES, (2, 2, 2), np.array([300.0])).along_path.value
    write_phono3py(force_field, torus, tmp_path)
    known = phono3py.load(tmp_path / "phono3py_params.yaml", produce_fc=False, log_level=0)
    with h5py.File(tmp_path / "fc2.hdf5") as second, h5py.File(tmp_path / "fc3.hdf5") as third:
        constants = [np.array(file[key]) for file, key in ((second, "force_constants"), (third, "fc3"))]
    expected = Gruneisen(*constants, known.supercell, known.primitive)
    expected.set_qpoints(WAVES)
    with np.errstate(all="ignore"):
        expected.run()
    values = np.trace(np.array(expected.gruneisen_parameters), axis1=2, axis2=3) / 3.0
    moving = np.isfinite(found)
    assert (~moving).sum() == 3
    assert np.abs(found[moving]).max() > 0.5
    np.testing.assert_allclose(found[moving], values[moving], rtol=1e-3, atol=1e-3)


def test_charges_move_with_the_strain():
    """At the edge of the zone, where waves are real, against forces of the strained crystal."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    force_field, torus = stable(atoms, (2, 2, 2), {2.8: (3.0, 1.0), 5.6 / np.sqrt(2.0): (1.0, 0.5)}, 3.0)
    force_field = dataclasses.replace(force_field, long_range=dipoles_of(torus.crystal, scalar=True))
    wave, strain = np.array([0.5, 0.5, 0.0]), 1e-3
    prepared = sampled_phonons(force_field, torus, n_samples=2)
    found = gruneisen(prepared, wave[None], (2, 2, 2), np.array([300.0])).along_path.value[0]

    def matrix(strain):
        kernel = force_field.on(torus, strain=strain * np.eye(3)).kernel
        signs = np.tile(np.cos(2.0 * np.pi * torus.offsets @ wave), torus.crystal.n_sites)
        masses = torus.crystal.masses
        rows = []
        for site, axis in np.ndindex(torus.crystal.n_sites, 3):
            moved = np.zeros((torus.n_atoms, 3))
            own = slice(site * torus.n_cells, (site + 1) * torus.n_cells)
            moved[own, axis] = signs[own]
            forces = [kernel.energy_forces(step * moved)[1] for step in (1e-3, -1e-3)]
            slopes = (forces[1] - forces[0]) / 2e-3 * signs[:, None]
            by_site = (
                slopes.reshape(len(masses), -1, 3).mean(axis=1) / np.sqrt(masses * masses[site])[:, None]
            )
            rows.append(by_site.ravel())
        return np.array(rows)

    values, vectors = np.linalg.eigh(matrix(0.0))
    change = (matrix(strain) - matrix(-strain)) / np.log((1.0 + strain) ** 3 / (1.0 - strain) ** 3)
    expected = -0.5 * np.einsum("aj,ab,bj->j", vectors, change, vectors) / values
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-3, atol=1e-4)


def test_error_bars_follow_the_calibration():
    force_field, torus = stable(*CRYSTALS["Cu"])
    once, twice = (
        gruneisen(
            sampled_phonons(dataclasses.replace(force_field, calibration=scale), torus, n_samples=3),
            WAVES[1:],
            (2, 2, 2),
            np.array([100.0, 500.0]),
        )
        for scale in (1.0, 2.0)
    )
    np.testing.assert_allclose(twice.means.sd, 2.0 * once.means.sd)
    np.testing.assert_allclose(twice.along_path.sd, 2.0 * once.along_path.sd)
    assert once.means.sd.min() > 0.0


def test_a_small_local_part_changes_little():
    """One atom in the cell has no place to go, whatever is rounded."""
    force_field, torus = stable(*CRYSTALS["Cu"])
    with_local = with_local_part(force_field, LocalSettings(4.0, 3, 2, "species"), training=torus)
    assert has_gruneisen(with_local.expansion)
    mean = with_local.posterior.mean
    mean[force_field.basis.n_parameters :] *= 1e-3
    found = gruneisen(
        sampled_phonons(with_local, torus, n_samples=2), WAVES[1:], (2, 2, 2), np.array([300.0])
    )
    without = gruneisen(
        sampled_phonons(force_field, torus, n_samples=2), WAVES[1:], (2, 2, 2), np.array([300.0])
    )
    np.testing.assert_allclose(found.along_path.value, without.along_path.value, atol=0.2)


def test_a_harmonic_crystal_has_none():
    force_field, _ = random_force_field(bulk("Cu", "fcc", a=3.6, cubic=True), (2, 2, 2), {2: 3.0})
    assert not has_gruneisen(force_field.expansion)
