"""Labeling: nothing runs twice, failures are named, the rest is kept."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlff_dyn.engines.ase.engine import AseEngine
from mlff_dyn.engines.ase.worker import calculate
from mlff_dyn.errors import DataError, EngineError
from mlff_dyn.execution.calculation import read_finished
from mlff_dyn.execution.local import label


class CountingEMT(EMT):
    """EMT that counts its calculations, takes a while, and fails where it is told to."""

    runs: list[float]
    fail_at: set[float]
    running = 0
    most_running = 0
    delay = 0.02
    guard = threading.Lock()

    def calculate(self, atoms, properties, system_changes):
        mark = round(float(atoms.positions[0, 0]), 6)
        cls = type(self)
        with cls.guard:
            cls.runs.append(mark)
            cls.running += 1
            cls.most_running = max(cls.most_running, cls.running)
        time.sleep(self.delay)
        with cls.guard:
            cls.running -= 1
        if mark in cls.fail_at:
            raise RuntimeError(f"failure at {mark}")
        super().calculate(atoms, properties, system_changes)


class InThisProcess(AseEngine):
    """The engine with its calculator in this process, where tests can count and fork."""

    def __init__(self, calculator: type[CountingEMT]) -> None:
        self.parameters = {"calculator": "Counting", "arguments": {}}
        self._create, self._timeout_seconds = calculator, None

    def _ask(self, directory, *, only_check):
        try:
            return calculate(self._create(), self.read_input(directory))
        except RuntimeError as error:
            raise EngineError(f"{directory}: {error}", fix="try again") from error


@pytest.fixture
def calculator():
    return type("Counting", (CountingEMT,), {"runs": [], "fail_at": set()})


@pytest.fixture
def engine(calculator):
    return InThisProcess(calculator)


def structures(n_structures: int):
    cells = []
    for number in range(n_structures):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=number)
        atoms.positions[0, 0] = number / 8
        cells.append(atoms)
    return cells


NAMES = ["0000", "0001", "0002", "0003", "0004", "0005"]


def same(first, second) -> bool:
    return (
        first.energy_ev == second.energy_ev
        and first.forces_ev_per_angstrom.tobytes() == second.forces_ev_per_angstrom.tobytes()
        and first.stress_ev_per_angstrom3.tobytes() == second.stress_ev_per_angstrom3.tobytes()
    )


@pytest.mark.parametrize("max_parallel", [1, 3])
def test_order_values_and_no_second_run(tmp_path, engine, calculator, max_parallel):
    cells = structures(6)
    finished = []
    results = label(
        engine,
        cells,
        tmp_path / "run" / "calculations",
        NAMES,
        max_parallel=max_parallel,
        on_finished=lambda name, _: finished.append(name),
    )
    for atoms, result in zip(cells, results, strict=True):
        atoms.calc = EMT()
        assert result.forces_ev_per_angstrom.tobytes() == atoms.get_forces().tobytes()
    assert sorted(finished) == NAMES
    assert calculator.most_running == max_parallel
    again = label(engine, cells, tmp_path / "run" / "calculations", NAMES, max_parallel=max_parallel)
    assert all(map(same, results, again))
    assert len(calculator.runs) == 6
    assert sorted(path.name for path in (tmp_path / "run" / "calculations").iterdir()) == NAMES


@pytest.mark.parametrize("max_parallel", [1, 2])
def test_failure_is_named_and_what_is_finished_stays(tmp_path, engine, calculator, max_parallel):
    calculator.fail_at.add(0.25)
    with pytest.raises(EngineError, match=r"failure at 0\.25") as caught:
        label(engine, structures(6), tmp_path, NAMES, max_parallel=max_parallel)
    assert str(tmp_path / "0002") in str(caught.value)
    assert (tmp_path / "0002" / "input.extxyz").exists()
    done = [name for name in NAMES if (tmp_path / name / "result.json").exists()]
    assert {"0000", "0001"} <= set(done)
    assert "0005" not in done
    assert len(calculator.runs) == len(done) + 1
    calculator.fail_at.clear()
    label(engine, structures(6), tmp_path, NAMES, max_parallel=max_parallel)
    assert len(calculator.runs) == 7


def test_several_failures_are_counted(tmp_path, engine, calculator):
    calculator.fail_at.update({0.0, 0.125})
    with pytest.raises(EngineError, match=r"failure at 0\.0; 1 more of the calculations failed"):
        label(engine, structures(2), tmp_path, NAMES[:2], max_parallel=2)


def test_other_input_under_the_same_name_runs_and_the_old_result_is_kept(tmp_path, engine, calculator):
    (first,) = label(engine, structures(1), tmp_path, ["0000"])
    moved = structures(1)
    moved[0].positions[1, 1] = np.nextafter(moved[0].positions[1, 1], 10.0)
    assert read_finished(engine, moved[0], tmp_path / "0000") is None
    label(engine, moved, tmp_path, ["0000"])
    assert len(calculator.runs) == 2
    (kept,) = (tmp_path / "superseded").iterdir()
    assert same(read_finished(engine, structures(1)[0], kept), first)
    other_engine = AseEngine({"calculator": "ase.calculators.emt:EMT"}, {})
    label(other_engine, moved, tmp_path, ["0000"])
    assert len(list((tmp_path / "superseded").iterdir())) == 2


def test_finished_but_never_read_is_not_run_again(tmp_path, engine, calculator):
    (result,) = label(engine, structures(1), tmp_path, ["0000"])
    (tmp_path / "0000" / "result.json").unlink()
    (again,) = label(engine, structures(1), tmp_path, ["0000"])
    assert same(result, again)
    assert len(calculator.runs) == 1


def test_half_done_runs_from_scratch(tmp_path, engine, calculator):
    label(engine, structures(1), tmp_path, ["0000"])
    for name in ("result.json", "output.json"):
        (tmp_path / "0000" / name).unlink()
    (tmp_path / "0000" / "leftover").write_text("of the half-done run")
    label(engine, structures(1), tmp_path, ["0000"])
    assert len(calculator.runs) == 2
    assert not (tmp_path / "0000" / "leftover").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("mlff-dyn", "other"),
        lambda text: text.replace('"version": 1', '"version": 7'),
        lambda text: text.replace("input_identity", "identity"),
        lambda text: text.replace("forces_ev_per_angstrom", "forces"),
        lambda text: json.dumps({**json.loads(text), "forces_ev_per_angstrom": [[0.0, 0.0, 0.0]]}),
        lambda text: json.dumps({**json.loads(text), "energy_ev": "low"}),
        lambda text: json.dumps({**json.loads(text), "energy_ev": float("nan")}),
    ],
)
def test_damaged_result_is_refused_by_name_not_run_again(tmp_path, engine, calculator, change):
    label(engine, structures(1), tmp_path, ["0000"])
    path = tmp_path / "0000" / "result.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=r"0000/result\.json"):
        label(engine, structures(1), tmp_path, ["0000"])
    assert len(calculator.runs) == 1


def test_a_folder_of_somebody_else_is_not_touched(tmp_path, engine):
    (tmp_path / "0000").mkdir()
    (tmp_path / "0000" / "thesis.tex").write_text("years of work")
    with pytest.raises(EngineError, match=r"0000 is in the way"):
        label(engine, structures(1), tmp_path, ["0000"])
    assert (tmp_path / "0000" / "thesis.tex").exists()


@pytest.mark.parametrize(
    "names", [["a"], ["a", "a"], ["a", "b/c"], ["a", ".b"], ["a", ""], ["a", "superseded"]]
)
def test_names_are_checked(tmp_path, engine, names):
    with pytest.raises(ValueError, match="name"):
        label(engine, structures(2), tmp_path, names)


def test_folder_that_cannot_be_written(tmp_path, engine):
    (tmp_path / "calculations").write_text("a file")
    with pytest.raises(DataError, match="calculations"):
        label(engine, structures(1), tmp_path / "calculations", ["0000"])


N_EVENTS = 200


def label_and_die(engine, folder, at_event: int, n_structures: int = 2, **options) -> bool:
    """Label structures in a child that dies at the given file operation; True if it did not get there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        events = iter(range(N_EVENTS))

        def die(event: str, arguments: tuple) -> None:
            touches = event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")
            if touches and str(folder) in str(arguments[0]) and next(events) == at_event:
                os._exit(9)

        sys.addaudithook(die)
        label(engine, structures(n_structures), folder, NAMES[:n_structures], **options)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_death_at_every_file_operation(tmp_path, engine, calculator):
    calculator.delay = 0.0
    expected = label(engine, structures(2), tmp_path / "reference", NAMES[:2])
    for at_event in range(N_EVENTS):
        folder = tmp_path / f"{at_event}"
        if label_and_die(engine, folder, at_event):
            break
        computed = [name for name in NAMES[:2] if (folder / name / "output.json").exists()]
        label_and_die(engine, folder, at_event // 2)
        calculator.runs.clear()
        for first, second in zip(expected, label(engine, structures(2), folder, NAMES[:2]), strict=True):
            assert same(first, second)
        assert not {int(name) / 8 for name in computed} & set(calculator.runs)
        assert sorted(path.name for path in folder.iterdir()) == NAMES[:2]
    assert 20 < at_event < N_EVENTS - 1


def test_death_at_every_file_operation_while_a_half_done_one_is_removed(tmp_path, engine, calculator):
    calculator.delay = 0.0
    for at_event in range(N_EVENTS):
        folder = tmp_path / f"{at_event}"
        label(engine, structures(1), folder, NAMES[:1])
        for name in ("result.json", "output.json"):
            (folder / "0000" / name).unlink()
        reached_the_end = label_and_die(engine, folder, at_event, n_structures=1)
        label(engine, structures(1), folder, NAMES[:1])
        assert [path.name for path in folder.iterdir()] == ["0000"]
        if reached_the_end:
            break
    assert 5 < at_event < N_EVENTS - 1
