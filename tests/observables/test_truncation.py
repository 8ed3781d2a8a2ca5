"""What an expansion leaves out, in the error bars of its order 2."""

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from phonopy import Phonopy

from mlff_dyn.formats.phonopy_cells import phonopy_cells
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.observables.elastic import elastic_constants
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.observables.truncation import truncation_changes
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper, crystal_of, emt_snapshots

WAVES = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.5], [0.25, 0.5, 0.75], [0.1, 0.2, 0.4], [0.3, 0.3, 0.1]])
TORUS = input_supercell(crystal_of(copper()), (2, 2, 2))


@cache
def trained(n_frames, highest, seed=1):
    cutoffs = {order: each for order, each in {2: "full", 3: 3.0, 4: {2: 3.0}}.items() if order <= highest}
    basis = build_basis(TORUS.crystal, cutoffs, TORUS)
    snapshots = emt_snapshots((2, 2, 2), (0.08,) * n_frames, seed=seed)
    return fit_force_field(basis, FitData(frames_of_snapshots(Path("frames"), snapshots, Expansion(basis))))


LARGE = LocalSettings(cutoff_angstrom=5.0, n_radial=5, l_max=3, n_bodies=4)
SMALL = LocalSettings(cutoff_angstrom=5.0, n_radial=4, l_max=2, n_bodies=4)
CUBIC = ([0, 0, 3], [0, 1, 3])


def with_local(settings):
    basis = build_basis(TORUS.crystal, {2: "full", 3: 3.0}, TORUS)
    return Expansion(basis, local=local_basis(TORUS.crystal, settings, training=TORUS))


@cache
def larger_force_field():
    """All that there is to know in the tests of a local part."""
    expansion = with_local(LARGE)
    snapshots = emt_snapshots((2, 2, 2), (0.08,) * 6, seed=9)
    return fit_force_field(
        expansion.basis, FitData(frames_of_snapshots(Path("frames"), snapshots, expansion))
    )


@cache
def trained_on_larger(n_frames, seed=1):
    """A local part without the last functions of the crystal that it is trained on."""
    supercell, known = with_local(SMALL).on(TORUS), larger_force_field().on(TORUS)
    generator = np.random.default_rng((seed, n_frames))
    frames = []
    for _ in range(n_frames):
        moved = 0.08 * generator.standard_normal((TORUS.n_atoms, 3))
        energy, forces = known.energy_forces(moved)
        frames.append(labelled_frame(supercell, moved, forces, energy_ev=energy))
    return fit_force_field(supercell.basis, FitData(frames))


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def frequencies(phonon):
    phonon.run_qpoints(WAVES)
    return np.array(phonon.qpoints.frequencies)


@cache
def frequencies_of_the_engine():
    phonon = Phonopy(**phonopy_cells(TORUS), log_level=0)
    phonon.generate_displacements(distance=0.01)
    forces = []
    for cell in phonon.supercells_with_displacements:
        atoms = Atoms(cell.symbols, cell.positions, cell=cell.cell, pbc=True)
        atoms.calc = EMT()
        forces.append(atoms.get_forces())
    phonon.forces = forces
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return frequencies(phonon)


@pytest.mark.parametrize("n_frames", [2, 8])
def test_error_bars_hold_however_many_frames_there_are(n_frames):
    """Order 4 is missing: the posterior alone would be off by more standard deviations the more data."""
    scores = []
    for seed in (1, 2, 3):
        prepared = sampled_phonons(trained(n_frames, 3, seed), TORUS)
        found = frequencies(prepared.choose(0))
        sd = prepared.spread(lambda k, each=prepared: {"all": frequencies(each.choose(k))})["all"]
        scores.append((found - frequencies_of_the_engine()) / sd)
    assert 0.4 < np.sqrt(np.mean(np.square(scores))) < 1.7


