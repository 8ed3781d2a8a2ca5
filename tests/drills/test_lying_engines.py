"""Engines whose forces are wrong from some calculation on: named within two calculations."""

import re
from pathlib import Path

import pytest

from tests.drills.copper_project import invoke, make_project
from tests.workflows.lying_calculator import lying

pytestmark = pytest.mark.drill

LIES = {
    "scaled": (4, 10**6),
    "noisy": (4, 10**6),
    "swapped": (1, 10**6),
    "zero": (4, 4),
}
"""First and last calculation with wrong forces."""
MOST_CALCULATIONS_LATER = 2
SETTINGS = (
    "expansion.cutoffs_angstrom={2: full, 3: 2.7, 4: {2: 2.7}}",
    "training.criterion.force_error_limit_relative=0.1",
    "training.n_steps=1200",
)


@pytest.mark.parametrize("has_local_part", [False, True], ids=["lattice", "local"])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("how", LIES)
def test_a_lie_is_named(tmp_path: Path, how: str, seed: int, *, has_local_part: bool) -> None:
    folder = make_project(tmp_path / "project", has_local_part=has_local_part)
    first, last = LIES[how]
    settings = (lying(how, first, last, noise=0.1), *SETTINGS, f"seed={seed}")
    result = invoke(folder, "train", "c.yaml", *(word for text in settings for word in ("--set", text)))
    text = " ".join(result.stderr.split())
    is_set_aside = re.search(r"calculation (\d+) is set aside and made again", text)
    assert is_set_aside or result.exit_code in (3, 5), text
    n_calculations = len((folder / "runs").read_text().split())
    if last > first:
        assert result.exit_code in (3, 5), text
        assert n_calculations <= max(first, 3) + MOST_CALCULATIONS_LATER, text
    else:
        assert is_set_aside is not None
        assert int(is_set_aside[1]) == first
