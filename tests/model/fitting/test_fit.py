"""Fitting a force field: derivatives, recovery of what made the data, independence of their order."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.errors import DataError, FitError
from mlff_dyn.kernels import BACKEND
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.error_models import held_out_scores
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions, LabelledFrame, labelled_frame
from mlff_dyn.model.force_field import errors_of_rows
from mlff_dyn.regression.errors.held_out import calibration_scale
from tests.models import Cutoffs, crystal_of

CASES = [
    (bulk("Si", cubic=True), (2, 2, 2), {2: "full", 3: 4.0, 4: {2: 4.0, 3: 2.4}}),
    (bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1), {2: "full", 3: 2.9, 4: 2.9, 5: {2: 2.9}, 6: {2: 2.9}}),
]


def expansion_of(case: tuple) -> SupercellExpansion:
    atoms, supercell, cutoffs = case
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    return Expansion(build_basis(crystal, cutoffs, torus)).on(torus)


def displaced(expansion: SupercellExpansion, seed: int, sd: float = 0.1) -> NDArray[np.float64]:
    u = sd * np.random.default_rng(seed).standard_normal((expansion.torus.n_atoms, 3))
    return np.asarray(u - u.mean(axis=0))


def noise_free(
    expansion: SupercellExpansion, parameters: NDArray[np.float64], n: int, *, energy_ev: float = 0.0
) -> list[LabelledFrame]:
    """Snapshots labelled by known parameters; ``energy_ev`` is the energy of a primitive cell at rest."""
    kernel = expansion.kernel(parameters)
    rows = []
    for seed in range(n):
        u = displaced(expansion, seed)
        energy, forces = kernel.energy_forces(u)
        rows.append(labelled_frame(expansion, u, forces, energy + energy_ev * expansion.torus.n_cells))
    return rows


@pytest.mark.parametrize("case", CASES, ids=["Si", "ZnS"])
def test_forces_are_derivatives_of_the_energy(case: tuple[object, object, Cutoffs]) -> None:
    """X theta = -dE/du by central differences, in random directions, and on the kernel as well."""
    expansion = expansion_of(case)
    generator = np.random.default_rng(3)
    orders = expansion.basis.parameter_orders
    parameters = generator.standard_normal(len(orders)) * 0.1 ** -orders.astype(float)
    u = displaced(expansion, 1)
    rows, energy_row = expansion.rows(u)
    forces = (rows @ parameters).reshape(-1, 3)
    kernel = expansion.kernel(parameters)
    energy, kernel_forces = kernel.energy_forces(u)
    assert energy == pytest.approx(energy_row @ parameters, rel=1e-10)
    np.testing.assert_allclose(kernel_forces, forces, atol=1e-10 * np.abs(forces).max())
    step = 1e-5
    for _ in range(10):
        direction = generator.standard_normal(u.shape)
        up, down = (kernel.energy_forces(u + s * step * direction)[0] for s in (1, -1))
        slope = -np.sum(forces * direction)
        scale = np.abs(forces).max() * np.sqrt(u.size)
        assert (up - down) / (2 * step) == pytest.approx(slope, abs=1e-6 * scale)


@pytest.mark.parametrize("case", CASES, ids=["Si", "ZnS"])
def test_parameters_of_noise_free_data_are_recovered(case: tuple[object, object, Cutoffs]) -> None:
    expansion = expansion_of(case)
    orders = expansion.basis.parameter_orders
    truth = np.random.default_rng(1).standard_normal(len(orders)) * 0.1 ** (1.0 - orders)
    n = 2 + 4 * len(orders) // (3 * expansion.torus.n_atoms)
    fitted = fit_force_field(expansion.basis, FitData(noise_free(expansion, truth, n, energy_ev=-7.5)))
    scale = 0.1 ** (1.0 - orders)
    np.testing.assert_allclose(fitted.posterior.mean / scale, truth / scale, atol=1e-8)
    assert fitted.training.reference_energy_ev_per_cell == pytest.approx(-7.5, abs=1e-7)
    assert fitted.training.rmse_energy_ev_per_atom < 1e-7
    assert fitted.training.rmse_force_ev_per_angstrom < 1e-8 * fitted.training.force_rms_ev_per_angstrom
    assert fitted.training.n_snapshots == n


@pytest.fixture(scope="module")
def noisy() -> tuple[SupercellExpansion, list[LabelledFrame]]:
    expansion = expansion_of(CASES[1])
    orders = expansion.basis.parameter_orders
    truth = np.random.default_rng(2).standard_normal(len(orders)) * 0.1 ** (1.0 - orders)
    generator = np.random.default_rng(5)
    rows = [
        labelled_frame(
            expansion,
            r.displacements,
            (r.forces + 0.02 * generator.standard_normal(r.forces.shape)).reshape(-1, 3),
            r.energy_ev,
        )
        for r in noise_free(expansion, truth, 8)
    ]
    return expansion, rows


def test_order_of_snapshots_does_not_matter(noisy: tuple[SupercellExpansion, list[LabelledFrame]]) -> None:
    """Up to where the search ends, which rounding moves."""
    expansion, rows = noisy
    forward = fit_force_field(expansion.basis, FitData(rows))
    backward = fit_force_field(expansion.basis, FitData(rows[::-1]))
    sd = np.sqrt(np.diag(forward.posterior.covariance_factor @ forward.posterior.covariance_factor.T))
    assert np.abs((forward.posterior.mean - backward.posterior.mean) / sd).max() < 1e-3
    assert forward.posterior.log_evidence == pytest.approx(backward.posterior.log_evidence, rel=3e-6)
    assert forward.calibration == pytest.approx(backward.calibration, rel=1e-4)
    again = fit_force_field(expansion.basis, FitData(rows))
    np.testing.assert_array_equal(again.posterior.mean, forward.posterior.mean)


def test_the_zero_of_energy_does_not_change_forces(
    noisy: tuple[SupercellExpansion, list[LabelledFrame]],
) -> None:
    """A constant added to all energies moves the energy at rest alone, up to where the search ends."""
    expansion, rows = noisy
    moved = [replace(r, energy_ev=(r.energy_ev or 0.0) + 3.0 * r.n_cells) for r in rows]
    first, second = (
        fit_force_field(expansion.basis, FitData(rows)),
        fit_force_field(expansion.basis, FitData(moved)),
    )
    sd = np.linalg.norm(first.posterior.covariance_factor, axis=1)
    assert np.abs((first.posterior.mean - second.posterior.mean) / sd).max() < 1e-3
    shift = second.training.reference_energy_ev_per_cell - first.training.reference_energy_ev_per_cell
    assert shift == pytest.approx(3.0, abs=1e-7)


def test_snapshots_of_several_supercells_fit_together() -> None:
    crystal = crystal_of(bulk("Si", cubic=True))
    basis = build_basis(crystal, {2: 2.5, 3: 2.5}, input_supercell(crystal, (2, 2, 2)))
    expansion = Expansion(basis)
    truth = np.random.default_rng(4).standard_normal(basis.n_parameters)
    data = []
    for supercell in ((2, 2, 2), (3, 2, 1)):
        data += noise_free(expansion.on(input_supercell(crystal, supercell)), truth, 2, energy_ev=-5.0)
    fitted = fit_force_field(basis, FitData(data))
    np.testing.assert_allclose(fitted.posterior.mean, truth, atol=1e-7)
    assert fitted.training.reference_energy_ev_per_cell == pytest.approx(-5.0, abs=1e-8)


def test_few_data_are_not_believed() -> None:
    """One snapshot of fewer rows than parameters: new errors are of the predicted size, not far above it."""
    expansion = expansion_of(CASES[1])
    orders = expansion.basis.parameter_orders
    truth = np.random.default_rng(8).standard_normal(len(orders)) * 0.1 ** (1.0 - orders)
    snapshots = noise_free(expansion, truth, 4)
    assert 3 * expansion.torus.n_atoms < expansion.basis.n_parameters
    fitted = fit_force_field(expansion.basis, FitData(snapshots[:1]))
    supercell = fitted.on(expansion.torus)
    ratios = []
    for rows in snapshots[1:]:
        _, forces = supercell.energy_forces(rows.displacements)
        error = np.sqrt(np.mean((forces.ravel() - rows.forces) ** 2))
        sd = np.sqrt(np.mean(supercell.force_errors(rows.displacements).predictive ** 2))
        ratios.append(error / sd)
    assert 0.3 < np.mean(ratios) < 3.0


def test_nothing_to_fit() -> None:
    expansion = expansion_of(CASES[1])
    zeros = np.zeros((expansion.torus.n_atoms, 3))
    with pytest.raises(FitError, match="no labelled snapshot"):
        fit_force_field(expansion.basis, FitData([]))
    with pytest.raises(FitError, match="no atom is displaced"):
        fit_force_field(expansion.basis, FitData([labelled_frame(expansion, zeros, zeros, 0.0)]))
    with pytest.raises(DataError, match="forces"):
        labelled_frame(expansion, zeros, zeros[:-1], 0.0)


def test_parts_of_the_error_add_up(noisy: tuple[SupercellExpansion, list[LabelledFrame]]) -> None:
    expansion, rows = noisy
    errors = (
        fit_force_field(expansion.basis, FitData(rows))
        .on(expansion.torus)
        .force_errors(displaced(expansion, 90))
    )
    assert errors.epistemic.min() > 0.0
    np.testing.assert_allclose(errors.predictive**2, errors.epistemic**2 + errors.truncation**2, rtol=1e-10)
    again = errors_of_rows(
        fit_force_field(expansion.basis, FitData(rows)),
        expansion.rows(displaced(expansion, 90))[0],
        expansion.force_conditions(displaced(expansion, 90)),
    )
    np.testing.assert_allclose(errors.predictive, again.predictive, rtol=1e-9)


def test_many_snapshots_are_calibrated_on_some_of_them() -> None:
    """Some that do not depend on the order of the data, and that give the factor of all nearly."""
    crystal = crystal_of(bulk("Si", cubic=True))
    basis = build_basis(crystal, {2: 2.5, 3: 2.5}, input_supercell(crystal, (2, 2, 2)))
    expansion = Expansion(basis).on(input_supercell(crystal, (2, 2, 2)))
    truth, generator = np.random.default_rng(4).standard_normal(basis.n_parameters), np.random.default_rng(6)
    data = [
        labelled_frame(
            expansion,
            r.displacements,
            (r.forces + 0.05 * generator.standard_normal(r.forces.shape)).reshape(-1, 3),
            None,
        )
        for r in noise_free(expansion, truth, 40)
    ]
    fitted = fit_force_field(basis, FitData(data))
    assert fit_force_field(basis, FitData(data[::-1])).calibration == pytest.approx(
        fitted.calibration, rel=1e-6
    )
    rows = FitData(data, FitOptions())
    every = calibration_scale(held_out_scores(fitted.posterior, rows, range(len(data))).forces)
    assert fitted.calibration == pytest.approx(every, rel=0.05)


@pytest.mark.skipif(BACKEND == "reference", reason="its pieces are as large as this whole design matrix")
def test_errors_of_a_large_cell_need_little_memory(
    noisy: tuple[SupercellExpansion, list[LabelledFrame]],
) -> None:
    expansion, rows = noisy
    crystal = expansion.basis.crystal
    large = fit_force_field(expansion.basis, FitData(rows)).on(input_supercell(crystal, (10, 10, 10)))
    u = 0.05 * np.random.default_rng(0).standard_normal((large.torus.n_atoms, 3))
    large.force_errors(np.zeros_like(u))
    tracemalloc.start()
    large.force_errors(u)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * u.size * expansion.basis.n_parameters * u.itemsize


def test_sites_of_larger_errors_have_larger_error_bars() -> None:
    """Noise of the forces on sulfur three times that on zinc."""
    expansion = expansion_of(CASES[1])
    torus, generator = expansion.torus, np.random.default_rng(5)
    truth = np.random.default_rng(2).standard_normal(expansion.basis.n_parameters)
    sds = np.where(torus.numbers == 16, 0.03, 0.01)[:, None]
    rows = []
    for frame in noise_free(expansion, truth, 40):
        forces = frame.forces.reshape(-1, 3) + sds * generator.standard_normal((torus.n_atoms, 3))
        rows.append(labelled_frame(expansion, frame.displacements, forces, frame.energy_ev))
    force_field = fit_force_field(expansion.basis, FitData(rows[:20]))
    scales = force_field.site_scales
    assert scales is not None
    of_species = [scales[expansion.basis.crystal.numbers == number] for number in (16, 30)]
    assert np.ptp(of_species, axis=1).max() == 0.0
    assert of_species[0][0] > 2.0 * of_species[1][0]
    place, scores = force_field.on(torus), []
    for frame in rows[20:]:
        wrong = place.energy_forces(frame.displacements)[1] - frame.forces.reshape(-1, 3)
        scores.append(wrong / place.force_errors(frame.displacements).predictive)
    for number in (16, 30):
        z = np.concatenate(scores)[np.tile(torus.numbers == number, len(scores))]
        assert 0.8 < np.sqrt(np.mean(z**2)) < 1.25
