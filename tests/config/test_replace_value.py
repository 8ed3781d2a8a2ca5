"""Putting one value of a configuration in the place of another."""

import pytest

from mlff_dyn.config.yaml_source import insert_value, parse_yaml, replace_value

FLOW = "a: 1  # one\nb: {c: {2: full, 3: 4.0}, d: [x]}  # two\ne: end\n"
BLOCK = """\
# head
b:
  d: x
  c:            # cutoffs
    2: full
    3:
      2: 4.0
      3: 3.5    # three bodies

  # about f
  f: 2
e: end
"""
SCALAR = "b: {c: null}\n"


@pytest.mark.parametrize("text", [FLOW, BLOCK, SCALAR])
@pytest.mark.parametrize("value", [{2: "full", 3: {2: 5.5}}, [1, 2], "text", 3])
def test_only_the_value_changes(text, value):
    before, _ = parse_yaml(text, "before")
    changed = replace_value(text, ("b", "c"), value)
    after, _ = parse_yaml(changed, "after")
    assert after == {**before, "b": {**before["b"], "c": value}}
    assert [line for line in changed.splitlines() if "#" in line and "bodies" not in line] == [
        line.replace("{2: full, 3: 4.0}", changed[changed.index("c: ") + 3 : changed.index(", d: [x]")])
        if text is FLOW
        else line
        for line in text.splitlines()
        if "#" in line and "bodies" not in line
    ]


def test_replacing_by_the_same_value_keeps_every_character():
    text = "b: {c: {2: full, 3: 4.0}}  # two\n"
    assert replace_value(text, ("b", "c"), {2: "full", 3: 4.0}) == text


@pytest.mark.parametrize("path", [("b", "x"), ("x",), ("a", "c")])
def test_missing_keys_are_named(path):
    with pytest.raises(KeyError, match=path[-1]):
        replace_value(FLOW, path, 1)


def test_empty_text_has_no_keys():
    with pytest.raises(KeyError):
        replace_value("", ("a",), 1)


@pytest.mark.parametrize("text", [FLOW, BLOCK, SCALAR, "b:\n  c: 1"])
@pytest.mark.parametrize("value", [{"n": 5, "l": 2.5}, None])
def test_a_new_key_stands_behind_another(text, value):
    before, _ = parse_yaml(text, "before")
    changed = insert_value(text, ("b", "c"), "new", value)
    after, _ = parse_yaml(changed, "after")
    assert after == {**before, "b": {**before["b"], "new": value}}
    assert list(after["b"]).index("new") == list(after["b"]).index("c") + 1
    assert [line for line in changed.splitlines() if "new" not in line] == [
        line for line in text.splitlines() if text is BLOCK or "c:" not in line or "\n  c: 1" in text
    ]
    with pytest.raises(KeyError, match="x"):
        insert_value(text, ("b", "x"), "new", value)
