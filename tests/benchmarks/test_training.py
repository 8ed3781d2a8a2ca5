"""Benchmarks of trainings: the double well, the published model, what is counted."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces

from benchmarks.training.double_well import DoubleWell
from benchmarks.training.materials import MATERIALS
from benchmarks.training.published import fit_published
from benchmarks.training.tables import summarize_runs, summarize_verdicts
from benchmarks.training.trainings import Run, Workbench
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions, labelled_frame

RUN = Run(
    material="Cu",
    criterion="paper",
    seed=1,
    status="converged",
    calculations=6,
    numbers=(5, 6),
    errors=(0.03, 0.02),
    called_at=(0.1,),
    plateau=0.019,
    errors_at={"300": 0.01, "600": 0.02},
    ratios_at={"300": 0.9, "600": 1.1},
    n_stopped=0,
    seconds=1.0,
)


def double_well_crystal():
    (atoms,) = (each.system.make_atoms() for each in MATERIALS if each.system.name == "double well")
    return atoms


def test_wells_lie_where_they_are_said_to():
    atoms = double_well_crystal().repeat(3)
    atoms.calc = DoubleWell()
    rest = atoms.get_potential_energy()
    assert np.abs(atoms.get_forces()).max() < 1e-12
    for direction, depth in (((1, 1, 1), 0.20), ((1, 1, 0), 8 / 45), ((1, 0, 0), 2 / 15)):
        unit = np.array(direction) / np.linalg.norm(direction)
        squared = 4.0 / (15.0 * (1.0 + np.sum(unit**4)))
        moved = atoms.copy()
        moved.positions[1::2] += np.sqrt(squared) * unit
        moved.calc = DoubleWell()
        assert (rest - moved.get_potential_energy()) / 27 == pytest.approx(depth)
        assert np.abs(moved.get_forces()).max() < 1e-12


def test_forces_of_the_double_well_are_the_slope_of_its_energy():
    atoms = double_well_crystal().repeat(3)
    atoms.rattle(0.1, seed=1)
    atoms.calc = DoubleWell()
    indices = range(0, 54, 17)
    slopes = calculate_numerical_forces(atoms, eps=1e-5, iatoms=indices)
    np.testing.assert_allclose(atoms.get_forces()[indices], slopes, atol=1e-7)


def test_the_double_well_knows_its_atoms_in_any_order_and_on_either_side_of_the_cell():
    atoms = double_well_crystal().repeat(3)
    atoms.rattle(0.1, seed=1)
    order = np.random.default_rng(2).permutation(54)
    shuffled = atoms[order]
    shuffled.wrap()
    assert np.abs(shuffled.positions - atoms.positions[order]).max() > 1.0
    atoms.calc, shuffled.calc = DoubleWell(), DoubleWell()
    assert shuffled.get_potential_energy() == pytest.approx(atoms.get_potential_energy())
    np.testing.assert_allclose(shuffled.get_forces(), atoms.get_forces()[order], atol=1e-12)


def test_the_published_model_is_bayesian_ridge_regression():
    linear_model = pytest.importorskip("sklearn.linear_model")
    cell = bulk("Cu", "fcc", a=3.59, cubic=True)
    crystal = build_crystal(cell.cell.array, cell.positions, cell.numbers)
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0, 3: 3.0, 4: 3.0}, torus)
    supercell = Expansion(basis).on(torus)
    frames = []
    for moved in 0.05 * np.random.default_rng(1).standard_normal((4, torus.n_atoms, 3)):
        atoms = cell.repeat(2)
        atoms.set_positions(torus.positions + moved)
        atoms.set_atomic_numbers(torus.numbers)
        atoms.calc = EMT()
        frames.append(labelled_frame(supercell, moved, atoms.get_forces(), None))
    data = FitData(frames, FitOptions(energies=False))
    posterior = fit_published(basis, data).posterior
    design = np.concatenate([data.force_rows(k) for k in range(len(frames))])
    targets = np.concatenate([frame.forces for frame in frames])
    tiny = {"alpha_1": 0.0, "alpha_2": 0.0, "lambda_1": 0.0, "lambda_2": 0.0}
    peer = linear_model.BayesianRidge(fit_intercept=False, max_iter=3000, tol=1e-10, **tiny)
    peer.fit(design, targets)
    assert posterior.noise.floor_sd == pytest.approx(peer.alpha_**-0.5, rel=1e-3)
    assert np.exp(posterior.hyperparameters.prior_values[0]) == pytest.approx(peer.lambda_**-0.5, rel=1e-2)
    np.testing.assert_allclose(design @ posterior.mean, design @ peer.coef_, atol=1e-4)
    np.testing.assert_allclose(
        posterior.variance(design), np.einsum("ij,jk,ik->i", design, peer.sigma_, design), rtol=1e-2
    )


@pytest.mark.parametrize(
    ("errors", "expected"), [((0.03, 0.02), 6), ((0.02, 0.02), 5), ((0.02, 0.03), 7), ((0.03, 0.03), 7)]
)
def test_calculations_until_the_error_stays_on_the_plateau(errors, expected):
    assert Run(**{**vars(RUN), "errors": errors}).needed == expected


def test_trainings_that_never_reach_the_plateau_are_marked():
    short = Run(**{**vars(RUN), "errors": (0.03, 0.03)})
    (*_, row) = summarize_runs([RUN, short, short])
    assert row == "| Cu (3) | paper | > 6 | 6 | 100 % | 1.00 / 2.00 | 0.90 / 1.10 | 0 | 3, 0 |"


def test_answers_are_compared_with_held_out_errors():
    told = [
        Run(**{**vars(RUN), "limit": limit, "status": status})
        for limit, status in ((0.03, "converged"), (0.01, "converged"), (0.03, "all steps made"))
    ]
    assert [run.mistake for run in told] == [0, 1, -1]
    (*_, row) = summarize_verdicts(told)
    assert row == "| 3 | 1 | 1 |"


def test_held_out_frames_may_come_from_a_training_of_their_own(tmp_path):
    """Its calculations are those of the engine, and a bench made again takes all from the folder."""
    (copper,) = (each for each in MATERIALS if each.system.name == "Cu EMT")
    system = replace(copper.system, name="Cu sampled", is_cheap=False)
    material = replace(copper, system=system, n_steps=100, n_test=2, n_plateau=3, sampling_limit=0.05)
    bench = Workbench(material, tmp_path)
    assert (tmp_path / "Cu-sampled-sampling" / "run" / "model.h5").exists()
    assert 0.0 < bench.plateau < 0.05
    shutil.rmtree(tmp_path / "Cu-sampled-sampling")
    assert Workbench(material, tmp_path).plateau == bench.plateau
