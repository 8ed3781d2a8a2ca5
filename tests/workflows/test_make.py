"""Pipelines of make: an unconverged training never ends in success, and nothing stale is taken for new."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflows.training_project import make_project, n_runs

REPOSITORY = Path(__file__).parents[2]
CONFIG = """\
structure: {file: Cu.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 2.7}}
engine:
  kind: ase
  parameters: {calculator: "tests.workflows.counting_calculator:CountingEMT"}
training:
  temperatures_kelvin: [300]
  n_steps: 800
  max_calculations: 2
  criterion: {force_error_limit_relative: 0.3}
  initial: {n: 2}
md: {temperatures_kelvin: [300], n_steps: 400}
convergence: {force_error_limit_relative: 0.3, n_replicas: 2, n_steps: 700}
"""
BY_ANSWERS = (REPOSITORY / "examples/bas-quickstart/Makefile").read_text(encoding="utf-8")
BY_FILES = """\
all: run/convergence.json run/md/300K-1/trajectory.h5 export/phonopy/FORCE_CONSTANTS
run/model.h5: config.yaml
	mlff-dyn train $<
run/md/300K-1/trajectory.h5: run/model.h5
	mlff-dyn run-md config.yaml
run/convergence.json: run/md/300K-1/trajectory.h5
	mlff-dyn check-convergence config.yaml
export/phonopy/FORCE_CONSTANTS: run/model.h5
	mlff-dyn export config.yaml --format phonopy -o export/phonopy --force
"""
Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path, monkeypatch)
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "BAs.vasp").write_bytes((tmp_path / "Cu.vasp").read_bytes())
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "mlff-dyn"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlff_dyn "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return tmp_path


@pytest.fixture(params=[BY_ANSWERS, BY_FILES], ids=["answers", "files"])
def make(request: pytest.FixtureRequest, folder: Path) -> Make:
    text = str(request.param)
    if "phono3py" in text:
        text = "".join(line for line in text.splitlines(keepends=True) if "phono3py" not in line)
        text = "all: run/md.json run/convergence.json export/phonopy/phonopy_params.yaml\n" + text
    (folder / "Makefile").write_text(text, encoding="utf-8")
    settings = {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "OMP_NUM_THREADS": "1",
    }

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["make", *words], cwd=folder, env=settings, capture_output=True, text=True, check=False
        )

    return run


def configure(folder: Path, old: str, new: str) -> None:
    path = folder / "config.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_make_succeeds_only_with_a_converged_model(folder: Path, make: Make) -> None:
    """It fails as often as it is asked; with a larger budget it goes on, once.

    With targets that are answers a change of the configuration makes again what depends on it, also where no
    other file has changed, and the answer is no.
    """
    for _ in range(2):
        result = make()
        assert result.returncode == 2, result.stdout + result.stderr
        assert "Error 4" in result.stderr
        assert not (folder / "run/md").exists()
        assert not (folder / "export").exists()
    assert json.loads((folder / "run/train.json").read_text())["status"] == "budget exhausted"
    assert n_runs(folder) == 2
    configure(folder, "max_calculations: 2", "max_calculations: 9")
    assert (result := make()).returncode == 0, result.stdout + result.stderr
    assert json.loads((folder / "run/train.json").read_text())["status"] == "converged"
    assert (folder / "export/phonopy/FORCE_CONSTANTS").exists()
    assert "mlff-dyn" not in make().stdout
    if "run/md.json" not in (folder / "Makefile").read_text(encoding="utf-8"):
        return
    configure(folder, "{force_error_limit_relative: 0.3, n_rep", "{force_error_limit_relative: 1e-4, n_rep")
    for _ in range(2):
        result = make()
        assert (result.returncode, "Error 4" in result.stderr) == (2, True), result.stdout + result.stderr
    configure(folder, "{force_error_limit_relative: 1e-4, n_rep", "{force_error_limit_relative: 0.4, n_rep")
    assert (result := make()).returncode == 0, result.stdout + result.stderr
    assert json.loads((folder / "run/convergence.json").read_text())["limit_relative"] == 0.4
    assert "mlff-dyn" not in make().stdout
