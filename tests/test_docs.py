"""The pages for readers name files and functions that exist."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks/README.md",
    *sorted((ROOT / "examples").rglob("README.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.])mlff_dyn/[\w./-]*\w")
DOTTED = re.compile(r"(?<![\w/.])mlff_dyn(?:\.[A-Za-z_]\w*)+")


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for n_module in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:n_module]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[n_module:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {link.partition("#")[0] for link in LINK.findall(text) if "://" not in link}
    missing = [link for link in links if link and not (page.parent / link).exists()]
    missing += [path for path in set(PATH.findall(text)) if not (ROOT / path).exists()]
    missing += [name for name in set(DOTTED.findall(text)) if not exists(name)]
    assert not missing, f"{page.name} names what does not exist: {', '.join(sorted(missing))}"
