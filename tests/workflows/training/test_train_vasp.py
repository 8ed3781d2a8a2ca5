"""`train` with a stand-in for VASP: to the end, killed, resumed, and what failures look like."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT

from tests.engines.vasp.vasp_library import write_library, write_programs
from tests.models import copper

REPOSITORY = Path(__file__).parents[3]
CONFIG = """\
structure: {file: Cu.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 2.7}, local: null}
engine:
  kind: vasp
  parameters: {incar: {ENCUT: 400, ALGO: Fast}, kpoints: [2, 2, 2], pseudopotentials: {Cu: Cu}}
  profile: {pseudo_dir: library}
training:
  temperatures_kelvin: [300]
  n_steps: 400
  max_calculations: 5
  criterion: {force_error_limit_relative: 0.5}
  initial: {n: 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "Cu.vasp", copper(), format="vasp", direct=True)
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    write_library(tmp_path / "library")
    write_programs(tmp_path / "bin")
    return tmp_path


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    settings = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "STAND_IN_LOG": str(folder / "log"),
        **environment,
    }
    command = [sys.executable, "-m", "mlff_dyn", "train", "c.yaml", "--json", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def train(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    process = start(folder, *arguments, **environment)
    answer, errors = process.communicate(timeout=120)
    return process.returncode, answer, errors


def runs(folder: Path) -> list[str]:
    path = folder / "log"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_training_killed_and_resumed_calculates_everything_once(folder: Path) -> None:
    code, answer, errors = train(folder, "--dry-run")
    assert code == 0, errors
    assert "PAW_PBE Cu 22Jun2005" in answer
    assert not runs(folder)
    process = start(folder)
    while len(runs(folder)) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    code, answer, errors = train(folder)
    assert code in (0, 4), errors
    frames = ase.io.read(folder / "run/dataset.extxyz", ":")
    assert len(frames) == json.loads(answer)["n_labelled"]
    assert len(set(runs(folder))) == len(frames)
    assert len(runs(folder)) <= len(frames) + 1
    for frame in frames:
        truth = frame.copy()
        truth.calc = EMT()
        assert frame.get_forces() == pytest.approx(truth.get_forces(), abs=2e-7)
        assert frame.get_stress() == pytest.approx(truth.get_stress(), abs=1e-8)
        assert frame.info["program"].startswith("VASP 6.4.1")
        assert frame.info["pseudopotentials"].startswith("PAW_PBE Cu 22Jun2005 sha256:")
    assert len({np.round(frame.positions, 6).tobytes() for frame in frames}) == len(frames)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("disk", "the disk is full"),
        ("permuted", "does not belong to the POSCAR"),
        ("killed", "exit status -9"),
    ],
)
def test_a_failure_is_one_line_and_the_same_command_goes_on(folder: Path, kind: str, message: str) -> None:
    if kind == "permuted":
        library, config = folder / "library/potpaw_PBE", folder / "c.yaml"
        assert library.is_dir()
        atoms = copper()
        atoms.symbols[0] = "Au"
        ase.io.write(folder / "Cu.vasp", atoms, format="vasp", direct=True)
        config.write_text(CONFIG.replace("{Cu: Cu}", "{Cu: Cu, Au: Au}"), encoding="utf-8")
    code, answer, errors = train(folder, STAND_IN_FAILURE=kind)
    assert code == 5, errors
    assert not answer
    last = errors.strip().splitlines()[-1]
    assert message in last
    assert "Traceback" not in errors
    assert not (folder / "run/dataset.extxyz").exists()
    code, _, errors = train(folder)
    assert code in (0, 4), errors


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ENCUT: 400", "ENCUTT: 400", "did you mean ENCUT"),
        ("{Cu: Cu}", "{Cu: Cu_sv}", "of Cu it has Cu, Cu_pv"),
        ("pseudo_dir: library", "pseudo_dir: nowhere", "which is no folder"),
        ("pseudo_dir: library", "pseudo_dir: library, command: vasp_nowhere", "cannot be found"),
    ],
)
def test_bad_settings_end_before_anything_runs(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "c.yaml").write_text(CONFIG.replace(old, new), encoding="utf-8")
    for option in ("--dry-run", "--quiet"):
        code, _, errors = train(folder, option)
        assert code in (2, 5)
        assert message in errors.strip().splitlines()[-1]
    assert not runs(folder)
