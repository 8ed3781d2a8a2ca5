"""Training ends with a verdict only after calculations that tested it, and says what is unstable."""

import json
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.journal import read_journal
from mlff_dyn.store.model_file import write_model
from mlff_dyn.store.trajectory import read_trajectory
from tests.models import crystal_of, fitted_to_harmonic, spring_hessian
from tests.workflows.conftest import invoke
from tests.workflows.training_project import Train


@pytest.fixture
def cases(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the inputs beside the data; the test is skipped where they are missing."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/cases is not here")
    monkeypatch.syspath_prepend(tmp_path / "cases")
    return Path(shutil.copytree(folder, tmp_path / "cases"))


def scores_by_temperature(run: Path) -> dict[float, list[float]]:
    scores = defaultdict(list)
    for snapshot in read_snapshots(run / "dataset.extxyz"):
        label = snapshot.provenance
        if label.temperature_kelvin is not None and label.score is not None:
            scores[label.temperature_kelvin].append(label.score)
    return scores


def test_truncation_is_judged_after_two_predicted_calculations(cases: Path) -> None:
    """The crystal of the double well leaves out half of the forces; its imaginary mode is at q = 0."""
    result = invoke("train", cases / "double_well.yaml", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["status"]) == (4, "limited by the expansion")
    scores = scores_by_temperature(cases / "run-double-well")
    limited = {
        event["temperature_kelvin"]
        for event in read_journal(cases / "run-double-well" / "journal.jsonl")
        if event["event"] == "explored" and event["reason"].startswith("the expansion leaves out")
    }
    assert limited
    for temperature in limited:
        assert len(scores[temperature]) >= 2
        assert max(scores[temperature][-2:]) < 2.0
    (line,) = (line for line in answer["warnings"] if "imaginary" in line)
    assert "THz at q = (0, 0, 0)" in line


def test_unstable_dynamics_are_named(cases: Path) -> None:
    """A cubic expansion of aluminium has no bound below, so its dynamics at 800 K runs away."""
    result = invoke("train", cases / "budget_nan.yaml", "--json")
    assert result.exit_code == 4
    answer = json.loads(result.stdout)
    assert json.loads((cases / "run-budget" / "train.json").read_text())["status"] == answer["status"]
    (line,) = (line for line in answer["warnings"] if "800 K" in line and "unstable" in line)
    assert "(Al) is " in line


@pytest.mark.parametrize("n_steps", [1, 600])
def test_few_steps_are_no_verdict(folder: Path, train: Train, n_steps: int) -> None:
    result = train("--set", f"training.n_steps={n_steps}")
    assert json.loads(result.stdout)["status"] == "converged"
    scores = scores_by_temperature(folder / "run")
    assert set(scores) == {200.0, 400.0}
    assert all(own[-1] < 2.0 for own in scores.values())


def test_an_unstable_prior_is_said_at_once(tmp_path: Path) -> None:
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    write(tmp_path / "Cu.vasp", atoms, format="vasp", direct=True)
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 3.0}, torus)
    for name, across in (("stable", 0.2), ("unstable", -0.3)):
        hessian = spring_hessian(torus, {3.6 / np.sqrt(2): (1.0, across)})
        write_model(tmp_path / f"{name}.h5", fitted_to_harmonic(basis, torus, hessian), {})
        (tmp_path / "c.yaml").write_text(
            "structure: {file: Cu.vasp, supercell: [2, 2, 2]}\n"
            "expansion: {cutoffs_angstrom: {2: 3.0}}\n"
            f"training: {{prior: {{model: {name}.h5}}}}\n",
            encoding="utf-8",
        )
        warnings = json.loads(invoke("init", tmp_path / "c.yaml", "--json", "--dry-run").stdout)["warnings"]
        assert len(warnings) == (name == "unstable")
        assert all("unstable.h5: order 2 has 20 imaginary modes" in line for line in warnings)


def test_aluminium_runs_where_it_moves_far(cases: Path) -> None:
    """At 800 K an atom goes beyond 0.3 of the bond length, as it does in the crystal itself."""
    config = cases / "aluminium.yaml"
    config.write_text(
        "structure: {file: Al.vasp, supercell: [2, 2, 2]}\n"
        "expansion: {cutoffs_angstrom: {2: full, 3: 2.9, 4: 2.9}}\n"
        'engine: {kind: ase, parameters: {calculator: "ase.calculators.emt:EMT"}}\n'
        "training: {temperatures_kelvin: [800], criterion: {force_error_limit_relative: 0.1}}\n"
        "md: {temperatures_kelvin: [800], timestep_femtoseconds: 2, n_steps: 100000}\n",
        encoding="utf-8",
    )
    trained = invoke("train", config, "--json")
    assert (trained.exit_code, json.loads(trained.stdout)["status"]) == (0, "converged")
    assert invoke("run-md", config).exit_code == 0
    moved = read_trajectory(cases / "run/md/800K-1/trajectory.h5").displacements
    assert np.linalg.norm(moved, axis=2).max() > 0.3 * 3.99 / np.sqrt(2)
