"""Each decision is in the journal once, and what is no decision is refused by line."""

from pathlib import Path

import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.store.journal import read_journal
from mlff_dyn.workflows.training.training_journal import LABELLED, TrainingJournal


def test_a_repeated_decision_is_written_once(tmp_path: Path) -> None:
    """Also by a later process; a calculation is the same one under another basis, a fit is not."""
    path = tmp_path / "journal.jsonl"
    for basis in ("a", "a", "b"):
        journal = TrainingJournal(path, basis)
        journal.append(LABELLED, n_snapshots=1, score=1.5)
        for _ in range(2):
            journal.append("explored", n_snapshots=1, temperature_kelvin=300.0, replica=0, n_steps=100)
    events = [(event["event"], event.get("basis")) for event in read_journal(path)]
    assert events == [("labelled", None), ("explored", "a"), ("explored", "b")]
    assert TrainingJournal(path, "a").n_steps == 200


@pytest.mark.parametrize("entry", ['"n_snapshots": "two"', '"temperature_kelvin": [300]', '"n_steps": "1"'])
def test_values_of_another_type_are_refused_with_their_line(entry: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "refit"}\n{"event": "explored", ' + entry + "}\n")
    with pytest.raises(DataError, match=r"journal\.jsonl is damaged in line 2: " + entry[1:5]):
        TrainingJournal(path, "a")
