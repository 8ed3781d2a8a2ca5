"""What reports say of unstable crystals, of displacements beyond the data, and of useless trajectories."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.force_field import TrainingSummary
from mlff_dyn.model.harmonic_modes import harmonic_modes
from mlff_dyn.training.trusted_region import Motion
from mlff_dyn.units import BOHR_ANGSTROM, HARTREE_EV, RYDBERG_EV
from mlff_dyn.workflows.md import run_md
from mlff_dyn.workflows.md.md_report import DONE, UNRELIABLE, MdReport, TrajectorySummary
from mlff_dyn.workflows.md.trajectory_checks import TRAJECTORY_LIMITS, trajectory_warnings
from mlff_dyn.workflows.stability import coverage_warnings, stability_warnings, stiffness_warnings
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian
from tests.workflows.conftest import invoke

SUMMARY = TrajectorySummary(
    directory="md/300K-1",
    temperature_k=300.0,
    seed=1,
    ensemble="nvt",
    n_atoms=32,
    n_steps=10_000,
    timestep_fs=1.0,
    steps_per_second=1e4,
    displacement_limit_angstrom=1.0,
    n_frames=100,
    mean_temperature_k=301.0,
    mean_temperature_error_k=1.0,
    temperatures_by_element_k={"Cu": 301.0},
    force_sd_mean=0.01,
    force_sd_max=0.02,
    force_rms_ev_per_angstrom=1.0,
    displacement_rms_angstrom=0.1,
    largest_displacement_angstrom=0.4,
)
TRAINED = TrainingSummary(5, 0.08, 0.3, 1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("across", "is_stable"), [(0.2, True), (-0.3, False)])
def test_imaginary_modes_are_named(across: float, is_stable: bool) -> None:
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    hessian = spring_hessian(torus, {3.6 / np.sqrt(2): (1.0, across)})
    lines = stability_warnings(fitted_to_harmonic(basis, torus, hessian), torus)
    assert (lines == []) == is_stable
    for line in lines:
        assert "20 imaginary modes at the 32 wave vectors" in line
        assert "THz at q = (0.5, " in line
        assert "saddle point" in line


UNITS = {
    "Ry/bohr": BOHR_ANGSTROM / RYDBERG_EV,
    "hartree/bohr": BOHR_ANGSTROM / HARTREE_EV,
    "meV/Å": 1000.0,
    "kcal/mol/Å": 23.06,
}


@pytest.mark.parametrize("unit", ["eV/Å", *UNITS])
def test_forces_in_another_unit_show_by_how_soft_the_crystal_is(unit: str) -> None:
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    hessian = spring_hessian(torus, {3.6 / np.sqrt(2): (2.0, 0.0)})
    force_field = fitted_to_harmonic(basis, torus, UNITS.get(unit, 1.0) * hessian)
    lines = stiffness_warnings(force_field, torus)
    assert [unit in line for line in lines] == [True] * (unit in UNITS)


def test_the_force_on_a_displaced_atom_is_that_of_its_springs() -> None:
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    hessian = spring_hessian(torus, {3.6 / np.sqrt(2): (2.0, 0.3)})
    force_field = fitted_to_harmonic(basis, torus, hessian)
    modes = harmonic_modes(force_field.expansion, force_field.posterior.mean, torus)
    np.testing.assert_allclose(modes.self_force_constants, 12 * (2.0 + 2 * 0.3) / 3, rtol=1e-6)


def test_dynamics_beyond_the_data_is_announced() -> None:
    """Frames of 0.02 Å test nothing of dynamics at 300 K, but all of it at 4 K."""
    crystal = crystal_of(bulk("Cu", "fcc", a=3.6, cubic=True))
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    hessian = spring_hessian(torus, {3.6 / np.sqrt(2): (2.0, 0.2)})
    supercell = fitted_to_harmonic(basis, torus, hessian).on(torus)
    (line,) = coverage_warnings(supercell, [Motion(t, 1.0, 1000) for t in (4.0, 300.0)])
    assert line.startswith("dynamics at 300 K: errors are extrapolated: displacements have an rms of 0.0")


def test_a_sound_trajectory_has_no_warning() -> None:
    assert trajectory_warnings(SUMMARY, TRAINED, 0.05) == []
    assert ("  it holds", "for displacements of rms 0.1 Å, at most 0.4 Å") in SUMMARY.rows()


def test_a_large_error_and_an_extrapolated_one_are_warnings() -> None:
    (line,) = trajectory_warnings(replace(SUMMARY, force_sd_mean=0.08), TRAINED, 0.05)
    assert line.startswith("300 K: the expected force error of 8.00 % exceeds the 5 %")
    small = replace(TRAINED, displacement_rms_angstrom=0.01, displacement_max_angstrom=0.04)
    (line,) = trajectory_warnings(SUMMARY, small, 0.05)
    assert "errors are extrapolated" in line
    report = MdReport(DONE, (SUMMARY,), (line,))
    assert report.exit_code == 0
    assert ("warning", line) in report.rows()
    assert report.to_json()["warnings"] == [line]
    assert MdReport(UNRELIABLE, (SUMMARY,), (line,)).exit_code == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean_temperature_k": 280.0}, "the mean temperature of 280.0 ± 1.0 K is not the one asked for"),
        ({"mean_temperature_k": 280.0, "mean_temperature_error_k": 8.0}, None),
        ({"mean_temperature_k": 280.0, "n_steps": 1000}, None),
        ({"mean_temperature_k": 280.0, "ensemble": "nve"}, None),
        ({"mean_temperature_k": 250.0, "ensemble": "nve"}, "250.0 ± 1.0 K is not the one asked for"),
        ({"temperatures_by_element_k": {"Cu": 250.0}}, "Cu moves as at 250 K, all atoms as at 301 K"),
        ({"energy_drift_mev_per_atom_per_ps": -2.0}, "the energy drifts by -2 meV per atom and ps"),
        ({"energy_drift_mev_per_atom_per_ps": 0.05}, None),
    ],
)
def test_dynamics_is_judged_by_its_own_errors(changes: dict[str, object], words: str | None) -> None:
    lines = trajectory_warnings(
        replace(SUMMARY, **{"temperatures_by_element_k": {}, **changes}), TRAINED, 0.05
    )
    assert len(lines) == (words is not None)
    assert all(words in line for line in lines)


def test_a_useless_trajectory_ends_with_exit_code_6(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call finds everything done, and says the same."""
    strict = replace(TRAJECTORY_LIMITS, unreliable_error_relative=1e-4)
    monkeypatch.setattr(run_md, "TRAJECTORY_LIMITS", strict)
    for _ in range(2):
        result = invoke("run-md", project / "CONFIG.yaml", "--json")
        assert result.exit_code == 6
        answer = json.loads(result.stdout)
        assert answer["status"] == UNRELIABLE
        assert (project / "run/md/300K-7/trajectory.h5").exists()
