"""Fits of growing data: what is kept between them changes their cost and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.error_models import held_out_forces
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions, LabelledFrame, labelled_frame
from mlff_dyn.model.force_field import ForceField
from tests.models import crystal_of

N_FRAMES = 11


@pytest.fixture(scope="module")
def frames() -> list[LabelledFrame]:
    """Noisy forces and energies at two amplitudes, with fewer rows than columns in the first frames."""
    crystal = crystal_of(bulk("Si", cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    expansion = Expansion(build_basis(crystal, {2: "full", 3: 4.0}, torus)).on(torus)
    generator = np.random.default_rng(5)
    truth = generator.standard_normal(expansion.basis.n_parameters)
    made = []
    for k in range(N_FRAMES):
        u = (0.05 + 0.03 * (k % 2)) * generator.standard_normal((torus.n_atoms, 3))
        rows, energy = expansion.rows(u)
        forces = (rows @ truth + 0.03 * generator.standard_normal(u.size)).reshape(u.shape)
        made.append(labelled_frame(expansion, u, forces, float(energy @ truth)))
    return made


def same_bytes(first: ForceField, second: ForceField) -> bool:
    pairs = [
        (first.posterior.mean, second.posterior.mean),
        (first.posterior.covariance_factor, second.posterior.covariance_factor),
        (first.posterior.hyperparameters.prior_values, second.posterior.hyperparameters.prior_values),
        (np.array(first.calibration), np.array(second.calibration)),
        (np.array(first.training.rmse_force_ev_per_angstrom), second.training.rmse_force_ev_per_angstrom),
    ]
    return all(np.array_equal(a, b) for a, b in pairs)


def test_a_fit_depends_on_its_data_alone(frames: list[LabelledFrame]) -> None:
    """A run that fits after every snapshot and one that starts again at any moment agree to the last bit."""
    basis, grown = frames[0].supercell.basis, FitData(grows=True)
    for n in range(1, N_FRAMES + 1):
        grown = grown.extended(frames[n - 1 : n])
        fitted = fit_force_field(basis, grown)
        if n in (3, 8, 9, N_FRAMES):
            assert same_bytes(fitted, fit_force_field(basis, FitData(frames[:n], grows=True)))


def test_little_memory_costs_time_only(frames: list[LabelledFrame]) -> None:
    basis = frames[0].supercell.basis
    whole = fit_force_field(basis, FitData(frames, grows=True))
    assert same_bytes(whole, fit_force_field(basis, FitData(frames, grows=True, most_bytes=0)))


def test_where_the_search_begins_does_not_matter(frames: list[LabelledFrame]) -> None:
    """From the hyperparameters of fewer data or from the first guess: the same to a fraction of the errors.

    The evidence of random force constants is flat where their size tells nothing of the scales.
    """
    basis = frames[0].supercell.basis
    cold, warm = (fit_force_field(basis, FitData(frames, grows=grows)) for grows in (False, True))
    sd = np.sqrt((cold.posterior.covariance_factor**2).sum(axis=1))
    assert np.abs((warm.posterior.mean - cold.posterior.mean) / sd).max() < 0.5
    assert warm.posterior.log_evidence == pytest.approx(cold.posterior.log_evidence, rel=1e-4)
    assert warm.calibration == pytest.approx(cold.calibration, rel=0.01)


def test_other_data_are_not_taken_for_the_same(frames: list[LabelledFrame]) -> None:
    basis, data = frames[0].supercell.basis, FitData(frames, grows=True)
    fit_force_field(basis, data)
    turned = frames[::-1]
    assert same_bytes(
        fit_force_field(basis, data.updated(turned)), fit_force_field(basis, FitData(turned, grows=True))
    )
    apart = [replace(frame, origin=k % 2) for k, frame in enumerate(frames)]
    assert same_bytes(
        fit_force_field(basis, data.updated(apart)), fit_force_field(basis, FitData(apart, grows=True))
    )


def test_starts_of_data_with_other_origins_are_not_taken(frames: list[LabelledFrame]) -> None:
    """A fit to the first data does not depend on what was fitted to the same frames with other origins."""
    basis, data = frames[0].supercell.basis, FitData(frames, grows=True)
    apart = data.updated([replace(frame, origin=k % 2) for k, frame in enumerate(frames)])
    fit_force_field(basis, apart)
    assert same_bytes(fit_force_field(basis, data), fit_force_field(basis, FitData(frames, grows=True)))


@pytest.mark.parametrize("energies", [False, True])
def test_fits_to_other_rows_leave_no_trace(frames: list[LabelledFrame], energies: bool) -> None:
    """Neither their sums nor the ends of their searches, also where the kinds of rows are the same."""
    basis, options = frames[0].supercell.basis, FitOptions(energies=energies)
    other = FitData(frames[:10], FitOptions(energies=False))
    fit_force_field(basis, other)
    grown = other.with_options(options, grows=True).extended(frames[10:])
    alone = FitData(frames, options, grows=True)
    assert same_bytes(fit_force_field(basis, grown), fit_force_field(basis, alone))


def test_two_sets_may_grow_from_the_same_beginning(frames: list[LabelledFrame]) -> None:
    basis, data = frames[0].supercell.basis, FitData(frames[:3])
    fit_force_field(basis, data)
    first, second = data.extended(frames[3:5]), data.extended(frames[5:8])
    for grown, expected in ((first, frames[:5]), (second, frames[:3] + frames[5:8]), (data, frames[:3])):
        assert same_bytes(fit_force_field(basis, grown), fit_force_field(basis, FitData(expected)))


def test_each_design_matrix_is_made_once(
    frames: list[LabelledFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By fits, held-out predictions and refits together, also where the energies change their zero."""
    made, rows = [], SupercellExpansion.rows

    def counted(supercell: SupercellExpansion, displacements: NDArray) -> tuple[NDArray, NDArray]:
        made.append(displacements)
        return rows(supercell, displacements)

    monkeypatch.setattr(SupercellExpansion, "rows", counted)
    basis, data = frames[0].supercell.basis, FitData(frames[:9], grows=True)
    fit_force_field(basis, data)
    data = data.extended(frames[9:])
    fit_force_field(basis, data)
    fit_force_field(basis, data.updated([replace(frame, origin=k % 2) for k, frame in enumerate(frames)]))
    fit_force_field(basis, data.with_options(FitOptions(energies=False)))
    assert len(made) == len(frames)


