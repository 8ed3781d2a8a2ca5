"""Elastic constants: those of sound and of the engine, and how they depend on the parameters."""

import dataclasses

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.observables.elastic import averages_of, elastic_constants
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA
from tests.model.test_elastic_constants import CRYSTALS, model_of, relaxed_elastic_constants
from tests.models import dipoles_of, random_force_field, with_local_part, with_parameters
from tests.observables.test_truncation import trained


@pytest.mark.parametrize("name", CRYSTALS)
def test_they_are_those_of_sound(name):
    """`relaxed_elastic_constants` is tested against sound."""
    basis, parameters = model_of(*CRYSTALS[name])
    force_field, crystal = with_parameters(basis, parameters), basis.crystal
    kernel = force_field.on(Torus(crystal, np.eye(3, dtype=np.int64))).strained_kernel
    volume = abs(float(np.linalg.det(crystal.lattice)))
    tensor = relaxed_elastic_constants(kernel, volume)
    expected = np.array([[tensor[(*i, *j)] for j in VOIGT] for i in VOIGT]) * EV_PER_ANGSTROM3_GPA
    found = elastic_constants(force_field).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_they_are_those_of_the_engine():
    expected = engine_constants()
    found = elastic_constants(trained(8, 4))
    deviations = found.values - expected
    np.testing.assert_allclose(deviations[:3, :3], 0.0, atol=0.02 * expected[0, 0])
    np.testing.assert_allclose(deviations[3:, 3:], 0.0, atol=0.02 * expected[3, 3])
    assert np.all(np.abs(deviations) < 3.0 * found.sds + 1e-6)
    bulk_modulus = (expected[0, 0] + 2.0 * expected[0, 1]) / 3.0
    assert found.averages["bulk_hill"].value == pytest.approx(bulk_modulus, rel=0.02)
    assert found.softest.value > 10.0 * found.softest.sd


@pytest.mark.parametrize("kind", ["bare", "dipoles", "local"])
def test_the_slopes_by_parameters_are_those_of_small_changes(kind):
    """Of a crystal whose sites move with the strain."""
    atoms = bulk("ZnS", "wurtzite", a=3.8, c=6.2)
    force_field, _ = random_force_field(atoms, (2, 2, 1), {2: 3.0, 3: 2.5})
    if kind == "dipoles":
        force_field = dataclasses.replace(force_field, long_range=dipoles_of(force_field.basis.crystal))
    if kind == "local":
        force_field = with_local_part(force_field, LocalSettings(3.0, 3, 2, "species"))
    found = elastic_constants(force_field)
    direction = np.random.default_rng(2).standard_normal(found.gradient.shape[2])
    around = []
    for sign in (1.0, -1.0):
        mean = force_field.posterior.mean + sign * 1e-4 * direction
        moved = dataclasses.replace(force_field.posterior, mean=mean)
        around.append(elastic_constants(dataclasses.replace(force_field, posterior=moved)).values)
    expected = (around[0] - around[1]) / 2e-4
    np.testing.assert_allclose(
        found.gradient @ direction, expected, rtol=0, atol=1e-4 * np.abs(expected).max()
    )
    assert np.abs(found.moves).max() > 0.01


def engine_constants():
    atoms, found, step = bulk("Cu", "fcc", a=3.59), np.empty((6, 6)), 1e-3
    for k, unit in enumerate(unit_strains()):
        stresses = []
        for sign in (1.0, -1.0):
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + sign * step * unit), scale_atoms=True)
            strained.calc = EMT()
            stresses.append(strained.get_stress())
        found[:, k] = (stresses[0] - stresses[1]) / (2.0 * step) * EV_PER_ANGSTROM3_GPA
    return found


def test_error_bars_hold_however_many_frames_there_are():
    """Order 4 is missing: by the posterior alone they would be too small by a factor that grows."""
    expected, scores = engine_constants(), []
    for n_frames in (2, 8):
        for seed in (1, 2, 3):
            found = elastic_constants(trained(n_frames, 3, seed))
            scores += [
                (found.values[i, j] - expected[i, j]) / found.sds[i, j] for i, j in ((0, 0), (0, 1), (3, 3))
            ]
    assert 0.5 < np.sqrt(np.mean(np.square(scores))) < 1.8


def test_error_bars_follow_the_calibration():
    force_field = trained(2, 4)
    once = elastic_constants(force_field)
    twice = elastic_constants(dataclasses.replace(force_field, calibration=2.0 * force_field.calibration))
    np.testing.assert_allclose(twice.sds, 2.0 * once.sds)
    np.testing.assert_allclose(twice.averages["shear_reuss"].sd, 2.0 * once.averages["shear_reuss"].sd)


def test_averages_of_an_isotropic_solid_are_its_moduli():
    lame, shear = 3.0, 2.0
    constants = lame * np.pad(np.ones((3, 3)), (0, 3)) + shear * np.diag([2.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    for name, value in averages_of(constants).items():
        assert value == pytest.approx(shear if name.startswith("shear") else lame + 2.0 * shear / 3.0)


def test_a_sheet_has_none():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    force_field, _ = random_force_field(atoms, (2, 2, 2), {2: 3.0})
    crystal = dataclasses.replace(force_field.basis.crystal, periodic=(True, True, False))
    basis = dataclasses.replace(force_field.basis, crystal=crystal)
    with pytest.raises(DataError, match="three dimensions"):
        elastic_constants(dataclasses.replace(force_field, basis=basis))
