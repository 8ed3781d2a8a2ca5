"""Data that the expansion describes exactly, or to a noise near rounding: parameters and errors hold."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import FitOptions, LabelledFrame, labelled_frame
from mlff_dyn.model.fitting.prior_guess import PriorGuess
from mlff_dyn.regression.data.observations import Observations
from tests.models import crystal_of

AMPLITUDE = 0.08


@pytest.fixture(scope="module", params=["Si", "ZnS"])
def expansion(request: pytest.FixtureRequest) -> SupercellExpansion:
    if request.param == "Si":
        crystal = crystal_of(bulk("Si", cubic=True))
        torus, cutoffs = input_supercell(crystal, (2, 2, 2)), {2: "full", 3: 4.0, 4: 2.4}
    else:
        crystal = crystal_of(bulk("ZnS", "wurtzite", a=3.8, c=6.2))
        torus, cutoffs = input_supercell(crystal, (2, 2, 1)), {2: "full", 3: 2.9, 4: 2.9}
    return Expansion(build_basis(crystal, cutoffs, torus)).on(torus)


def scale_of(expansion: SupercellExpansion) -> NDArray[np.float64]:
    """Parameters that give forces of the order of 1 eV/Å at the amplitude of the data."""
    return np.asarray(AMPLITUDE ** (1.0 - expansion.basis.parameter_orders))


def truth_of(expansion: SupercellExpansion) -> NDArray[np.float64]:
    scale = scale_of(expansion)
    return scale * np.random.default_rng(1).standard_normal(len(scale))


def labelled(
    expansion: SupercellExpansion, n: int, noise: float = 0.0, first: int = 0
) -> list[LabelledFrame]:
    """Frames labelled by the expansion itself, with noise relative to the rms force."""
    kernel, frames = expansion.kernel(truth_of(expansion)), []
    for seed in range(first, first + n):
        generator = np.random.default_rng(seed)
        u = AMPLITUDE * generator.standard_normal((expansion.torus.n_atoms, 3))
        u -= u.mean(axis=0)
        energy, forces = kernel.energy_forces(u)
        forces = forces + noise * np.sqrt(np.mean(forces**2)) * generator.standard_normal(forces.shape)
        frames.append(labelled_frame(expansion, u, forces, energy))
    return frames


def n_frames(expansion: SupercellExpansion) -> int:
    """As many frames as give three times as many rows as parameters."""
    return -(-3 * expansion.basis.n_parameters // (3 * expansion.torus.n_atoms))


@pytest.mark.parametrize("options", [FitOptions(), FitOptions(energies=False)], ids=["energies", "forces"])
def test_parameters_come_out_to_rounding(expansion: SupercellExpansion, options: FitOptions) -> None:
    """And the model says so: new forces within three of its sds, which are below 1e-9 of the force."""
    fitted = fit_force_field(expansion.basis, FitData(labelled(expansion, n_frames(expansion)), options))
    scale = scale_of(expansion)
    np.testing.assert_allclose(fitted.posterior.mean / scale, truth_of(expansion) / scale, atol=1e-10)
    force_rms = fitted.training.force_rms_ev_per_angstrom
    assert fitted.training.rmse_force_ev_per_angstrom < 1e-13 * force_rms
    new = labelled(expansion, 1, first=900)[0]
    errors = new.forces - new.supercell.rows(new.displacements)[0] @ fitted.posterior.mean
    variances = fitted.posterior.variance(new.supercell.rows(new.displacements)[0])
    variances += fitted.posterior.noise.variance(new.amplitude_angstrom)
    sds = fitted.calibration * np.sqrt(variances)
    assert np.all(np.abs(errors) < 3.0 * sds + 1e-13 * force_rms)
    assert sds.max() < 1e-9 * force_rms


@pytest.mark.parametrize("noise", [1e-5, 1e-7, 1e-9])
def test_tiny_noise_is_told_in_absolute_terms(expansion: SupercellExpansion, noise: float) -> None:
    """Noise sd, scores of the parameters, scores of frames left out: all of the size they should be."""
    fitted = fit_force_field(expansion.basis, FitData(labelled(expansion, n_frames(expansion), noise)))
    force_rms = fitted.training.force_rms_ev_per_angstrom
    found = np.sqrt(float(fitted.posterior.noise.variance(fitted.training.displacement_rms_angstrom)))
    assert found == pytest.approx(noise * force_rms, rel=0.3)
    sds = np.linalg.norm(fitted.posterior.covariance_factor, axis=1)
    scores = (fitted.posterior.mean - truth_of(expansion)) / sds
    assert 0.5 < np.sqrt(np.mean(scores**2)) < 2.0
    assert 0.7 < fitted.calibration < 1.6


def test_a_true_guess_does_no_harm(expansion: SupercellExpansion) -> None:
    """A guess that is the truth, or 0.8 of it, is scaled to it; parameters still come out to rounding."""
    data, scale, truth = labelled(expansion, n_frames(expansion)), scale_of(expansion), truth_of(expansion)
    for factor in (1.0, 0.8):
        fitted = fit_force_field(
            expansion.basis,
            FitData(data),
            guess=PriorGuess("truth", factor * truth, expansion.expansion.parameter_orders),
        )
        np.testing.assert_allclose(fitted.posterior.mean / scale, truth / scale, atol=1e-10)


def test_noisy_data_never_make_triangles(
    expansion: SupercellExpansion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the errors that expansions of real crystals leave, sums do, at their speed."""
    made = FitData.observations

    def without_rows(rows: FitData, scale: NDArray[np.float64]) -> Observations:
        def refuse() -> list:
            raise AssertionError

        return replace(made(rows, scale), rows=refuse)

    monkeypatch.setattr(FitData, "observations", without_rows)
    for n in range(1, n_frames(expansion) + 1):
        fit_force_field(expansion.basis, FitData(labelled(expansion, n, 3e-3)))
