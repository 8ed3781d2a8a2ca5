"""A project of copper that `train` works on: its configuration, its command line, what it has done."""

import json
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.store.model_file import read_model
from tests.models import copper, emt_snapshots

CONFIG = """\
structure: {file: Cu.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 2.7, 4: {2: 2.7}}}
engine:
  kind: ase
  parameters: {calculator: "tests.workflows.counting_calculator:CountingEMT"}
training:
  temperatures_kelvin: [200, 400]
  n_steps: 1200
  max_calculations: 20
  criterion: {force_error_limit_relative: 0.1}
  initial: {n: 2}
"""

Train = Callable[..., Result]

CONFIG_OF_KILLS = """\
structure: {file: Cu.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 2.7}}
engine:
  kind: ase
  parameters: {calculator: "tests.workflows.counting_calculator:CountingEMT"}
training:
  temperatures_kelvin: [200, 400]
  n_steps: 800
  max_calculations: 12
  criterion: {force_error_limit_relative: 0.5}
  initial: {n: 2}
"""
"""A training of a few seconds and several calculations, whose calculator counts and can be killed."""


def make_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write configuration and structure; the engine counts its runs in ``runs``."""
    monkeypatch.setenv("RUNS", str(folder / "runs"))
    ase.io.write(folder / "Cu.vasp", copper(), format="vasp", direct=True)
    (folder / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return folder


def command_of(folder: Path) -> Train:
    """Run the command in this process."""

    def run(*args: object) -> Result:
        return CliRunner().invoke(app, ["train", str(folder / "c.yaml"), "--json", *map(str, args)])

    return run


def n_runs(folder: Path) -> int:
    path = folder / "runs"
    return len(path.read_text().split()) if path.exists() else 0


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its bytes and the time of its last change; the lock is not part of the results."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def refused(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in " ".join(result.stderr.split())


def check_that_a_budget_changes_nothing(
    folder: Path, train: Train, options: tuple[str, ...], n_snapshots: int
) -> None:
    """A training that is cut by a budget before its last calculation and goes on has the same data set."""
    straight = (folder / "run/dataset.extxyz").read_bytes()
    cut = ("--set", f"training.max_calculations={n_snapshots - 1}", "--run-dir", folder / "cut")
    assert train(*options, *cut).exit_code == 4
    assert train(*options, "--run-dir", folder / "cut").exit_code == 0
    assert (folder / "cut/dataset.extxyz").read_bytes() == straight


def relative_error(folder: Path) -> float:
    """Relative force error of the trained model on a new rattled cell."""
    model, _ = read_model(folder / "run/model.h5")
    (test,) = emt_snapshots((2, 2, 2), (0.08,), seed=9)
    atoms = copper() * (2, 2, 2)
    atoms.positions = test.positions
    atoms.calc = ForceFieldCalculator(model)
    error = atoms.get_forces() - test.forces_ev_per_angstrom
    return float(np.linalg.norm(error) / np.linalg.norm(test.forces_ev_per_angstrom))


def change_answer(path: Path, **changes: object) -> None:
    """Change values of a stored answer as a program of before would have written it, without a digest."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    del content["content"]
    path.write_text(json.dumps(content), encoding="utf-8")
