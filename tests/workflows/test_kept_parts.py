"""Parts of an answer on disk: what is in them, when they are made again, and a kill between two of them."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mlff_dyn.workflows.results.kept_parts import KeptParts
from tests.workflows.conftest import invoke
from tests.workflows.test_thermodynamics import only

CONDUCTIVITY = (
    *("--set", "conductivity.q_mesh=[5, 5, 5]", "--set", "conductivity.n_samples=2"),
    *("--set", "conductivity.temperatures_kelvin=[300.0]"),
)
COMMANDS = {"conductivity": CONDUCTIVITY, "thermodynamics": only("elastic", "expansion")}
N_PARTS = {"conductivity": 5, "thermodynamics": 3}


def killed(verb, config, options, rename):
    """Status of the command, killed just after its rename of that number."""
    command = [sys.executable, "-m", "tests.workflows.killed_command", verb, config, *options]
    environment = {**os.environ, "KILL_AT_RENAME": str(-rename)}
    return subprocess.run([str(each) for each in command], env=environment, check=False, timeout=300)


@pytest.mark.parametrize("verb", COMMANDS)
def test_after_a_kill_between_parts_the_command_goes_on_with_the_same_answer(project, verb, monkeypatch):
    pytest.importorskip("phono3py", minversion="4.10")
    config, options = project / "CONFIG.yaml", COMMANDS[verb]
    folder = project / "run" / verb
    made = []
    get = KeptParts.get

    def counted(self, name, inputs, make):
        return get(self, name, inputs, lambda: made.append(name) or make())

    monkeypatch.setattr(KeptParts, "get", counted)
    whole = invoke(verb, config, *options, "--json")
    assert whole.exit_code == 0, whole.stderr
    every = list(made)
    assert len(every) == N_PARTS[verb]
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert killed(verb, config, options, 2).returncode == -signal.SIGKILL
    assert {path.stem for path in (folder / "parts").iterdir()} == set(every[:2])
    made.clear()
    assert invoke(verb, config, *options, "--json").stdout == whole.stdout
    assert made == every[2:]


def test_parts_come_back_as_they_were_and_damaged_ones_are_made_again(tmp_path):
    kept, calls = KeptParts(tmp_path / "parts", "model"), []
    content = {"values": np.array([0.1, np.nan]), "deep": [{"one": np.arange(3)}, None, 1.0 / 3.0, "text"]}

    def make():
        calls.append(1)
        return content

    for _ in range(2):
        found = kept.get("one", [300.0], make)
        np.testing.assert_equal(found, content)
    assert len(calls) == 1
    whole = kept.path("one").read_bytes()
    for damaged in (whole[:-30], whole.replace(np.float64(0.1).tobytes(), np.float64(0.2).tobytes()), b""):
        kept.path("one").write_bytes(damaged)
        np.testing.assert_equal(kept.get("one", [300.0], make), content)
    assert len(calls) == 4
    kept.get("one", [400.0], make)
    KeptParts(tmp_path / "parts", "other").get("one", [400.0], make)
    assert len(calls) == 6
    with pytest.raises(ZeroDivisionError):
        kept.get("two", [], lambda: {"value": 1 / 0})
    assert not kept.path("two").exists()
    kept.remove()
    assert not (tmp_path / "parts").exists()
