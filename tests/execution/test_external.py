"""Calculations of pw.x that somebody runs by hand with ``submit.sh``."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from ase.build import bulk

from mlff_dyn.engines.espresso.engine import EspressoEngine
from mlff_dyn.errors import Waiting
from mlff_dyn.execution.external import ExternalExecution
from mlff_dyn.execution.local import label
from tests.execution.test_attempts import CHANGES, FAKE_PW, UNCONVERGED, silicon


def collect(engine, folder, atoms, **options):
    """One command: results, or what it waits for."""
    with ExternalExecution(engine, {"kind": "espresso"}, folder, **options) as execution:
        names = [f"{number + 1:04d}" for number in range(len(atoms))]
        execution.submit(names, atoms)
        return execution.results(names)


def submit(folder, *arguments, **variables):
    script = ["bash", str(folder / "submit.sh"), *arguments]
    subprocess.run(script, cwd="/", env={**os.environ, **variables}, check=True, timeout=60)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine whose program converges with less mixing only."""
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    head, _, rest = FAKE_PW.partition("sleep 0.15\n")
    program = tmp_path / "fake pw.sh"
    program.write_text(head + UNCONVERGED.format(word="mixing_beta = 0.3") + rest)
    program.chmod(0o755)
    (tmp_path / "Si.UPF").write_text("")
    parameters = {
        "input_data": {"system": {"ecutwfc": 20}, "electrons": {"conv_thr": 1e-9}},
        "pseudopotentials": {"Si": "Si.UPF"},
    }
    return EspressoEngine(parameters, {"command": f"'{program}'", "pseudo_dir": str(tmp_path)})


def test_a_failed_calculation_is_changed_and_waits_again(tmp_path, engine):
    folder = tmp_path / "calculations"
    with pytest.raises(Waiting, match=r"1 calculation .*not started: 1"):
        collect(engine, folder, [silicon()], max_retries=1)
    submit(folder)
    with pytest.raises(Waiting, match="not started: 1"):
        collect(engine, folder, [silicon()], max_retries=1)
    assert "mixing_beta = 0.3" in (folder / "0001/espresso.pwi").read_text()
    submit(folder)
    submit(folder)
    (result,) = collect(engine, folder, [silicon()], max_retries=1)
    assert result.origin["changes"] == CHANGES[0]
    assert len((tmp_path / "runs").read_text().splitlines()) == 2


def test_an_unconverged_output_made_by_hand_is_named(tmp_path, engine):
    """Without a word of its end it may still run: it is left alone."""
    folder = tmp_path / "calculations"
    with pytest.raises(Waiting):
        collect(engine, folder, [silicon()], max_retries=1)
    output = folder / "0001/espresso.pwo"
    output.write_text("     convergence NOT achieved after 100 iterations: stopping\n   JOB DONE.\n")
    with pytest.raises(Waiting, match=r"not started: 0; .*0001/espresso\.pwo"):
        collect(engine, folder, [silicon()], max_retries=1)
    assert output.exists()
    assert "mixing_beta" not in (folder / "0001/espresso.pwi").read_text()


@pytest.mark.engine
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="pw.x is not installed")
@pytest.mark.parametrize(
    "variable", ["SLURM_ARRAY_TASK_ID", "PBS_ARRAY_INDEX", "LSB_JOBINDEX", "SGE_TASK_ID"]
)
def test_tasks_of_a_job_array_run_pw_x(tmp_path, variable):
    """Each task its own calculation; the results are those of a run on this machine, bit by bit."""
    parameters = {
        "input_data": {"system": {"ecutwfc": 8}},
        "pseudopotentials": {"Si": "Si.pz-vbc.UPF"},
    }
    profile = {"pseudo_dir": "/usr/share/espresso/pseudo", "environment": {"OMP_NUM_THREADS": "1"}}
    cells = [bulk("Si"), bulk("Si")]
    for seed, atoms in enumerate(cells):
        atoms.rattle(0.05, seed=seed)
    folder = tmp_path / "calculations"
    with pytest.raises(Waiting, match="2 calculations"):
        collect(EspressoEngine(parameters, profile), folder, cells)
    submit(folder, **{variable: "2"})
    with pytest.raises(Waiting, match=r"1 calculation in .* \(0001\)"):
        collect(EspressoEngine(parameters, profile), folder, cells)
    submit(folder, **{variable: "1"})
    found = collect(EspressoEngine(parameters, profile), folder, cells)
    here = label(EspressoEngine(parameters, profile), cells, tmp_path / "here", ["1", "2"])
    for one, other in zip(found, here, strict=True):
        assert one.energy_ev == other.energy_ev
        assert one.forces_ev_per_angstrom.tobytes() == other.forces_ev_per_angstrom.tobytes()
