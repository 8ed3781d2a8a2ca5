"""Every appended event is read again, in order, also after a line that a kill has cut."""

from __future__ import annotations

import numpy as np
import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.store.journal import Journal, read_journal


def test_events_are_read_in_order(tmp_path):
    journal = Journal(tmp_path / "run" / "journal.jsonl")
    journal.append("label", name="0001", rmse=np.float64(0.1), cells=np.arange(3), ratio=float("inf"))
    journal.append("refit", seconds=0.25)
    assert read_journal(journal.path) == (
        {"event": "label", "name": "0001", "rmse": 0.1, "cells": [0, 1, 2], "ratio": None},
        {"event": "refit", "seconds": 0.25},
    )


def test_missing_journal_is_empty(tmp_path):
    assert read_journal(tmp_path / "journal.jsonl") == ()


def test_cut_anywhere_in_the_last_line_and_gone_on(tmp_path):
    path = tmp_path / "journal.jsonl"
    for number in range(3):
        Journal(path).append("step", number=number)
    whole = path.read_bytes()
    second_end = whole.rfind(b"\n", 0, -1) + 1
    for cut in range(second_end, len(whole)):
        path.write_bytes(whole[:cut])
        assert [event["number"] for event in read_journal(path)] == [0, 1]
        Journal(path).append("step", number=7)
        assert [event["number"] for event in read_journal(path)] == [0, 1, 7]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"name": 1}', "\xff"])
def test_damaged_line_in_the_middle_is_refused_by_number(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event": "a"}\n' + line.encode("latin-1") + b'\n{"event": "b"}\n')
    with pytest.raises(DataError, match=r"journal\.jsonl is damaged in line 2"):
        read_journal(path)
