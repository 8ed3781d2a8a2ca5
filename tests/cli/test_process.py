"""The command as a process: quick to help, clean to stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG

ROOT = Path(__file__).parents[2]
HEAVY = ("ase", "h5py", "matplotlib", "numpy", "phonopy", "pydantic", "scipy", "yaml")
MAX_SECONDS = 0.4

SLEEPING_WORKFLOW = """
import sys, time, types
module = types.ModuleType("mlff_dyn.workflows.md.run_md")
def run_md(config, *, dry_run, force, progress, allow_unconverged):
    progress.start(10, "dynamics")
    print("running", file=sys.stderr, flush=True)
    time.sleep(60.0)
module.run_md = run_md
sys.modules[module.__name__] = module
from mlff_dyn.cli.app import main
sys.argv = ["mlff-dyn", "run-md", "CONFIG.yaml"]
main()
"""


def start(*args: str, cwd: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, *args],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from mlff_dyn.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    stdout, stderr = start("-c", code, cwd=tmp_path).communicate(timeout=30)
    assert "check-convergence" in stdout
    assert stderr == "[]\n"


def test_help_is_quick(tmp_path: Path) -> None:
    used = []
    for _ in range(3):
        process = start("-m", "mlff_dyn", "--help", cwd=tmp_path)
        process.stdout.read()  # type: ignore[union-attr]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.communicate()
        used.append(usage.ru_utime + usage.ru_stime)
    assert min(used) < MAX_SECONDS


def test_version(tmp_path: Path) -> None:
    stdout, _ = start("-m", "mlff_dyn", "--version", cwd=tmp_path).communicate(timeout=30)
    assert stdout.startswith("mlff-dyn ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_130_and_one_line(number: int, tmp_path: Path) -> None:
    (tmp_path / "CONFIG.yaml").write_text(CONFIG)
    process = start("-c", SLEEPING_WORKFLOW, cwd=tmp_path)
    assert process.stderr is not None
    started = [process.stderr.readline(), process.stderr.readline()]
    assert started == ["dynamics: started\n", "running\n"]
    process.send_signal(number)
    asked = time.monotonic()
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - asked < 10.0
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "interrupted; the same command goes on from here\n"
