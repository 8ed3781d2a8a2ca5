"""`run-md`: trajectories that resume bit for bit, and stop where they cannot be trusted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mlff_dyn.config.load import load_config
from mlff_dyn.config.schema import Config
from mlff_dyn.errors import ConfigError, DataError, SimulationError, UsageError
from mlff_dyn.kernels import BACKEND
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.store.trajectory import Trajectory, part_path, read_trajectory
from mlff_dyn.workflows.md.md_report import MdReport
from mlff_dyn.workflows.md.run_md import run_md
from tests.workflows.conftest import invoke

ARRAYS = ("steps", "displacements", "velocities", "potential_energies", "kinetic_energies")


def run(config: Config, *, force: bool = False, progress: Any = None) -> MdReport:
    return run_md(config, dry_run=False, force=force, progress=progress or NullProgress())


def configured(project: Path, *overrides: str) -> Config:
    return load_config(project / "CONFIG.yaml", list(overrides))


def trajectory(project: Path, name: str = "300K-7", run_dir: str = "run") -> Trajectory:
    return read_trajectory(project / run_dir / "md" / name / "trajectory.h5")


def assert_same(a: Trajectory, b: Trajectory) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


class InterruptAt(NullProgress):
    """Ctrl-C once the run has come so far."""

    def __init__(self, step: int) -> None:
        self.step = step

    def update(self, completed: int, **fields: object) -> None:
        if completed >= self.step:
            raise KeyboardInterrupt


def test_a_trajectory_has_what_it_promises(project: Path, config: Config) -> None:
    report = run(config)
    found = trajectory(project)
    np.testing.assert_array_equal(found.steps, np.arange(5, 401, 5))
    assert found.displacements.shape == (80, 32, 3)
    assert found.attributes["temperature_kelvin"] == 300.0
    np.testing.assert_allclose(found.displacements.mean(axis=1), 0.0, atol=1e-10)
    values = report.to_json()
    assert values["temperature_k"] == 300.0
    assert values["n_steps"] == 400
    assert 0.0 < values["force_sd_mean"] <= values["force_sd_max"] < values["force_rms_ev_per_angstrom"]
    assert 0.05 < values["sigma_a"] < 0.6
    assert values["mean_temperature_k"] == pytest.approx(300.0, rel=0.3)
    saved = json.loads((project / "run" / "md.json").read_text(encoding="utf-8"))
    assert {name: saved[name] for name in values} == values


@pytest.mark.parametrize("step", [1, 30, 399, 400])
def test_an_interrupted_run_goes_on_to_the_same_bytes(project: Path, config: Config, step: int) -> None:
    run(config)
    expected = trajectory(project)
    (project / "run" / "md" / "300K-7").rename(project / "finished")
    with pytest.raises(KeyboardInterrupt):
        run(config, progress=InterruptAt(step))
    assert not (project / "run" / "md" / "300K-7" / "trajectory.h5").exists()
    run(config)
    assert_same(trajectory(project), expected)
    assert not part_path(project / "run" / "md" / "300K-7" / "trajectory.h5").exists()


@pytest.mark.skipif(BACKEND == "reference", reason="too slow with the numpy kernels")
def test_a_killed_process_goes_on_to_the_same_bytes(project: Path) -> None:
    length = ["--set", "md.n_steps=150000", "--set", "md.sample_every=1000"]
    command = [sys.executable, "-m", "mlff_dyn", "run-md", str(project / "CONFIG.yaml"), "-q", *length]
    folder = project / "run" / "md" / "300K-7"
    repository = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(command, cwd=repository, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60.0
        while not (folder / "checkpoint.h5").exists() and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    was_running = not (folder / "trajectory.h5").exists()
    resumed = invoke("run-md", project / "CONFIG.yaml", "-q", *length)
    assert (resumed.exit_code, was_running) == (0, True)
    killed = trajectory(project)
    folder.rename(project / "killed")
    assert invoke("run-md", project / "CONFIG.yaml", "-q", *length).exit_code == 0
    assert_same(killed, trajectory(project))


def test_close_temperatures_have_their_own_trajectories(project: Path) -> None:
    close = configured(project, "md.temperatures_kelvin=[300.0001, 300.0002]", "md.n_steps=20")
    first = run(close)
    rows = dict(first.table())
    for temperature in ("300.0001", "300.0002"):
        assert (project / f"run/md/{temperature}K-7/md.json").exists()
        assert f"{temperature} K" in rows
    assert run(close).up_to_date


def test_the_same_command_again_does_nothing(project: Path, config: Config) -> None:
    first = run(config)
    files = {path: path.stat().st_mtime_ns for path in (project / "run").rglob("*") if path.name != ".lock"}
    again = run(config)
    assert again.up_to_date
    assert again.to_json() == first.to_json()
    assert ("status", "done (up to date)") in again.table()
    assert all(path.stat().st_mtime_ns == changed for path, changed in files.items())


@pytest.mark.parametrize("content", ["empty", "cut", "zeroed"])
def test_a_damaged_trajectory_is_not_taken_for_done(project: Path, config: Config, content: str) -> None:
    run(config)
    path = project / "run" / "md" / "300K-7" / "trajectory.h5"
    sound = trajectory(project)
    before = path.read_bytes()
    with h5py.File(path, "r") as file:
        start = file["velocities"].id.get_chunk_info(0).byte_offset
    damaged = {"empty": b"", "cut": before[:start], "zeroed": before[:start] + bytes(len(before) - start)}
    path.write_bytes(damaged[content])
    assert not run(config).up_to_date
    assert_same(trajectory(project), sound)


def test_a_longer_run_goes_on_from_the_end(project: Path, config: Config) -> None:
    run(config)
    report = run(configured(project, "md.n_steps=523"))
    assert report.trajectories[0].n_steps == 523
    longer = trajectory(project)
    (project / "run" / "md" / "300K-7").rename(project / "extended")
    run(configured(project, "md.n_steps=523"))
    assert_same(longer, trajectory(project))
    assert longer.steps[-1] == 520
    with pytest.raises(UsageError, match="523 steps, more than"):
        run(config)


def test_results_of_other_inputs_are_replaced_only_by_force(project: Path, config: Config) -> None:
    run(config)
    before = trajectory(project)
    changed = configured(project, "md.timestep_femtoseconds=1.0")
    with pytest.raises(UsageError, match=r"other inputs \(changed: md\).*--force"):
        run(changed)
    assert_same(trajectory(project), before)
    run(changed, force=True)
    assert trajectory(project).attributes["timestep_femtoseconds"] == 1.0


def test_the_beginning_of_other_inputs_is_kept_too(project: Path, config: Config) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(config, progress=InterruptAt(100))
    with pytest.raises(UsageError, match="beginning of a trajectory of other inputs"):
        run(configured(project, "md.ensemble=nve"))


def test_every_temperature_and_seed_has_its_own_trajectory(project: Path) -> None:
    report = run(configured(project, "md.temperatures_kelvin=[200, 300]", "md.supercell=[3, 2, 2]"))
    assert [summary.n_atoms for summary in report.trajectories] == [48, 48]
    assert "temperature_k" not in report.to_json()
    run(configured(project, "seed=8", "md.supercell=[3, 2, 2]"))
    samples = [trajectory(project, name).displacements[0] for name in ("200K-7", "300K-7", "300K-8")]
    assert all(np.abs(samples[i] - samples[j]).max() > 1e-3 for i, j in ((0, 1), (0, 2), (1, 2)))


def test_nve_keeps_the_energy(project: Path) -> None:
    run(configured(project, "md.ensemble=nve", "md.timestep_femtoseconds=1.0"))
    found = trajectory(project)
    total = found.potential_energies + found.kinetic_energies
    assert np.ptp(total) < 0.02 * np.ptp(found.kinetic_energies)


def test_velocity_rescaling_keeps_the_temperature_and_resumes(project: Path) -> None:
    settings = ("md.thermostat=bussi", "md.thermostat_time_femtoseconds=40", "md.n_steps=2000")
    report = run(configured(project, *settings))
    assert report.trajectories[0].mean_temperature_k == pytest.approx(300.0, rel=0.1)
    expected = trajectory(project)
    assert (expected.attributes["ensemble"], expected.attributes["thermostat"]) == ("nvt", "bussi")
    (project / "run" / "md" / "300K-7").rename(project / "finished")
    with pytest.raises(KeyboardInterrupt):
        run(configured(project, *settings), progress=InterruptAt(30))
    run(configured(project, *settings))
    assert_same(trajectory(project), expected)


def test_precision_and_threads_change_the_last_digits_only(project: Path) -> None:
    short = ("md.n_steps=50", "md.ensemble=nve")
    run(configured(project, *short))
    expected = trajectory(project).displacements
    for setting in ("md.n_threads=2", "md.precision=single"):
        other = trajectory_of_settings(project, *short, setting)
        np.testing.assert_allclose(other, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def trajectory_of_settings(project: Path, *settings: str) -> np.ndarray:
    run(configured(project, *settings), force=True)
    return trajectory(project).displacements


def test_what_is_stored_does_not_change_the_dynamics(project: Path, config: Config) -> None:
    """Runs that store less go on from the state in double precision, of the atoms and their velocities."""
    full = run(config).trajectories[0]
    expected = trajectory(project)
    settings = ("md.store=[positions]", "md.store_precision=single")
    with pytest.raises(UsageError, match=r"other inputs \(changed: md\)"):
        run(configured(project, *settings))
    (project / "run" / "md" / "300K-7").rename(project / "finished")
    with pytest.raises(KeyboardInterrupt):
        run(configured(project, *settings), progress=InterruptAt(30))
    report = run(configured(project, *settings))
    found, summary = trajectory(project), report.trajectories[0]
    assert found.velocities is None
    np.testing.assert_array_equal(found.displacements, expected.displacements.astype(np.float32))
    for name in ("steps", "potential_energies", "kinetic_energies"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert summary.mean_temperature_k == full.mean_temperature_k
    assert summary.force_sd_mean == pytest.approx(full.force_sd_mean, rel=1e-5)
    assert summary.temperatures_by_element_k is None
    assert "md.store" in report.to_json()["null_reasons"]["temperatures_by_element_k"]
    assert run(configured(project, *settings)).up_to_date


def test_positions_are_always_stored(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"md\.store.*should hold positions"):
        configured(project, "md.store=[velocities]")


def test_other_threads_may_go_on(project: Path, config: Config) -> None:
    run(config)
    assert run(configured(project, "md.n_threads=2")).up_to_date


def test_a_run_that_leaves_the_limit_stops_and_keeps_its_frames(project: Path) -> None:
    limited = configured(project, "md.displacement_limit_angstrom=0.2", "md.temperatures_kelvin=[900]")
    with pytest.raises(SimulationError, match=r"900 K, step \d+, atom \d+ \(Cu\).*limit is 0\.2 Å") as caught:
        run(limited)
    kept = read_trajectory(part_path(project / "run" / "md" / "900K-7" / "trajectory.h5"))
    assert len(kept.steps) > 0
    assert np.linalg.norm(kept.displacements, axis=-1).max() <= 0.2
    assert f"step {kept.steps[-1]}," not in str(caught.value)
    with pytest.raises(SimulationError) as again:
        run(limited)
    assert str(again.value) == str(caught.value)
    result = invoke("run-md", project / "CONFIG.yaml", "--set", "md.displacement_limit_angstrom=0.05")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "Traceback" not in result.stderr


def test_a_dry_run_writes_nothing(project: Path) -> None:
    result = invoke("run-md", project / "CONFIG.yaml", "-n", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert (answer["n_frames_per_trajectory"], answer["trajectory_size_mebibyte"]) == (80, 0.1)
    assert not (project / "run" / "md").exists()


def test_without_a_model_it_says_what_to_do(project: Path, config: Config) -> None:
    (project / "run" / "model.h5").unlink()
    with pytest.raises(DataError, match="mlff-dyn train"):
        run(config)


def test_a_run_too_short_for_a_frame_has_no_averages(project: Path) -> None:
    summary = run(configured(project, "md.n_steps=3")).trajectories[0]
    assert (summary.n_frames, summary.force_sd_mean, summary.sigma_a) == (0, None, None)


def test_a_changed_summary_of_a_trajectory_is_made_anew(project: Path, config: Config) -> None:
    run(config)
    path = project / "run/md/300K-7/md.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, value in (
        ("mean_temperature_k", 301.0),
        ("steps_per_second", []),
        ("inputs", 7),
        ("content", ""),
    ):
        path.write_text(json.dumps({**content, name: value}), encoding="utf-8")
        run(config)
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["mean_temperature_k"] == content["mean_temperature_k"]
    run(config)
    assert json.loads(path.read_text(encoding="utf-8")) == found
