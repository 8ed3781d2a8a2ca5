"""Trainings with batches and replicas killed at random moments: the same data, no result made twice."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.drills.copper_project import REPOSITORY, make_project, start

pytestmark = pytest.mark.drill

WAITING = 75
CASES = {"local-2": ("local", 2, 34), "local-3": ("local", 3, 33), "external-3": ("external", 3, 33)}


@dataclass
class Drill:
    """One training that is killed and started again until it is finished.

    Attributes
    ----------
    folder : Path
    arguments : tuple of str          of `train`
    moments : iterator of float       seconds until the next kill; none: it is left alone
    n_kills, n_commands : int
    results : dict of str to int      when each result was written, ns
    """

    folder: Path
    arguments: tuple[str, ...]
    moments: Iterator[float] = field(default_factory=lambda: iter(()))
    n_kills: int = 0
    n_commands: int = 0
    results: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        """Bring the training to its end."""
        while True:
            code = self._ended(start(self.folder, *self.arguments, new_session=True))
            self._note_results()
            if code == 0:
                return
            if code == WAITING:
                self._submit()
                self._note_results()

    def _submit(self) -> None:
        """Somebody submits what waits, and may be killed as well."""
        script = self.folder / "run/calculations/submit.sh"
        settings = {**os.environ, "RUNS": str(self.folder / "runs"), "PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen(
            ["bash", str(script)],
            cwd=self.folder,
            env=settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._ended(process) in (0, -signal.SIGKILL)

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        """Kill a command with all that it started at the next moment; return how it ended."""
        self.n_commands += 1
        try:
            _, errors = process.communicate(timeout=next(self.moments, 600.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, errors = process.communicate(timeout=60.0)
            self.n_kills += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, WAITING, -signal.SIGKILL), errors.decode()
        assert "Traceback" not in errors.decode(), errors.decode()
        return process.returncode

    def _note_results(self) -> None:
        """A result that is there stays as it is."""
        found = {
            str(path.parent.name): path.stat().st_mtime_ns
            for path in sorted((self.folder / "run/calculations").glob("*/result.json"))
        }
        for name, written in self.results.items():
            assert found.get(name) == written, f"{name} was calculated twice, or lost"
        self.results = found

    def leftovers(self) -> list[str]:
        """What only a command that was cut short would leave."""
        hidden = [path for path in (self.folder / "run").rglob(".*") if path.name != ".lock"]
        planned = self.folder / "run/calculations/planned.json"
        return [str(path) for path in (*hidden, planned) if path.exists()]


@pytest.mark.parametrize("case", CASES)
def test_killed_batches_give_the_same_data(tmp_path: Path, case: str) -> None:
    kind, max_parallel, n_wanted = CASES[case]
    settings = (f"execution.kind={kind}", f"execution.max_parallel={max_parallel}")
    arguments = ("train", "c.yaml", *(word for setting in settings for word in ("--set", setting)))
    straight = Drill(make_project(tmp_path / "straight", has_local_part=False), arguments)
    began = time.perf_counter()
    straight.run()
    seconds = (time.perf_counter() - began) / straight.n_commands
    expected = {
        name: (straight.folder / "run" / name).read_bytes() for name in ("dataset.extxyz", "model.h5")
    }
    generator = random.Random(case)
    n_kills = n_trainings = 0
    while n_kills < n_wanted:
        moments = (generator.uniform(0.1, 0.8) * seconds for _ in range(n_wanted - n_kills))
        killed = Drill(make_project(tmp_path / "killed", has_local_part=False), arguments, moments)
        killed.run()
        n_kills, n_trainings = n_kills + killed.n_kills, n_trainings + 1
        for name, content in expected.items():
            assert (killed.folder / "run" / name).read_bytes() == content, (name, n_trainings)
        assert killed.leftovers() == []
        assert set(killed.results) == set(straight.results)
        shutil.rmtree(killed.folder)