@pytest.mark.parametrize("n_frames", [2, 8])
def test_error_bars_hold_where_the_last_functions_of_a_local_part_are_missing(n_frames):
    """Of frequencies and elastic constants; the posterior alone would be off by more the more data."""
    known = larger_force_field()
    truth = frequencies(sampled_phonons(known, TORUS).choose(0))
    constants = elastic_constants(known).values[CUBIC]
    of_waves, of_constants = [], []
    for seed in (1, 2, 3, 4):
        force_field = trained_on_larger(n_frames, seed)
        prepared = sampled_phonons(force_field, TORUS)
        sd = prepared.spread(lambda k, each=prepared: {"all": frequencies(each.choose(k))})["all"]
        of_waves.append((frequencies(prepared.choose(0)) - truth) / sd)
        found = elastic_constants(force_field)
        of_constants.append((found.values[CUBIC] - constants) / found.sds[CUBIC])
    assert 0.5 < rms(of_waves) < 1.6
    assert 0.2 < rms(of_constants) < 1.6


def left_out(force_field, group):
    """Change of all parameters where some are zero, by the conditional mean of the posterior."""
    posterior = force_field.posterior
    covariance = posterior.covariance_factor @ posterior.covariance_factor.T
    known = np.linalg.solve(covariance[np.ix_(group, group)], posterior.mean[group])
    return -covariance[:, group] @ known


def is_along(found, wanted):
    cosine = found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted)
    return cosine == pytest.approx(1.0, abs=1e-6)


def test_the_change_is_that_of_the_posterior_without_its_highest_even_order():
    force_field = trained(3, 4)
    changes = truncation_changes(force_field)
    fourth = force_field.expansion.parameter_orders == 4
    assert changes.shape[1] == 1
    assert not changes[fourth].any()
    others = ~fourth
    assert is_along(changes[others, 0], left_out(force_field, fourth)[others])


def test_changes_with_a_local_part_are_those_without_its_last_functions():
    force_field = trained_on_larger(2)
    local = force_field.local
    first = len(force_field.posterior.mean) - local.n_parameters
    farthest = local.radial_indices.max(axis=1)
    groups = [local.bodies == 4, local.degrees == 2, local.degrees >= 1, farthest == 3, farthest >= 2]
    changes = truncation_changes(force_field)
    assert changes.shape[1] == len(groups)
    for change, group in zip(changes.T, groups, strict=True):
        chosen = np.append(np.zeros(first, bool), group)
        assert is_along(change, left_out(force_field, chosen))


def test_changes_do_not_depend_on_what_parameters_of_a_local_part_mean():
    force_field = trained_on_larger(2)
    local, posterior = force_field.local, force_field.posterior
    first = len(posterior.mean) - local.n_parameters
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((local.n_functions,) * 2))[0]
    both = np.eye(len(posterior.mean))
    both[first:, first:] = turned.T
    same = dataclasses.replace(
        force_field,
        local=dataclasses.replace(local, structure=turned),
        posterior=dataclasses.replace(
            posterior, mean=both @ posterior.mean, covariance_factor=both @ posterior.covariance_factor
        ),
    )
    changes, found = truncation_changes(force_field), both.T @ truncation_changes(same)
    np.testing.assert_allclose(found, changes, atol=1e-5 * np.abs(changes).max())


def test_it_grows_with_the_truncation_and_vanishes_without():
    for force_field in (*(trained(3, highest) for highest in (2, 3, 4)), trained_on_larger(2)):
        posterior = force_field.posterior
        noise = posterior.noise
        changes = []
        for floor, truncation in ((noise.floor_sd + 0.1, 0.0), (0.0, 0.1), (0.0, 0.2)):
            known = dataclasses.replace(noise, floor_sd=floor, truncation_sd=truncation)
            known = dataclasses.replace(posterior.hyperparameters, noise=known)
            known = dataclasses.replace(posterior, hyperparameters=known)
            changes.append(truncation_changes(dataclasses.replace(force_field, posterior=known)))
        assert not changes[0].any()
        assert changes[1].any()
        if force_field.local is None and force_field.basis.orders[-1] < 4:
            np.testing.assert_allclose(changes[2], 2.0 * changes[1])


def test_parameters_that_are_known_exactly_do_not_change():
    force_field = trained(3, 4)
    sure = dataclasses.replace(
        force_field.posterior, covariance_factor=0.0 * force_field.posterior.covariance_factor
    )
    assert not truncation_changes(dataclasses.replace(force_field, posterior=sure)).any()
