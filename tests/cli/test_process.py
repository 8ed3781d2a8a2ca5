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

SIGNAL_TO_ITSELF = """
import atexit, os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "{place}":
            os.kill(os.getpid(), {number})
if "{place}" == "exit":
    atexit.register(os.kill, os.getpid(), {number})
sys.meta_path.insert(0, Finder())
from mlff_dyn.__main__ import main
sys.argv = ["mlff-dyn", "init", "CONFIG.yaml", "-q"]
main()
"""


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A configuration and its structure."""
    (tmp_path / "CONFIG.yaml").write_text(CONFIG)
    (tmp_path / "Si.vasp").write_bytes((ROOT / "configs/structures/Si.vasp").read_bytes())
    return tmp_path


def start(*args: str, cwd: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *args],
        cwd=cwd,
        env=ENVIRONMENT,
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("place", ["typer", "numpy", "exit"])
def test_a_signal_while_modules_are_imported_or_the_process_ends(
    place: str, number: int, project: Path
) -> None:
    """One line and 130; once the answer is there, the exit code of the command."""
    code = SIGNAL_TO_ITSELF.format(place=place, number=int(number))
    process = start("-c", code, cwd=project)
    stdout, stderr = process.communicate(timeout=60)
    if place == "exit":
        assert (process.returncode, stderr) == (0, "")
        assert stdout
    else:
        assert (process.returncode, stdout) == (130, "")
        assert stderr == "interrupted; the same command goes on from here\n"


def test_a_signal_that_a_library_swallows_comes_again(project: Path) -> None:
    swallow = f"type('Finder', (), {{'__del__': lambda self: os.kill(os.getpid(), {int(signal.SIGHUP)})}})()"
    code = SIGNAL_TO_ITSELF.format(place="numpy", number=0).replace("os.kill(os.getpid(), 0)", swallow)
    stdout, stderr = (process := start("-c", code, cwd=project)).communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "interrupted; the same command goes on from here\n"


def test_what_the_caller_ignores_stays_ignored(project: Path) -> None:
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code += SIGNAL_TO_ITSELF.format(place="numpy", number=int(signal.SIGHUP))
    process = start("-c", code, cwd=project)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "status" in stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
@pytest.mark.parametrize("words", ["--help", "--version", "init CONFIG.yaml --json"])
def test_an_answer_that_cannot_be_written_is_one_line(words: str, project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "mlff_dyn", *words.split()],
            cwd=project,
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert result.stderr.startswith("error: cannot write to standard output: ")


@pytest.mark.parametrize("words", ["--help", "init CONFIG.yaml --json", "init CONFIG.yaml --json 2>&1"])
def test_a_reader_that_has_seen_enough_changes_nothing(words: str, project: Path) -> None:
    """The pipe is closed before anything is written; the command ends its work, with its own exit code."""
    command = f"'{sys.executable}' -m mlff_dyn {words} | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", command], cwd=project, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert "rror" not in result.stderr
    assert "Traceback" not in result.stderr
    assert (project / "run/basis.h5").exists() == ("init" in words)


def test_log_that_cannot_be_written_ends_no_command(project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "mlff_dyn", "init", "CONFIG.yaml", "--set", "no.key=1"],
            cwd=project,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
        )
    assert result.returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_verbs_and_options(shell: str, tmp_path: Path) -> None:
    """`--show-completion` prints the script of the shell; asked as that script asks, it completes."""
    code = "import sys; sys.argv[0] = 'mlff-dyn'; from mlff_dyn.cli.app import main; main()"
    for line, expected in (
        ("mlff-dyn check", "check-convergence"),
        ("mlff-dyn run-md --allow", "--allow-unconverged"),
    ):
        words = line.split()
        asked = {
            "_MLFF_DYN_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        result = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**ENVIRONMENT, **asked},
            capture_output=True,
            text=True,
            check=False,
        )
        assert expected in result.stdout, result.stderr
