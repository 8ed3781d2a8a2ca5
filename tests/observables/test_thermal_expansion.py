"""Thermal expansion: laws of elasticity and Grüneisen, and dynamics against phonons where it is cold."""

import dataclasses

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.strain.moves import strain_components
from mlff_dyn.observables.canonical_samples import Sampling
from mlff_dyn.observables.elastic import elastic_constants
from mlff_dyn.observables.gruneisen import gruneisen
from mlff_dyn.observables.parameter_errors import data_sd, error_factor, error_factor_with_stress
from mlff_dyn.observables.quasi_harmonic import quasi_harmonic
from mlff_dyn.observables.rest_energy import RestEnergy, symmetric_strains
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.observables.strained_phonons import StrainedPhonons
from mlff_dyn.observables.thermal_expansion import expansion_curve, mean_strains
from mlff_dyn.observables.thermal_sums import thermal_sums
from mlff_dyn.units import BOLTZMANN_EV_PER_K, EV_PER_ANGSTROM3_GPA
from tests.lattice.crystals import triclinic
from tests.models import copper, crystal_of
from tests.observables.test_gruneisen import CRYSTALS, stable
from tests.observables.test_truncation import TORUS, trained

MESH = (4, 4, 4)


def test_strains_keep_the_symmetry():
    counts = {"Si": bulk("Si"), "ZnS": bulk("ZnS", "wurtzite", a=3.8, c=6.2), "triclinic": triclinic()}
    for (name, atoms), expected in zip(counts.items(), (1, 2, 6), strict=True):
        found = symmetric_strains(crystal_of(atoms))
        assert len(found) == expected, name
        np.testing.assert_allclose(np.einsum("iab,jab->ij", found, found), np.eye(expected), atol=1e-12)
    np.testing.assert_allclose(
        symmetric_strains(crystal_of(copper())), [np.eye(3) / np.sqrt(3.0)], atol=1e-12
    )


def test_a_pressure_strains_the_crystal_at_rest_as_its_bulk_modulus_says():
    force_field = trained(3, 4)
    bulk_modulus = elastic_constants(force_field).averages["bulk_voigt"].value / EV_PER_ANGSTROM3_GPA
    rest = RestEnergy(force_field, 0.0)
    assert rest.amounts == pytest.approx([0.0], abs=1e-9)
    assert rest.curvature(rest.amounts) / rest.volume == pytest.approx(3.0 * bulk_modulus, rel=1e-4)
    pressure = 1e-4 * bulk_modulus
    moved = RestEnergy(force_field, pressure).amounts
    assert moved / np.sqrt(3.0) == pytest.approx([-pressure / (3.0 * bulk_modulus)], rel=2e-3)
    with pytest.raises(DataError, match="no strain"):
        _ = RestEnergy(force_field, -bulk_modulus).amounts
    rows = rest.slope_rows(np.array([0.01]))
    change = 1e-3 * np.random.default_rng(1).standard_normal(rows.shape[1] - 6)
    slopes = []
    for sign in (1.0, -1.0):
        mean = force_field.posterior.mean + sign * change
        posterior = dataclasses.replace(force_field.posterior, mean=mean)
        changed = RestEnergy(dataclasses.replace(force_field, posterior=posterior), 0.0)
        slopes.append(changed.slope(np.array([0.01])))
    assert rows[:, :-6] @ change == pytest.approx(0.5 * (slopes[0] - slopes[1]), rel=1e-6)


def uniaxial():
    """Wurtzite, whose sites move with the strain."""
    atoms, repetitions, _, cutoff = CRYSTALS["ZnS"]
    lengths = atoms.repeat(2).get_all_distances(mic=True)[0]
    near = np.unique(lengths[(lengths > 0.1) & (lengths < 2.6)].round(6))
    return stable(atoms, repetitions, {float(each): (5.0, 2.0) for each in near}, cutoff)


