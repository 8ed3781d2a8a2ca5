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
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.observables.truncation import truncation_change
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


def test_the_change_is_that_of_the_posterior_without_its_highest_even_order():
    force_field = trained(3, 4)
    change = truncation_change(force_field)
    posterior = force_field.posterior
    orders = force_field.expansion.parameter_orders
    covariance = posterior.covariance_factor @ posterior.covariance_factor.T
    fourth = orders == 4
    left = covariance[:, fourth] @ np.linalg.solve(covariance[np.ix_(fourth, fourth)], posterior.mean[fourth])
    np.testing.assert_array_equal(change[fourth], 0.0)
    others = ~fourth
    cosine = -change[others] @ left[others] / np.linalg.norm(change) / np.linalg.norm(left[others])
    assert cosine == pytest.approx(1.0, abs=1e-6)


def test_it_grows_with_the_truncation_and_vanishes_without():
    for highest in (2, 3, 4):
        force_field = trained(3, highest)
        posterior = force_field.posterior
        noise = posterior.noise
        changes = []
        for floor, truncation in ((noise.floor_sd + 0.1, 0.0), (0.0, 0.1), (0.0, 0.2)):
            known = dataclasses.replace(noise, floor_sd=floor, truncation_sd=truncation)
            known = dataclasses.replace(posterior.hyperparameters, noise=known)
            known = dataclasses.replace(posterior, hyperparameters=known)
            changes.append(truncation_change(dataclasses.replace(force_field, posterior=known)))
        assert not changes[0].any()
        assert changes[1].any()
        if highest < 4:
            np.testing.assert_allclose(changes[2], 2.0 * changes[1])


def test_parameters_that_are_known_exactly_do_not_change():
    force_field = trained(3, 4)
    sure = dataclasses.replace(
        force_field.posterior, covariance_factor=0.0 * force_field.posterior.covariance_factor
    )
    assert not truncation_change(dataclasses.replace(force_field, posterior=sure)).any()
