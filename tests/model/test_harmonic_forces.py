"""Forces of order 2: exact for force constants, the limit of small displacements for the local part."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.torus import Torus
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.force_constants import force_constants_of
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.harmonic_forces import HarmonicForces
from tests.models import dipoles_of, random_force_field, with_local_part

NONE = np.zeros((3, 3))
STRAIN = np.array([[0.02, 0.01, 0.0], [0.01, -0.01, 0.0], [0.0, 0.0, 0.015]])


def wurtzite() -> tuple[ForceField, Torus]:
    return random_force_field(bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1), {2: "full", 3: 2.9})


def displaced(torus: Torus) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((torus.n_atoms, 3))


def harmonic_forces(force_field: ForceField, torus: Torus) -> HarmonicForces:
    return HarmonicForces(force_field.expansion, force_field.posterior.mean, torus)


@pytest.mark.parametrize("strain", [NONE, STRAIN], ids=["at rest", "strained"])
def test_of_force_constants_they_are_exact(strain: np.ndarray) -> None:
    force_field, torus = wurtzite()
    u = displaced(torus)
    mean = np.where(force_field.basis.parameter_orders == 2, force_field.posterior.mean, 0.0)
    kernel = force_field.expansion.on(torus, strain).kernel(mean)
    found = harmonic_forces(force_field, torus)(u, strain)
    np.testing.assert_allclose(found, kernel.energy_forces(u)[1], rtol=0.0, atol=1e-12 * np.abs(found).max())


@pytest.mark.parametrize("with_dipoles", [False, True])
def test_of_all_parts_they_are_those_of_the_force_constants(with_dipoles: bool) -> None:
    force_field, torus = wurtzite()
    if with_dipoles:
        force_field = replace(force_field, long_range=dipoles_of(force_field.basis.crystal))
    force_field = with_local_part(force_field, LocalSettings(4.3, 3, 2))
    u, everything = displaced(torus), np.arange(torus.n_atoms)
    phi = force_constants_of(force_field, 2, torus).dense(everything, everything)
    found = harmonic_forces(force_field, torus)(u, NONE)
    np.testing.assert_allclose(found, -np.einsum("ijab,jb->ia", phi, u), atol=1e-5 * np.abs(found).max())


def test_under_strain_they_are_linear_in_both() -> None:
    """Rows of small strains and displacements, times the parameters, are an independent limit."""
    force_field, torus = wurtzite()
    force_field = with_local_part(force_field, LocalSettings(4.3, 3, 2))
    u, step = displaced(torus), 1e-4
    there, back = (
        force_field.expansion.on(torus, sign * step * STRAIN).rows(sign * step * u)[0] for sign in (1.0, -1.0)
    )
    expected = ((there - back) / (2.0 * step)) @ force_field.posterior.mean
    found = harmonic_forces(force_field, torus)(u, STRAIN)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-5 * np.abs(found).max())
