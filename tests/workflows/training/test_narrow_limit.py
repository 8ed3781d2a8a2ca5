"""A displacement limit that thermal motion exceeds: no budget is spent on frames that are predicted well."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.config.load import load_config
from mlff_dyn.store.provenance import LEFT_TRUSTED_REGION, Provenance
from mlff_dyn.training.exploration import Exploration
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.training.walk import Frames, no_frames
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.departures import AT_LIMIT, Departures
from tests.workflows.training_project import Train, n_runs

LIMIT = ("--set", "training.temperatures_kelvin=[400]", "--set", "md.displacement_limit_angstrom=0.25")
IN_VAIN = Provenance(
    calculation="0001",
    reason=LEFT_TRUSTED_REGION,
    temperature_kelvin=400.0,
    found_force_error_ev_per_angstrom=0.01,
    found_force_error_relative=0.02,
)


def test_a_training_ends_and_says_which_limit_suits(folder: Path, train: Train) -> None:
    result = train(*LIMIT)
    told = json.loads(result.stdout)
    assert result.exit_code == 4, result.stderr
    assert told["status"] == "md.displacement_limit_angstrom is too small"
    assert told["temperatures"][0]["status"] == AT_LIMIT
    assert n_runs(folder) <= 2 + 1 + LIMITS.most_out_in_vain
    (line,) = told["warnings"]
    enough = re.search(r"set it to (\S+), or leave it out", line)
    assert enough is not None
    known, labelled = n_runs(folder), (folder / "run/dataset.extxyz").read_bytes()
    again = train(*LIMIT)
    assert (again.exit_code, n_runs(folder)) == (4, known)
    result = train(*LIMIT, "--set", f"md.displacement_limit_angstrom={enough.group(1)}")
    assert result.exit_code == 0, result.stdout
    assert json.loads(result.stdout)["status"] == "converged"
    assert (folder / "run/dataset.extxyz").read_bytes().startswith(labelled)


@pytest.mark.parametrize(
    ("given", "asked", "found", "n_known", "is_excused"),
    [
        (0.25, 0.1, 0.02, 3, True),
        (0.25, 0.1, 0.02, 2, False),
        (0.25, 0.1, 0.2, 3, False),
        (0.25, 1e-4, 5e-5, 3, False),
        (5.0, 0.1, 0.02, 3, False),
        (None, 0.1, 0.02, 3, False),
    ],
)
def test_only_what_is_predicted_well_short_of_a_usual_limit_is_let_go(
    folder: Path,
    train: Train,
    given: float | None,
    asked: float,
    found: float,
    n_known: int,
    is_excused: bool,
) -> None:
    assert train("--set", "training.max_calculations=3").exit_code in (0, 4)
    value = "null" if given is None else given
    overrides = (
        f"md.displacement_limit_angstrom={value}",
        f"training.criterion.force_error_limit_relative={asked}",
    )
    config = load_config(folder / "c.yaml", overrides)
    workspace = Workspace(config)
    torus = workspace.training_torus
    u = 0.02 * np.random.default_rng(1).standard_normal((1, torus.n_atoms, 3))
    left = Exploration(LEFT_TRUSTED_REGION, Frames(u), no_frames(torus.n_atoms), 10, None, "it left")
    departures = Departures(config)
    known = n_known * [replace(IN_VAIN, found_force_error_relative=found)]
    judged = departures.judged(400.0, 0, left, workspace.read_model().on(torus), known)
    assert departures.is_too_narrow == is_excused
    assert judged.reason == (AT_LIMIT if is_excused else LEFT_TRUSTED_REGION)
    assert len(judged.to_label) == (0 if is_excused else 1)
    (line,) = departures.warnings()
    assert ("is unstable" in line) == (not is_excused)
