"""Training with calculations that somebody else runs, and with several on their way."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from mlff_dyn.store.dataset import read_snapshots
from tests.workflows.training_project import CONFIG_OF_KILLS, Train, command_of, make_project, n_runs, refused

EXTERNAL = ("--set", "execution.kind=external")
REPOSITORY = Path(__file__).resolve().parents[3]
PARALLEL = ("--set", "execution.max_parallel=2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path, monkeypatch)
    (tmp_path / "c.yaml").write_text(CONFIG_OF_KILLS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def train(folder: Path) -> Train:
    return command_of(folder)


def submit(folder: Path, *arguments: str) -> None:
    """Run the script from somewhere else, as a batch system does."""
    script = folder / "run/calculations/submit.sh"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(["bash", script, *arguments], cwd="/", env=environment, check=True, timeout=60)


def waiting(folder: Path) -> list[str]:
    paths = (folder / "run/calculations").glob("*/calculation.json")
    return sorted(path.parent.name for path in paths if not (path.parent / "result.json").exists())


@pytest.mark.parametrize("options", [(), PARALLEL])
def test_the_same_command_writes_inputs_and_collects_outputs(
    folder: Path, train: Train, options: tuple[str, ...]
) -> None:
    """It comes to the data of a training on this machine, bit by bit, each calculation once."""
    reference = train("--run-dir", folder / "local", *options)
    assert reference.exit_code == 0, reference.stderr
    n_local = n_runs(folder)
    for number in range(n_local + 1):
        result = train(*EXTERNAL, *options)
        if result.exit_code == 0:
            break
        refused(result, 75, "waiting: ", str(folder / "run/calculations/submit.sh"), *waiting(folder))
        if number == 0:
            refused(train(*EXTERNAL, *options), 75, ", ".join(waiting(folder)))
        submit(folder)
    assert json.loads(result.stdout)["status"] == "converged"
    assert n_runs(folder) == 2 * n_local
    local, external = (read_snapshots(folder / name / "dataset.extxyz") for name in ("local", "run"))
    assert len(local) == len(external) == n_local
    for one, other in zip(local, external, strict=True):
        assert one.positions.tobytes() == other.positions.tobytes()
        assert one.forces_ev_per_angstrom.tobytes() == other.forces_ev_per_angstrom.tobytes()
        assert one.provenance.reason == other.provenance.reason
    assert not (folder / "run/calculations/planned.json").exists()


def test_what_comes_back_in_another_order_is_learnt_in_the_same_one(folder: Path, train: Train) -> None:
    """The second of four waiting calculations comes first; nothing is learnt before its turn."""
    assert train("--run-dir", folder / "straight", *PARALLEL).exit_code == 0
    while train(*EXTERNAL, *PARALLEL).exit_code == 75:
        for number in range(len(waiting(folder)), 0, -1):
            submit(folder, str(number))
            train(*EXTERNAL, *PARALLEL)
    first, second = (folder / name / "dataset.extxyz" for name in ("straight", "run"))
    assert first.read_bytes() == second.read_bytes()


def test_an_unfinished_output_is_named_and_left_alone(folder: Path, train: Train) -> None:
    assert train(*EXTERNAL).exit_code == 75
    output = folder / "run/calculations/0001/output.json"
    output.write_text('{"format": "mlff-dyn ase output", "ver', encoding="utf-8")
    refused(train(*EXTERNAL), 75, f"{output}: no finished calculation", "not started: 0")
    assert output.exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_missing_head_of_the_script_is_named_before_anything_is_written(
    folder: Path, train: Train, more: tuple[str, ...]
) -> None:
    missing = ("--set", "execution.submit_script=nowhere.sh")
    refused(train(*EXTERNAL, *missing, *more), 2, "execution.submit_script: cannot read", "nowhere.sh")
    assert not (folder / "run/calculations").exists()


def test_a_failed_program_is_an_error(folder: Path, train: Train) -> None:
    """No retry helps an unknown calculator: the directory is named, and removing it starts anew."""
    (folder / "runs.fail").write_text("1", encoding="utf-8")
    failing = ("--set", "engine.parameters.calculator=tests.workflows.counting_calculator:FailingEMT")
    assert train(*EXTERNAL, *failing).exit_code == 75
    submit(folder)
    directory = folder / "run/calculations/0001"
    refused(train(*EXTERNAL, *failing), 5, str(directory), f"remove {directory}")
    refused(train(*EXTERNAL, *failing), 5, str(directory))
    assert n_runs(folder) == 1


def test_the_script_begins_as_the_user_wants(folder: Path, train: Train) -> None:
    (folder / "head.sh").write_text("#!/bin/bash\n#SBATCH --array=1-{n}\n", encoding="utf-8")
    head = ("--set", f"execution.submit_script={folder / 'head.sh'}")
    assert train(*EXTERNAL, *PARALLEL, *head).exit_code == 75
    lines = (folder / "run/calculations/submit.sh").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["#!/bin/bash", "#SBATCH --array=1-2"]
    refused(train(*EXTERNAL, "--set", f"execution.submit_script={folder / 'none.sh'}"), 2, "none.sh")
