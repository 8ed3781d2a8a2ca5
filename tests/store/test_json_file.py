"""JSON files read back exactly, and damage is refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.store.json_file import read_json, write_json


def test_doubles_read_back_bit_by_bit(tmp_path):
    values = np.random.default_rng(1).normal(size=(50, 3)) * 10.0 ** np.arange(-149, 1, 3)[:, None]
    write_json(tmp_path / "a.json", {"values": values, "n": np.int64(3)}, format_name="test", version=2)
    content = read_json(tmp_path / "a.json", format_name="test", version=2)
    assert np.array(content["values"]).tobytes() == values.tobytes()
    assert content["n"] == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "damaged"),
        ('{"format": "test", "vers', "damaged"),
        ("[1, 2]", "format None"),
        ('{"format": "other", "version": 1}', "format 'other'"),
        ('{"format": "test", "version": 9}', "version 9"),
        ('{"format": "test"}', "version None"),
    ],
)
def test_damage_is_refused_by_name(tmp_path, text, reason):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        read_json(path, format_name="test", version=1)
    assert "result.json" in str(caught.value)


def test_missing_file_and_numbers_that_are_not_finite(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*none\.json"):
        read_json(tmp_path / "none.json", format_name="test", version=1)
    with pytest.raises(DataError, match="cannot write"):
        write_json(tmp_path / "nan.json", {"value": np.nan}, format_name="test", version=1)
    assert not (tmp_path / "nan.json").exists()


CONTENT = {
    "line": "error 1.5 %: Å",
    "values": np.array([0.1, -2e-300]),
    "nested": {"a": None, "n": [1, True]},
}


def test_a_changed_character_is_damage_wherever_it_is(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, CONTENT, format_name="test", version=1)
    expected = read_json(path, format_name="test", version=1)
    text = path.read_text()
    for place, character in enumerate(text):
        path.write_text(text[:place] + ("8" if character == "7" else "7") + text[place + 1 :])
        try:
            found = read_json(path, format_name="test", version=1)
        except DataError:
            continue
        assert {key: found.get(key) for key in expected} == expected


def test_files_of_before_have_no_digest(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"format": "test", "version": 1, "line": "as it was"}))
    assert read_json(path, format_name="test", version=1) == {"line": "as it was"}