def test_variances_found_by_holding_out_are_those_of_the_posterior(frames: list[LabelledFrame]) -> None:
    """With the free zeros of energies in the fit, and only for the posterior that they belong to."""
    data = FitData(frames)
    posterior = fit_force_field(frames[0].supercell.basis, data).posterior
    held_out_forces(posterior, data, 3)
    expected = posterior.variance(data.force_rows(3))
    np.testing.assert_allclose(data.force_variances(3, posterior), expected, rtol=1e-10)
    other = replace(posterior, covariance_factor=2.0 * posterior.covariance_factor)
    np.testing.assert_allclose(data.force_variances(3, other), 4.0 * expected, rtol=1e-10)


@pytest.mark.parametrize("n", [2, N_FRAMES])
def test_sums_are_those_over_the_rows(frames: list[LabelledFrame], n: int) -> None:
    """With columns of free parameters in front, which only the energies have."""
    rows = FitData(frames[:n])
    scale = np.linspace(0.5, 2.0, frames[0].supercell.basis.n_parameters)
    found = rows.observations(scale)
    for label, part in enumerate(found.statistics):
        design, targets = stacked(rows, label, scale)
        gram, places = design.T @ design, np.triu_indices(design.shape[1])
        np.testing.assert_allclose(part.packed, gram[places], atol=1e-12 * np.abs(gram).max())
        moment = design.T @ targets
        np.testing.assert_allclose(part.moment, moment, atol=1e-12 * np.abs(moment).max())
        assert part.target_sq == pytest.approx(targets @ targets, rel=1e-12)
        assert part.n_targets == len(targets)


def stacked(rows: FitData, label: int, scale: NDArray) -> tuple[NDArray, NDArray]:
    blocks = [rows.block(k) for k in range(len(rows))]
    here = [rows.row_labels(k) == label for k in range(len(blocks))]
    design = [np.hstack([b.free_design, b.design / scale])[k] for b, k in zip(blocks, here, strict=True)]
    targets = [b.targets[k] for b, k in zip(blocks, here, strict=True)]
    return np.concatenate(design), np.concatenate(targets)
