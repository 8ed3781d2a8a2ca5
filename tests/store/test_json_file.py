"""JSON files read back exactly, and damage is refused by name."""

from __future__ import annotations

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
