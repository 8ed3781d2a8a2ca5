"""While calculations run, their time so far and that of earlier ones are told."""

import io
import os
import time

import numpy as np
import pytest
from ase import Atoms

from mlff_dyn.engines.base import EngineResult
from mlff_dyn.execution.attempts import write_mark
from mlff_dyn.execution.local import LocalExecution
from mlff_dyn.report.progress import NullProgress, PlainProgress
from mlff_dyn.workflows import waiting


class Listening(NullProgress):
    """Progress that remembers what it was told."""

    def __init__(self):
        self.told = []

    def wait(self, description, seconds, expected_seconds):
        self.told.append((description, seconds, expected_seconds))


class SlowEngine:
    """Engine without a program, which takes 0.3 s."""

    kind = "slow"

    def __init__(self):
        self.parameters = {}

    def input_files(self, atoms):
        return {"input": "".join(map(str, atoms.numbers))}

    def write_input(self, directory, atoms):
        for name, text in self.input_files(atoms).items():
            (directory / name).write_text(text)

    def run(self, directory):
        time.sleep(0.3)

    def read_result(self, directory):
        return EngineResult(
            energy_ev=0.0, forces_ev_per_angstrom=np.zeros((1, 3)), stress_ev_per_angstrom3=None
        )

    def stop(self):
        pass


def finished(folder, name, seconds):
    (folder / name).mkdir()
    write_mark(folder / name, {"input_files": []})
    for file, age in (("calculation.json", seconds), ("result.json", 0.0)):
        (folder / name / file).touch()
        now = time.time()
        os.utime(folder / name / file, (now - age, now - age))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.02)


def test_the_median_of_earlier_calculations_is_expected(tmp_path):
    for name, seconds in (("0001", 10.0), ("0002", 20.0), ("0003", 90.0)):
        finished(tmp_path, name, seconds)
    progress = Listening()
    with waiting.shown_while_waiting(progress, tmp_path, ["0003", "0004"], time.monotonic() - 5.0):
        (tmp_path / "0004").mkdir()
        (tmp_path / "0004/calculation.json").touch()
        time.sleep(0.3)
    names, seconds, expected = zip(*progress.told, strict=True)
    assert set(names) == {"calculation 0004"}
    assert list(seconds) == sorted(seconds)
    assert 0.0 <= seconds[0] < seconds[-1] < 4.0
    assert expected[0] == pytest.approx(20.0, abs=0.5)


def test_what_an_earlier_command_has_left_does_not_count(tmp_path):
    (tmp_path / "0001").mkdir()
    (tmp_path / "0001/calculation.json").touch()
    os.utime(tmp_path / "0001/calculation.json", (0.0, 0.0))
    progress = Listening()
    with waiting.shown_while_waiting(progress, tmp_path, ["0001"]):
        time.sleep(0.1)
    assert progress.told
    assert max(seconds for _, seconds, _ in progress.told) < 1.0
    assert {expected for *_, expected in progress.told} == {None}


@pytest.mark.parametrize("max_parallel", [1, 3])
def test_several_that_run_at_the_same_time_are_named(tmp_path, max_parallel):
    progress, names = Listening(), ["0001", "0002", "0003"]
    atoms = [Atoms("H", cell=[5, 5, 5 + k], pbc=True) for k in range(3)]
    with LocalExecution(SlowEngine(), tmp_path, max_parallel=max_parallel) as execution:
        execution.submit(names, atoms)
        with waiting.shown_while_waiting(progress, tmp_path, names):
            execution.results(names)
    told = {description for description, *_ in progress.told}
    assert ("calculations 0001, 0002, 0003" in told) == (max_parallel == 3)
    assert ("calculation 0002" in told) or max_parallel == 3


@pytest.mark.parametrize(
    ("expected", "at"),
    [
        (600.0, [60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200]),
        (100.0, [30, 60, 90, 180, 360, 720, 1440]),
        (None, [30, 60, 120, 240, 480, 960]),
    ],
)
def test_a_log_has_a_line_at_every_tenth_and_few_of_what_takes_long(expected, at):
    stream = io.StringIO()
    progress = PlainProgress(stream)
    for second in range(1500):
        progress.wait("calculation 0005", float(second), expected)
    lines = stream.getvalue().splitlines()
    minutes = [divmod(second, 60) for second in at]
    assert [line.split()[2] for line in lines] == [f"0:{m:02d}:{s:02d}" for m, s in minutes]
    if expected == 600.0:
        assert lines[0] == "calculation 0005: 0:01:00 of about 0:10:00"
