"""`train` with a prior guess, from every kind of source."""

import json
from collections import Counter
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.store.journal import read_journal
from mlff_dyn.store.model_file import read_model, write_model
from tests.models import copper, random_force_field
from tests.workflows.soft_calculator import SOFTNESS
from tests.workflows.training.test_train_killed import start
from tests.workflows.training_project import Train, content, n_runs, refused

N_FRAMES = 20
CHEAP = (
    "{engine: {kind: ase, parameters: {calculator: 'tests.workflows.soft_calculator:SoftEMT'}}, n_frames: 20}"
)
ONE_CALCULATION = ("--set", "training.initial.n=1", "--set", "training.max_calculations=1")


def test_the_scales_of_a_cheap_engine_are_found(folder: Path, train: Train) -> None:
    """One calculation tells them; they are in report, model and journal, and nothing runs twice."""
    result = train(*ONE_CALCULATION, "--set", f"training.prior={CHEAP}")
    assert result.exit_code == 4, result.stderr
    prior = json.loads(result.stdout)["prior"]
    assert prior["used"]
    for scale in prior["scales"].values():
        assert scale == pytest.approx(1 / SOFTNESS, rel=0.15)
    assert prior["scales"]["2"] == pytest.approx(1 / SOFTNESS, rel=0.05)
    assert n_runs(folder) == N_FRAMES + 1
    model, _ = read_model(folder / "run/model.h5")
    assert model.prior_guess is not None
    assert model.prior_guess.to_json() == prior
    events = [event for event in read_journal(folder / "run/journal.jsonl") if event["event"] == "prior"]
    assert events[-1]["scales"] == prior["scales"]
    before = content(folder)
    again = train(*ONE_CALCULATION, "--set", f"training.prior={CHEAP}")
    assert json.loads(again.stdout)["prior"] == prior
    assert content(folder)["run/dataset.extxyz"] == before["run/dataset.extxyz"]
    assert n_runs(folder) == N_FRAMES + 1


def test_a_finished_run_with_a_prior_is_up_to_date(folder: Path, train: Train) -> None:
    settings = ("--set", "training.initial.n=1", "--set", f"training.prior={CHEAP}")
    assert train(*settings).exit_code == 0
    before = content(folder)
    assert train(*settings).exit_code == 0
    assert content(folder) == before


def test_kills_while_the_cheap_engine_runs(tmp_path: Path) -> None:
    """Killed in the middle of two cheap calculations: only those run again, the data are the same."""
    ase.io.write(tmp_path / "Cu.vasp", copper(), format="vasp", direct=True)
    (tmp_path / "c.yaml").write_text(
        f"""\
structure: {{file: Cu.vasp, supercell: [2, 2, 2]}}
expansion: {{cutoffs_angstrom: {{2: full, 3: 2.7}}}}
engine: {{kind: ase, parameters: {{calculator: "tests.workflows.counting_calculator:CountingEMT"}}}}
training:
  n_steps: 800
  max_calculations: 2
  initial: {{n: 1}}
  prior: {CHEAP}
""",
        encoding="utf-8",
    )
    for killed_in in (5, 17):
        start(tmp_path, "killed", KILL_IN_RUN=killed_in).communicate()
    for run_dir in ("killed", "whole"):
        start(tmp_path, run_dir).communicate()
    data = [(tmp_path / run_dir / "dataset.extxyz").read_bytes() for run_dir in ("killed", "whole")]
    assert data[0] == data[1]
    runs = Counter((tmp_path / "killed.runs").read_text(encoding="utf-8").split())
    whole = Counter((tmp_path / "whole.runs").read_text(encoding="utf-8").split())
    assert set(runs) == set(whole)
    assert sum(runs.values()) == sum(whole.values()) + 2


def test_a_model_of_another_cell_is_a_source(folder: Path, train: Train) -> None:
    """The model of another supercell of the same crystal."""
    settings = ("--set", "structure.supercell=[3, 2, 2]")
    assert train(*settings, "--run-dir", folder / "source").exit_code == 0
    with_model = ("--set", "training.initial.n=1", "--set", "training.prior={model: source/model.h5}")
    result = train(*with_model)
    assert result.exit_code == 0, result.stderr
    prior = json.loads(result.stdout)["prior"]
    assert set(prior["scales"]) == {"2", "3", "4"}
    assert prior["scales"]["2"] == pytest.approx(1.0, abs=0.1)


def test_sources_that_cannot_be_used_are_refused(folder: Path, train: Train) -> None:
    refused(train("--set", "training.prior={model: absent.h5}"), 3, "absent.h5")
    refused(train("--set", "training.prior={phonopy: absent.yaml}"), 3, "absent.yaml")
    refused(train("--set", "training.prior={}"), 2, "one source")
    refused(
        train("--set", "training.prior={model: a.h5, phonopy: b.yaml}"), 2, "training.prior", "one source"
    )
    other, _ = random_force_field(bulk("Cu", "bcc", a=2.9), (3, 3, 3), {2: 3.0})
    write_model(folder / "other.h5", other, {})
    refused(train("--set", "training.prior={model: other.h5}"), 3, "other.h5", "space group")
    damaged, _ = random_force_field(copper(), (2, 2, 2), {2: "full"})
    damaged.posterior.mean[3] = np.nan
    write_model(folder / "damaged.h5", damaged, {})
    refused(train("--set", "training.prior={model: damaged.h5}"), 3, "damaged.h5", "finite numbers")
