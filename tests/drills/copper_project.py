"""A small project of copper, trained and run by the command line, that drills may spoil."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.store.dataset import write_snapshots
from mlff_dyn.store.model_file import read_model
from tests.models import copper, emt_snapshots
from tests.workflows.training_project import CONFIG_OF_KILLS

REPOSITORY = Path(__file__).parents[2]
LOCAL_PART = "local: {cutoff_angstrom: 4.0, n_radial: 3, l_max: 2}"
CONFIG = f"""\
{CONFIG_OF_KILLS}md: {{temperatures_kelvin: [300], n_steps: 400, sample_every: 5, timestep_femtoseconds: 2.0}}
convergence: {{force_error_limit_relative: 0.5, n_replicas: 2, n_steps: 400}}
"""
VERBS: dict[str, tuple[str, ...]] = {
    "train": ("train", "c.yaml"),
    "run-md": ("run-md", "c.yaml"),
    "run-md longer": ("run-md", "c.yaml", "--set", "md.n_steps=600"),
    "check-convergence": ("check-convergence", "c.yaml"),
    "phonons": ("phonons", "c.yaml"),
    "export": ("export", "c.yaml", "--format", "phonopy", "--output", "exported"),
    "export a trajectory": ("export", "c.yaml", "--format", "extxyz", "--output", "frames.extxyz"),
    "validate": ("validate", "c.yaml", "test.extxyz"),
}
"""Command lines of the verbs that work on a run directory, to be run in the folder of the project."""
EXIT_CODES = (0, 2, 3, 4, 5, 6, 130)
"""What a command may end with; 1 is a fault of the program."""


def make_project(folder: Path, *, has_local_part: bool = True) -> Path:
    """Write configuration, structure and a few frames to test with."""
    config = CONFIG.replace("expansion: {", f"expansion: {{{LOCAL_PART}, ") if has_local_part else CONFIG
    folder.mkdir(parents=True, exist_ok=True)
    ase.io.write(folder / "Cu.vasp", copper(), format="vasp", direct=True)
    (folder / "c.yaml").write_text(config, encoding="utf-8")
    write_snapshots(folder / "test.extxyz", emt_snapshots((2, 2, 2), (0.05, 0.09), seed=2))
    return folder


def invoke(folder: Path, *arguments: object) -> Result:
    """Run a command in this process."""
    before = Path.cwd()
    os.chdir(folder)
    os.environ["RUNS"] = str(folder / "runs")
    try:
        return CliRunner().invoke(app, [*map(str, arguments), "--json"])
    finally:
        os.chdir(before)


def start(
    folder: Path, *arguments: object, new_session: bool = False, **environment: object
) -> subprocess.Popen[bytes]:
    """Run a command in a process of its own, and in a session of its own if asked for."""
    settings = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "OMP_NUM_THREADS": "1",
        "RUNS": str(folder / "runs"),
        **{name: str(value) for name, value in environment.items()},
    }
    return subprocess.Popen(
        [sys.executable, "-m", "mlff_dyn", *map(str, arguments), "--json"],
        cwd=folder,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=new_session,
    )


def faults_of_ending(code: int, stderr: str) -> list[str]:
    """What is wrong with how a command ended: a traceback, an unknown code, not one line that says why."""
    found = []
    if "Traceback" in stderr:
        found.append("traceback")
    if code not in EXIT_CODES:
        found.append(f"exit code {code}")
    lines = stderr.rstrip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if code in (2, 3, 5, 6) and (len(errors) != 1 or not lines[-1].startswith("error: ")):
        found.append(f"{len(errors)} lines of error")
    return found


@dataclass(frozen=True, eq=False)
class Prediction:
    """Forces of a model on a rattled cell, eV/Å, and their standard deviations."""

    forces: NDArray[np.float64]
    sds: NDArray[np.float64]

    def agrees(self, other: "Prediction") -> bool:
        """Whether the two differ by no more than their error bars."""
        variance = np.mean(self.sds**2 + other.sds**2)
        return bool(np.mean((self.forces - other.forces) ** 2) <= 4.0 * variance)


def prediction(folder: Path) -> Prediction:
    """What the model of a project predicts."""
    model, _ = read_model(folder / "run/model.h5")
    (test,) = emt_snapshots((2, 2, 2), (0.08,), seed=9)
    atoms = copper() * (2, 2, 2)
    atoms.positions = test.positions
    atoms.calc = ForceFieldCalculator(model)
    forces = atoms.get_forces()
    return Prediction(forces, atoms.calc.get_property("force_sd", atoms))


_TIMES = ("up_to_date", "steps_per_second")
_PLACES = ("directory", "model", "file", "folder", "report", "parity", "calibration", "trajectory")


def numbers(answer: str) -> Any:
    """Content of an answer of a command, without wall times and paths."""

    def reduced(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: reduced(v) for k, v in value.items() if k not in (*_TIMES, *_PLACES)}
        if isinstance(value, list):
            return [reduced(item) for item in value]
        return value

    return reduced(json.loads(answer))
