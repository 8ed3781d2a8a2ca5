"""`run-md` at constant pressure: what is stored and reported, resuming, and cells that go too far."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from mlff_dyn.kernels import BACKEND
from mlff_dyn.lattice.deformation import to_voigt
from mlff_dyn.md.temperature import mean_temperature
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.store.model_file import read_model
from mlff_dyn.store.trajectory import read_trajectory
from mlff_dyn.workflows.md.run_md import run_md
from tests.workflows.conftest import invoke
from tests.workflows.md.test_run_md import ARRAYS, InterruptAt, configured, run, trajectory

NPT = ("md.ensemble=npt", "md.barostat_interval_steps=7", "md.barostat_shape=full")


def assert_same(project: Path, name: str, run_name: str = "300K-7") -> None:
    a, b = trajectory(project, run_name), read_trajectory(project / name / "trajectory.h5")
    for array in (*ARRAYS, "strains"):
        np.testing.assert_array_equal(getattr(a, array), getattr(b, array))


def test_a_trajectory_has_its_cells(project: Path) -> None:
    """Energies, cells and positions of the samples belong together; the report has their means."""
    report = run(configured(project, *NPT)).to_json()
    found = trajectory(project)
    force_field, _ = read_model(project / "run" / "model.h5")
    torus = force_field.expansion.basis.crystal
    assert found.strains.shape == (80, 3, 3)
    assert np.ptp(found.strains[:, 0, 1]) > 0.0
    np.testing.assert_array_equal(found.strains, found.strains.swapaxes(1, 2))
    atoms = Atoms(found.numbers, positions=found.positions[-1], cell=found.lattices[-1], pbc=True)
    atoms.calc = ForceFieldCalculator(force_field)
    rest = force_field.training.reference_energy_ev_per_cell * len(atoms) / torus.n_sites
    assert atoms.get_potential_energy() - rest == pytest.approx(found.potential_energies[-1], abs=1e-7)
    later = found.strains[found.steps > 250]
    volumes = abs(np.linalg.det(found.lattices[found.steps > 250]))
    assert report["ensemble"] == "npt"
    assert report["volume_angstrom3"] == pytest.approx(volumes.mean())
    np.testing.assert_allclose(report["strain"], to_voigt(later.mean(axis=0)), atol=1e-14)
    assert len(report["cell_lengths_angstrom"]) == len(report["cell_angles_degree"]) == 3
    assert report["target_pressure_gigapascal"] == 0.0
    saved = json.loads((project / "run" / "md.json").read_text(encoding="utf-8"))
    assert saved["volume_angstrom3"] == report["volume_angstrom3"]


def test_averages_leave_out_the_time_in_which_the_barostat_adapts(project: Path) -> None:
    """Also those of a run that was interrupted, or made longer."""
    short = run(configured(project, *NPT, "md.n_steps=250")).trajectories[0]
    assert short.n_frames == 50
    assert (short.mean_temperature_k, short.volume_angstrom3, short.force_sd_mean) == (None, None, None)
    longer = configured(project, *NPT)
    with pytest.raises(KeyboardInterrupt):
        run(longer, progress=InterruptAt(300))
    summary = run(longer).trajectories[0]
    found = trajectory(project)
    assert found.steps[-1] == 400
    kept = found.steps > 250
    assert summary.mean_temperature_k == pytest.approx(
        mean_temperature(found.kinetic_energies[kept], len(found.numbers))
    )
    largest = np.linalg.norm(found.displacements[kept], axis=2).max()
    assert summary.largest_displacement_angstrom == pytest.approx(largest)
    assert summary.volume_angstrom3 == pytest.approx(abs(np.linalg.det(found.lattices[kept])).mean())
    np.testing.assert_allclose(summary.strain, to_voigt(found.strains[kept].mean(axis=0)), atol=1e-14)


def test_constant_volume_has_a_pressure_and_no_strain(project: Path) -> None:
    """A crystal that expands presses against a fixed cell."""
    report = run(configured(project, "md.n_steps=2000")).to_json()
    assert not trajectory(project).strains.any()
    assert report["strain"] == [0.0] * 6
    assert report["pressure_gigapascal"] > 5.0 * report["pressure_error_gigapascal"] > 0.0
    assert report["target_pressure_gigapascal"] is None


def test_it_expands_when_it_may_and_shrinks_under_pressure(project: Path) -> None:
    """The mean pressure at constant pressure is the one asked for."""
    length = ("md.ensemble=npt", "md.n_steps=6000", "md.barostat_interval_steps=10")
    volumes = {}
    for pressure in (0.0, 3.0):
        overrides = (*length, f"md.pressure_gigapascal={pressure}", f"run_dir=run-{pressure:g}")
        (project / f"run-{pressure:g}").mkdir()
        for name in ("model.h5", "train.json", "config.resolved.yaml"):
            source = project / "run" / name
            if source.exists():
                (project / f"run-{pressure:g}" / name).write_bytes(source.read_bytes())
        report = run(configured(project, *overrides)).to_json()
        error = report["pressure_error_gigapascal"]
        assert abs(report["pressure_gigapascal"] - pressure) < 4.0 * error
        volumes[pressure] = report["volume_angstrom3"]
    rest = 32 / 4 * 3.59**3
    assert volumes[3.0] < rest < volumes[0.0]


@pytest.mark.parametrize("step", [1, 30, 399])
def test_an_interrupted_run_goes_on_to_the_same_bytes(project: Path, step: int) -> None:
    config = configured(project, *NPT)
    run(config)
    (project / "run" / "md" / "300K-7").rename(project / "finished")
    with pytest.raises(KeyboardInterrupt):
        run(config, progress=InterruptAt(step))
    run(config)
    assert_same(project, "finished")


def test_a_longer_run_goes_on_from_the_end(project: Path) -> None:
    run(configured(project, *NPT))
    run(configured(project, *NPT, "md.n_steps=523"))
    (project / "run" / "md" / "300K-7").rename(project / "extended")
    run(configured(project, *NPT, "md.n_steps=523"))
    assert_same(project, "extended")


@pytest.mark.skipif(BACKEND == "reference", reason="too slow with the numpy kernels")
def test_a_killed_process_goes_on_to_the_same_bytes(project: Path) -> None:
    pairs = (*NPT, "md.n_steps=10000", "md.sample_every=100", "md.temperatures_kelvin=[100]")
    options = [text for pair in pairs for text in ("--set", pair)]
    command = [sys.executable, "-m", "mlff_dyn", "run-md", str(project / "CONFIG.yaml"), "-q", *options]
    folder = project / "run" / "md" / "100K-7"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60.0
        while not (folder / "checkpoint.h5").exists() and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    was_running = not (folder / "trajectory.h5").exists()
    assert (invoke("run-md", project / "CONFIG.yaml", "-q", *options).exit_code, was_running) == (0, True)
    folder.rename(project / "killed")
    assert invoke("run-md", project / "CONFIG.yaml", "-q", *options).exit_code == 0
    assert_same(project, "killed", "100K-7")


def test_a_cell_beyond_its_limit_stops_the_run(project: Path) -> None:
    options = [text for pair in ("md.ensemble=npt", "md.strain_limit=0.002") for text in ("--set", pair)]
    result = invoke("run-md", project / "CONFIG.yaml", *options)
    assert result.exit_code == 6
    message = " ".join(result.stderr.split())
    assert "the cell is strained by" in message
    assert "md.strain_limit is 0.2 %" in message
    assert (project / "run" / "md" / "300K-7" / "trajectory.part.h5").exists()


def test_unused_barostat_keys_do_not_change_a_trajectory(project: Path) -> None:
    run(configured(project))
    again = run_md(
        configured(project, "md.pressure_gigapascal=2.0"), dry_run=False, force=False, progress=NullProgress()
    )
    assert again.up_to_date
