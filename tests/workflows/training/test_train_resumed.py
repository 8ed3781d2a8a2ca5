"""`train` goes on where it ended: at its budget, at a failed engine, between any two of its steps."""

import json
from pathlib import Path

import pytest

from mlff_dyn.store.dataset import read_snapshots
from tests.workflows.training_project import CONFIG, Train, n_runs, refused


def test_a_budget_ends_with_exit_code_four_and_may_be_raised(folder: Path, train: Train) -> None:
    """Raising it goes on to the very data of a run that had the larger budget from the start."""
    result = train("--set", "training.max_calculations=3")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["status"] == "budget exhausted"
    assert n_runs(folder) == 3
    assert (folder / "run/model.h5").exists()
    again = train("--set", "training.max_calculations=3")
    assert again.exit_code == 4
    assert n_runs(folder) == 3
    assert train().exit_code == 0
    n_total = n_runs(folder)
    assert train("--run-dir", folder / "straight").exit_code == 0
    straight = (folder / "straight/dataset.extxyz").read_bytes()
    assert (folder / "run/dataset.extxyz").read_bytes() == straight
    assert n_runs(folder) == 2 * n_total


def test_a_tiny_budget_stops_within_the_first_structures(folder: Path, train: Train) -> None:
    assert train("--set", "training.max_calculations=1").exit_code == 4
    assert n_runs(folder) == 1


def test_another_expansion_is_trained_on_the_same_calculations(folder: Path, train: Train) -> None:
    """The journal tells the fits and explorations of both apart."""
    assert train().exit_code == 0
    n_first = n_runs(folder)
    larger = train("--set", "expansion.cutoffs_angstrom={2: full, 3: 2.7, 4: {2: 2.7}, 5: {2: 2.7}}")
    assert larger.exit_code == 0, larger.stderr
    assert n_runs(folder) >= n_first
    events = [json.loads(line) for line in (folder / "run/journal.jsonl").read_text().splitlines()]
    counts = [
        {e["n_parameters"] for e in events if e["event"] == "refit" and e["basis"] == b}
        for b in dict.fromkeys(e["basis"] for e in events if "basis" in e)
    ]
    assert len(counts) == 2
    assert [len(count) for count in counts] == [1, 1]
    assert counts[0] != counts[1]
    assert len([e for e in events if e["event"] == "labelled"]) == n_runs(folder)


def test_a_failed_engine_keeps_what_is_done(folder: Path, train: Train) -> None:
    """Exit code 5 names the directory; with the cause gone the same command goes on to the same data."""
    failing = CONFIG.replace("CountingEMT", "FailingEMT")
    (folder / "c.yaml").write_text(failing)
    (folder / "runs.fail").write_text("4")
    result = train()
    refused(result, 5, "calculations/0004", "out of memory")
    assert len(read_snapshots(folder / "run/dataset.extxyz")) == 3
    (folder / "runs.fail").unlink()
    assert train().exit_code == 0
    n_total = len(read_snapshots(folder / "run/dataset.extxyz"))
    assert n_runs(folder) == n_total + 1
    assert train("--run-dir", folder / "straight").exit_code == 0
    assert (folder / "run/dataset.extxyz").read_bytes() == (folder / "straight/dataset.extxyz").read_bytes()


@pytest.mark.parametrize(
    ("max_parallel", "place"),
    [
        *((1, place) for place in (1, 2, 3, 4)),
        *((2, place) for place in (1, 2, 3)),
    ],
)
def test_an_end_between_any_two_lessons_changes_nothing(
    folder: Path, train: Train, monkeypatch: pytest.MonkeyPatch, place: int, max_parallel: int
) -> None:
    """Cut before a result is learnt: the next command learns it and comes to the same data."""
    parallel = ("--set", f"execution.max_parallel={max_parallel}")
    assert train("--run-dir", folder / "straight", *parallel).exit_code == 0
    n_straight = n_runs(folder)
    with monkeypatch.context() as patch:
        _interrupt(patch, "mlff_dyn.workflows.training.learner.Learner.learn", place)
        assert train(*parallel).exit_code == 130
    assert train(*parallel).exit_code == 0
    assert (folder / "run/dataset.extxyz").read_bytes() == (folder / "straight/dataset.extxyz").read_bytes()
    # What ran besides when the command ended is calculated again.
    assert 2 * n_straight <= n_runs(folder) < 2 * n_straight + max_parallel


@pytest.mark.parametrize("place", [3, 4])
def test_an_end_with_frames_chosen_from_a_pool_changes_nothing(
    folder: Path, train: Train, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    choice = ("--set", "training.selection={kind: i-optimal, n_pool: 12}")
    assert train("--run-dir", folder / "straight", *choice).exit_code == 0
    with monkeypatch.context() as patch:
        _interrupt(patch, "mlff_dyn.workflows.training.learner.Learner.learn", place)
        assert train(*choice).exit_code == 130
    assert train(*choice).exit_code == 0
    assert (folder / "run/dataset.extxyz").read_bytes() == (folder / "straight/dataset.extxyz").read_bytes()


def _interrupt(patch: pytest.MonkeyPatch, name: str, place: int) -> None:
    """Raise KeyboardInterrupt instead of the call of that number."""
    from importlib import import_module

    module_name, class_name, method = name.rsplit(".", 2)
    owner = getattr(import_module(module_name), class_name)
    original = getattr(owner, method)
    calls = 0

    def interrupted(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == place:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    patch.setattr(owner, method, interrupted)


@pytest.mark.parametrize(
    "place",
    [
        2,
        5,
        8,
        1,
        10,
        13,
    ],
)
def test_an_end_before_any_journal_entry_loses_none(
    folder: Path, train: Train, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    assert train("--run-dir", folder / "straight").exit_code == 0
    with monkeypatch.context() as patch:
        _interrupt(patch, "mlff_dyn.workflows.training.training_journal.TrainingJournal.append", place)
        assert train().exit_code == 130
    assert train().exit_code == 0
    run, straight = (
        (folder / name / "journal.jsonl").read_text().splitlines() for name in ("run", "straight")
    )
    assert sorted(map(_plain, run)) == sorted(map(_plain, straight))


def _plain(line: str) -> str:
    """A journal entry, its keys in one order."""
    return json.dumps(json.loads(line), sort_keys=True)
