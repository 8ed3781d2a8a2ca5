"""`check-convergence`: the answer, its files, and its exit code."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.config.load import load_config
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.workflows.convergence.check_convergence import check_convergence
from mlff_dyn.workflows.convergence.convergence_report import ConvergenceReport
from tests.workflows.conftest import invoke


def check(project: Path, *overrides: str, force: bool = False) -> ConvergenceReport:
    config = load_config(project / "CONFIG.yaml", list(overrides))
    return check_convergence(config, dry_run=False, force=force, progress=NullProgress())


def test_a_yes_is_0_and_writes_numbers_and_a_picture(project: Path) -> None:
    result = invoke("check-convergence", project / "CONFIG.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["status"], answer["converged"], answer["forecast_calculations"]) == ("converged", True, 0)
    (found,) = answer["temperatures"]
    assert found["temperature_k"] == 300.0
    assert 0.0 < found["statistical_error"] < found["force_sd_mean"] < found["limit"]
    assert found["force_sd_mean"] / found["force_rms_ev_per_angstrom"] == pytest.approx(
        found["force_sd_relative"]
    )
    assert 1.0 <= found["n_effective"] <= found["n_frames"] == 2 * 45
    saved = json.loads((project / "run" / "convergence.json").read_text(encoding="utf-8"))
    assert {name: saved[name] for name in answer} == answer
    assert (project / "run" / "convergence.png").read_bytes().startswith(b"\x89PNG")


def test_a_no_is_4_unless_told_otherwise(project: Path) -> None:
    strict = ["--set", "convergence.force_error_limit_relative=0.01", "--set", "convergence.n_replicas=3"]
    result = invoke("check-convergence", project / "CONFIG.yaml", *strict)
    assert result.exit_code == 4
    assert "not converged" in result.stdout
    assert "more calculations" in result.stdout
    assert invoke("check-convergence", project / "CONFIG.yaml", *strict, "--exit-zero").exit_code == 0


def test_nothing_is_run_again_unless_something_changed(project: Path) -> None:
    first = check(project)
    saved = project / "run" / "convergence.json"
    changed = saved.stat().st_mtime_ns
    again = check(project)
    assert (again.up_to_date, again.to_json()) == (True, first.to_json())
    assert saved.stat().st_mtime_ns == changed
    assert check(project, force=True).to_json() == first.to_json()
    assert saved.stat().st_mtime_ns != changed
    assert not check(project, "convergence.force_error_limit_relative=0.2").up_to_date


def test_other_seeds_and_temperatures_give_other_trajectories(project: Path) -> None:
    report = check(project, "convergence.temperatures_kelvin=[150, 300]")
    cold, hot = report.temperatures
    assert cold.force_rms_ev_per_angstrom < hot.force_rms_ev_per_angstrom
    assert cold.force_rms_ev_per_angstrom == pytest.approx(
        hot.force_rms_ev_per_angstrom / np.sqrt(2), rel=0.1
    )
    other = check(project, "convergence.temperatures_kelvin=[150, 300]", "seed=8")
    assert other.temperatures[1].force_sd_mean != hot.force_sd_mean
    spread = np.hypot(other.temperatures[1].statistical_error_relative, hot.statistical_error_relative)
    assert other.temperatures[1].force_sd_relative == pytest.approx(hot.force_sd_relative, abs=4.0 * spread)


def test_leaving_the_trusted_region_is_an_answer(project: Path) -> None:
    check(project)
    report = check(project, "md.displacement_limit_angstrom=0.05")
    assert (report.status, report.exit_code, report.forecast_calculations) == ("not converged", 4, None)
    (verdict,) = report.temperatures
    assert verdict.n_stopped == 2
    assert "2 of 2 trajectories left the trusted region: at 300 K, step" in verdict.reasons[0]
    assert "(Cu)" in verdict.reasons[0]
    assert not (project / "run" / "convergence.png").exists()
    assert check(project, "md.displacement_limit_angstrom=0.05").up_to_date


def test_a_dry_run_writes_nothing(project: Path) -> None:
    result = invoke("check-convergence", project / "CONFIG.yaml", "-n", "--json")
    assert (result.exit_code, json.loads(result.stdout)["n_steps"]) == (0, 700)
    assert not (project / "run" / "convergence.json").exists()


def test_without_a_model_it_is_3(project: Path) -> None:
    (project / "run" / "model.h5").unlink()
    result = invoke("check-convergence", project / "CONFIG.yaml")
    assert (result.exit_code, result.stdout) == (3, "")


def test_what_is_known_besides_the_errors(project: Path) -> None:
    """Time without a call, anharmonicity, distances from the sites, errors over time, frequencies."""
    points = "convergence.observables={frequencies: {q_points: [[0, 0, 0], [0.5, 0.5, 0]], limit_thz: %s}}"
    report = check(project, points % 1.0, "convergence.time_without_call_picoseconds=0.5")
    (verdict,) = report.temperatures
    assert (report.status, verdict.quiet_time.n_calls, report.exit_code) == ("converged", 0, 0)
    assert verdict.quiet_time.time_since_call_picoseconds == pytest.approx(0.9)
    assert verdict.quiet_time.training_since_call_picoseconds is None
    reference = verdict.single_reference
    assert reference.doubts == ()
    assert 0.0 < reference.sigma_a < 0.6
    (copper,) = reference.displacements
    assert (copper.element, sum(copper.histogram_counts)) == ("Cu", 32 * verdict.n_frames)
    assert copper.flatness == pytest.approx(5.0 / 3.0, abs=0.1)
    assert np.mean(verdict.trace_errors_relative) == pytest.approx(verdict.force_sd_relative)
    (found,) = report.observables
    assert (found.name, found.unit, found.converged) == ("frequencies", "THz", True)
    np.testing.assert_allclose(found.values[0], 0.0, atol=1e-4)
    assert 0.0 < found.largest_sd < 1.0
    assert (project / "run" / "displacements.png").exists()
    again = check(project, points % 1.0, "convergence.time_without_call_picoseconds=0.5")
    assert (again.up_to_date, again.to_json()) == (True, report.to_json())
    stiff = (points % 1e-4).replace("={", "={elastic: {limit_gigapascal: 50.0}, ")
    strict = check(project, stiff)
    assert (strict.status, strict.temperatures[0].converged) == ("not converged", True)
    assert "above 0.0001 THz" in strict.observables[0].reason
    assert strict.forecast_calculations == strict.observables[0].forecast_calculations > 1
    elastic = strict.observables[1]
    assert (elastic.name, elastic.unit, elastic.converged) == ("elastic", "GPa", True)
    assert 150.0 < elastic.values[0][0] < 200.0


def test_trajectories_may_run_in_a_cell_of_their_own(project: Path) -> None:
    report = check(project, "convergence.supercell=[2, 2, 3]", "convergence.time_without_call_picoseconds=2")
    assert report.n_atoms == 48
    assert "raise convergence.n_steps" in report.temperatures[0].reasons[0]
