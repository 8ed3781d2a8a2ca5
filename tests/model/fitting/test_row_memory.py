"""Fits of growing data: what is kept between them changes their cost and nothing else."""

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.data_rows import DataRows
from mlff_dyn.model.fitting.fit import (
    FitOptions,
    LabelledRows,
    RowMemory,
    fit_force_field,
    label_rows,
)
from mlff_dyn.model.force_field import ForceField
from tests.models import crystal_of

N_FRAMES = 11


@pytest.fixture(scope="module")
def data() -> list[LabelledRows]:
    """Noisy forces and energies at two amplitudes, with fewer rows than columns in the first frames."""
    crystal = crystal_of(bulk("Si", cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    expansion = Expansion(build_basis(crystal, {2: "full", 3: 4.0}, torus)).on(torus)
    generator = np.random.default_rng(5)
    truth = generator.standard_normal(expansion.basis.n_parameters)
    frames = []
    for k in range(N_FRAMES):
        u = (0.05 + 0.03 * (k % 2)) * generator.standard_normal((torus.n_atoms, 3))
        rows, energy = expansion.rows(u)
        forces = (rows @ truth + 0.03 * generator.standard_normal(u.size)).reshape(u.shape)
        frames.append(label_rows(expansion, u, forces, float(energy @ truth)))
    return frames


def same_bytes(first: ForceField, second: ForceField) -> bool:
    pairs = [
        (first.posterior.mean, second.posterior.mean),
        (first.posterior.covariance_factor, second.posterior.covariance_factor),
        (first.posterior.hyperparameters.prior_values, second.posterior.hyperparameters.prior_values),
        (np.array(first.calibration), np.array(second.calibration)),
        (np.array(first.training.rmse_force_ev_per_angstrom), second.training.rmse_force_ev_per_angstrom),
    ]
    return all(np.array_equal(a, b) for a, b in pairs)


def test_a_fit_depends_on_its_data_alone(data: list[LabelledRows]) -> None:
    """A run that fits after every snapshot and one that starts again at any moment agree to the last bit."""
    basis, grown = data[0].supercell.basis, RowMemory()
    for n in range(1, N_FRAMES + 1):
        fitted = fit_force_field(basis, data[:n], memory=grown)
        if n in (3, 8, 9, N_FRAMES):
            assert same_bytes(fitted, fit_force_field(basis, data[:n], memory=RowMemory()))


def test_little_memory_costs_time_only(data: list[LabelledRows]) -> None:
    basis = data[0].supercell.basis
    whole = fit_force_field(basis, data, memory=RowMemory())
    assert same_bytes(whole, fit_force_field(basis, data, memory=RowMemory(most_bytes=0)))


def test_where_the_search_begins_does_not_matter(data: list[LabelledRows]) -> None:
    """From the hyperparameters of fewer data or from the first guess: the same to a fraction of the errors.

    The evidence of random force constants is flat where their size tells nothing of the scales.
    """
    basis = data[0].supercell.basis
    cold, warm = fit_force_field(basis, data), fit_force_field(basis, data, memory=RowMemory())
    sd = np.sqrt((cold.posterior.covariance_factor**2).sum(axis=1))
    assert np.abs((warm.posterior.mean - cold.posterior.mean) / sd).max() < 0.5
    assert warm.posterior.log_evidence == pytest.approx(cold.posterior.log_evidence, rel=1e-4)
    assert warm.calibration == pytest.approx(cold.calibration, rel=0.01)


def test_other_data_are_not_taken_for_the_same(data: list[LabelledRows]) -> None:
    basis, memory = data[0].supercell.basis, RowMemory()
    fit_force_field(basis, data, memory=memory)
    assert same_bytes(
        fit_force_field(basis, data[::-1], memory=memory),
        fit_force_field(basis, data[::-1], memory=RowMemory()),
    )


@pytest.mark.parametrize("n", [2, N_FRAMES])
def test_sums_are_those_over_the_rows(data: list[LabelledRows], n: int) -> None:
    """With columns of free parameters in front, which only the energies have."""
    rows = DataRows(data[:n], FitOptions(), RowMemory())
    scale = np.linspace(0.5, 2.0, data[0].supercell.basis.n_parameters)
    found = rows.observations(scale)
    for label, part in enumerate(found.statistics):
        design, targets = stacked(rows, label, scale)
        gram, places = design.T @ design, np.triu_indices(design.shape[1])
        np.testing.assert_allclose(part.packed, gram[places], atol=1e-12 * np.abs(gram).max())
        moment = design.T @ targets
        np.testing.assert_allclose(part.moment, moment, atol=1e-12 * np.abs(moment).max())
        assert part.target_sq == pytest.approx(targets @ targets, rel=1e-12)
        assert part.n_targets == len(targets)


def stacked(rows: DataRows, label: int, scale: NDArray) -> tuple[NDArray, NDArray]:
    blocks = [rows.block(frame) for frame in rows.data]
    here = [rows.row_labels(k) == label for k in range(len(blocks))]
    design = [np.hstack([b.free_design, b.design / scale])[k] for b, k in zip(blocks, here, strict=True)]
    targets = [b.targets[k] for b, k in zip(blocks, here, strict=True)]
    return np.concatenate(design), np.concatenate(targets)