def test_two_strains_of_a_uniaxial_crystal_are_as_stiff_as_its_elastic_constants_say():
    force_field, _ = uniaxial()
    rest = RestEnergy(force_field, 0.0)
    components = np.array([strain_components(each) for each in rest.strains])
    constants = elastic_constants(force_field).values / EV_PER_ANGSTROM3_GPA
    expected = components @ constants @ components.T
    found = rest.curvature(np.zeros(2)) / rest.volume
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_cold_expansion_is_that_of_gruneisen():
    """Volume expansion is gamma C_V / (bulk modulus times volume); classical, all modes weigh the same."""
    force_field, hot = trained(3, 4), np.array([3000.0])
    phonons, rest = sampled_phonons(force_field, TORUS, n_samples=2), RestEnergy(force_field, 0.0)
    found = quasi_harmonic(phonons, rest, MESH, [4.0])["classical"]
    gamma = gruneisen(phonons, np.array([[0.5, 0.5, 0.0]]), MESH, hot).means.value[0]
    capacity = 3.0 * (1.0 - 1.0 / np.prod(MESH)) * BOLTZMANN_EV_PER_K
    bulk_modulus = elastic_constants(force_field).averages["bulk_voigt"].value / EV_PER_ANGSTROM3_GPA
    expected = gamma * capacity / (bulk_modulus * rest.volume)
    assert np.sqrt(3.0) * found.rates[0, 0] == pytest.approx(expected, rel=5e-3)


def test_two_strains_of_a_uniaxial_crystal_leave_no_slope_of_the_free_energy():
    force_field, torus = uniaxial()
    phonons, rest, kelvin = (
        sampled_phonons(force_field, torus, n_samples=2),
        RestEnergy(force_field, 0.0),
        400.0,
    )
    found = quasi_harmonic(phonons, rest, MESH, [kelvin])["quantum"]
    amounts, step = found.amounts[0], 1e-3
    slopes = []
    for unit in np.eye(2):
        ends = [
            thermal_sums(
                StrainedPhonons(phonons, rest.strain(amounts + sign * step * unit)).choose(0),
                MESH,
                np.array([kelvin]),
                is_classical=False,
            )["free_energy"][0]
            for sign in (1.0, -1.0)
        ]
        slopes.append((ends[0] - ends[1]) / (2.0 * step))
    np.testing.assert_allclose(rest.slope(amounts), -np.array(slopes), rtol=0.02)
    assert np.isfinite(found.rate_samples).all()


def test_cold_dynamics_expand_as_classical_phonons():
    force_field, kelvin = trained(3, 4), 40.0
    rest = RestEnergy(force_field, 0.0)
    sampling = Sampling(kelvin, 8.0, 0.003, 600, 120, 20, 1.2, (3,))
    (found,) = mean_strains(rest, TORUS, sampling)
    phonons = sampled_phonons(force_field, TORUS, n_samples=2)
    expected = quasi_harmonic(phonons, rest, (4, 4, 4), [kelvin])["classical"].amounts[0, 0]
    assert found.value == pytest.approx(expected, abs=4.0 * found.statistical_error)
    assert found.statistical_error < 0.3 * expected
    assert 0.0 < data_sd(force_field, found.gradient) < expected


def test_a_curve_of_few_powers_is_found_again():
    kelvin = (100.0, 200.0, 300.0, 400.0, 500.0)
    values = [1e-3 + 2e-5 * t + 1e-8 * t**2 - 3e-12 * t**3 for t in (0.0, *kelvin)]
    found = expansion_curve(kelvin, np.full(5, 1e-5))
    np.testing.assert_allclose(found.values @ values, values[1:], rtol=1e-9)
    np.testing.assert_allclose(
        found.slopes @ values, [2e-5 + 2e-8 * t - 9e-12 * t**2 for t in kelvin], rtol=1e-8
    )
    alone = expansion_curve([300.0], np.array([1e-5]))
    np.testing.assert_allclose(alone.slopes, [[-1.0 / 300.0, 1.0 / 300.0]])


def test_the_stress_at_rest_belongs_to_the_parameters():
    force_field = trained(3, 4)
    own, both = error_factor(force_field), error_factor_with_stress(force_field)
    np.testing.assert_array_equal(both[: len(own)], own)
    assert not both[len(own) :].any()
