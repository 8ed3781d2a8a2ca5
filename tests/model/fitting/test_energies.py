"""Energies and stresses in the likelihood: what they teach, their zeros, and their errors."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.error_models import noise_family
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions, LabelledFrame, labelled_frame, stress_design
from tests.models import copper, crystal_of


def copper_rows(n: int, sd: float, seed: int) -> list[LabelledFrame]:
    """Rattled copper labelled by EMT, energies and stresses included."""
    crystal = crystal_of(copper())
    torus = input_supercell(crystal, (2, 2, 2))
    expansion = Expansion(build_basis(crystal, {2: "full", 3: 3.0, 4: {2: 3.0}}, torus))
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        atoms = copper() * (2, 2, 2)
        atoms.positions += sd * generator.standard_normal(atoms.positions.shape)
        atoms.calc = EMT()
        match = match_structure(crystal, atoms.cell.array, atoms.positions, atoms.numbers)
        forces = atoms.get_forces()[match.atoms]
        energy, stress = float(atoms.get_potential_energy()), atoms.get_stress()
        rows.append(labelled_frame(expansion.on(match.torus), match.displacements, forces, energy, stress))
    return rows


@pytest.fixture(scope="module")
def training() -> list[LabelledFrame]:
    return copper_rows(6, 0.08, seed=1)


@pytest.fixture(scope="module")
def unseen(training: list[LabelledFrame]) -> list[LabelledFrame]:
    return [replace(r, supercell=training[0].supercell) for r in copper_rows(30, 0.08, seed=2)]


def test_errors_of_energy_and_stress_are_as_large_as_predicted(
    training: list[LabelledFrame], unseen: list[LabelledFrame]
) -> None:
    force_field = fit_force_field(
        training[0].supercell.basis, FitData(training, FitOptions(energies=True, stress=True))
    )
    supercell = force_field.on(unseen[0].supercell.torus)
    energy_scores, stress_scores = [], []
    for rows in unseen:
        energy, _ = supercell.energy_forces(rows.displacements)
        errors = supercell.energy_errors(rows.displacements)
        stress_errors = supercell.stress_errors(rows.displacements)
        assert errors is not None
        assert stress_errors is not None
        energy_scores.append((energy - (rows.energy_ev or 0.0)) / rows.n_atoms / errors.predictive[0])
        stress = supercell.stress(rows.displacements)
        stress_scores.append((stress - rows.stress_ev_per_angstrom3) / stress_errors.predictive)
        np.testing.assert_allclose(
            errors.predictive**2, errors.epistemic**2 + errors.truncation**2, rtol=1e-10
        )
    assert 0.4 < np.sqrt(np.mean(np.square(energy_scores))) < 2.0
    assert 0.4 < np.sqrt(np.mean(np.square(stress_scores))) < 2.0


@pytest.mark.parametrize("sd", [0.02, 0.05, 0.08])
def test_errors_of_the_energy_hold_at_smaller_amplitudes(training: list[LabelledFrame], sd: float) -> None:
    """The zero of the energy takes up what all frames leave out alike; smaller ones leave out less."""
    force_field = fit_force_field(training[0].supercell.basis, FitData(training))
    assert force_field.energy is not None
    supercell, scores = force_field.on(training[0].supercell.torus), []
    for frame in copper_rows(12, sd, seed=3):
        energy, _ = supercell.energy_forces(frame.displacements)
        errors = supercell.energy_errors(frame.displacements)
        assert errors is not None
        scores.append((energy - (frame.energy_ev or 0.0)) / frame.n_atoms / errors.predictive[0])
    assert 0.25 < np.sqrt(np.mean(np.square(scores))) < 2.0


def test_data_of_two_zeros_fit_as_those_of_one(training: list[LabelledFrame]) -> None:
    """Energies of half of the data are moved by 5 eV per cell, and said to be of another origin."""
    basis = training[0].supercell.basis
    options = FitOptions(energies=True)
    moved = [
        replace(r, energy_ev=(r.energy_ev or 0.0) + 5.0 * (k > 2) * r.n_cells, origin=int(k > 2))
        for k, r in enumerate(training)
    ]
    apart = [replace(r, origin=int(k > 2)) for k, r in enumerate(training)]
    first, second = (fit_force_field(basis, FitData(data, options)) for data in (apart, moved))
    sd = np.linalg.norm(first.posterior.covariance_factor, axis=1)
    assert np.abs((first.posterior.mean - second.posterior.mean) / sd).max() < 1e-4
    assert first.training.reference_energy_ev_per_cell == pytest.approx(
        second.training.reference_energy_ev_per_cell, abs=1e-9
    )


def test_without_energies_there_are_no_errors_of_them(training: list[LabelledFrame]) -> None:
    basis = training[0].supercell.basis
    for data, options in ((training, FitOptions(energies=False)), (training[:1], FitOptions())):
        force_field = fit_force_field(basis, FitData(data, options))
        assert force_field.energy is None
        supercell = force_field.on(training[0].supercell.torus)
        assert supercell.energy_errors(training[0].displacements) is None
        assert supercell.stress_errors(training[0].displacements) is None


def test_rows_of_the_stress_give_the_stress(training: list[LabelledFrame]) -> None:
    force_field = fit_force_field(training[0].supercell.basis, FitData(training))
    rows = training[0]
    supercell = force_field.on(rows.supercell.torus)
    design = stress_design(rows.supercell, rows.displacements, rows.supercell.rows(rows.displacements)[0])
    at_rest = supercell.stress(np.zeros_like(rows.displacements))
    assert np.abs(at_rest).max() < 1e-15
    np.testing.assert_allclose(
        design @ force_field.posterior.mean, supercell.stress(rows.displacements) - at_rest, atol=1e-10
    )


def test_rows_of_all_kinds_are_in_the_sums(training: list[LabelledFrame]) -> None:
    """Bins together hold every row: forces, an energy and six stresses of each snapshot."""
    rows = FitData(training, FitOptions(energies=True, stress=True))
    observations = rows.observations(np.ones(training[0].supercell.basis.n_parameters))
    assert observations.n_targets == len(training) * (96 + 1 + 6)
    assert observations.n_free == 1 + 6
    total = sum(part.target_sq for part in observations.statistics)
    expected = sum(np.sum(rows.block(k).targets ** 2) for k in range(len(rows)))
    assert total == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("cutoffs", "order"),
    [
        ({2: 2.5}, 2),
        ({2: 2.5, 3: 3.9}, 3),
        ({2: 2.5, 3: 3.9, 4: {2: 2.5}, 5: {2: 2.5}}, 3),
        ({2: 2.5, 3: 2.5}, 2),
    ],
)
def test_the_noise_grows_as_the_highest_order_with_triples(cutoffs: dict, order: int) -> None:
    """Orders of pairs alone leave most of themselves out."""
    crystal = crystal_of(bulk("Si", cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    supercell = Expansion(build_basis(crystal, cutoffs, torus)).on(torus)
    generator = np.random.default_rng(0)
    frames = [0.1 * generator.standard_normal((torus.n_atoms, 3)) for _ in range(2)]
    rows = FitData(
        [labelled_frame(supercell, u, generator.standard_normal(u.shape), 0.0) for u in frames], FitOptions()
    )
    assert noise_family(supercell.basis, rows).forces.expected_exponent == max(1, order - 1)


def test_independent_displacements_have_neighborhoods_like_their_frame() -> None:
    """The mean of the sixth powers of normal stretches and bends is that of the frame."""
    crystal = crystal_of(bulk("Si", cubic=True))
    torus = input_supercell(crystal, (12, 12, 12))
    supercell = Expansion(build_basis(crystal, {2: 2.5})).on(torus)
    u = 0.1 * np.random.default_rng(0).standard_normal((torus.n_atoms, 3))
    conditions = supercell.force_conditions(u)
    assert np.mean(conditions.ratios**6) == pytest.approx(1.0, rel=0.05)
    assert conditions.amplitudes == pytest.approx(supercell.amplitude(u))


def test_neighborhoods_are_those_of_a_loop_over_bonds() -> None:
    crystal = crystal_of(bulk("ZnS", "wurtzite", a=3.8, c=6.2))
    torus = input_supercell(crystal, (2, 2, 2))
    supercell = Expansion(build_basis(crystal, {2: 2.5}, torus)).on(torus)
    u = 0.1 * np.random.default_rng(0).standard_normal((torus.n_atoms, 3))
    conditions, found = supercell.force_conditions(u), []
    for atom, position in enumerate(torus.positions):
        shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
        vectors = (torus.positions - position)[:, None] + shifts @ torus.lattice
        lengths = np.linalg.norm(vectors, axis=-1)
        shortest = np.sort(lengths.ravel())[1]
        sixths = []
        for other, image in np.argwhere((lengths > 0.1) & (lengths < 1.2 * shortest)):
            direction = vectors[other, image] / lengths[other, image]
            stretch = u[other] - u[atom]
            along = stretch @ direction
            bend = np.linalg.norm(stretch - along * direction) / np.sqrt(2)
            sixths.append(((along / np.sqrt(2)) ** 6 + (bend / np.sqrt(2)) ** 6) / 21)
        found.append(np.mean(sixths) ** (1 / 6) / supercell.amplitude(u))
    np.testing.assert_allclose(conditions.ratios, np.maximum(found, 0.2), rtol=1e-10)
