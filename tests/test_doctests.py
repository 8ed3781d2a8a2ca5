"""The examples in docstrings run and give what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mlff_dyn"
MODULES = sorted(
    ".".join(source.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for source in PACKAGE.rglob("*.py")
    if ">>> " in source.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed
