"""Training whose data choose the orders: what is not in use is not in the model, and every verb knows it."""

import json
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.store.model_file import read_model, write_model
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper, crystal_of, emt_snapshots
from tests.workflows.training.test_train_killed import data, events, finish, start
from tests.workflows.training_project import Train, refused

GROWING = ("--set", "training.fit.growing_orders=true")


def verb(folder: Path, *arguments: object) -> Result:
    return CliRunner().invoke(
        app, [*map(str, arguments[:1]), str(folder / "c.yaml"), *map(str, arguments[1:])]
    )


@pytest.fixture
def harmonic(folder: Path) -> tuple[str, ...]:
    """Options of a training that learns growing orders from an engine that is harmonic."""
    crystal = crystal_of(copper())
    torus = input_supercell(crystal, (2, 2, 2))
    basis = build_basis(crystal, {2: 2.7}, torus)
    frames = frames_of_snapshots(Path("emt"), emt_snapshots((2, 2, 2), (0.05, 0.05)), Expansion(basis))
    write_model(folder / "harmonic.h5", fit_force_field(basis, FitData(frames)), {})
    engine = (
        f"{{kind: ase, parameters: {{calculator: 'mlff_dyn:load_calculator', "
        f"arguments: {{path: {folder / 'harmonic.h5'}}}}}}}"
    )
    return "--set", f"engine={engine}", *GROWING


def test_a_harmonic_crystal_has_a_harmonic_model(folder: Path, harmonic: tuple[str, ...]) -> None:
    """Journal, answer, status and report name the orders; dynamics, convergence and exports use the model."""
    done = verb(folder, "train", *harmonic, "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["orders"]["orders"] == [2]
    assert list(answer["orders"]["log_evidences"]) == ["2", "3", "4"]
    assert max(answer["orders"]["log_evidences"].values()) == answer["log_evidence"]
    model, _ = read_model(folder / "run/model.h5")
    assert model.basis.orders == (2,)
    assert answer["n_parameters"] == model.basis.n_parameters
    told = [event for event in events(folder, "run") if event["event"] == "orders"]
    assert [event["n_snapshots"] for event in told] == list(range(1, answer["n_labelled"] + 1))
    assert answer["orders"].items() <= told[-1].items()
    assert json.loads(verb(folder, "status", *harmonic, "--json").stdout)["orders"] == answer["orders"]
    assert "orders in use" in verb(folder, "train", *harmonic).stdout
    assert verb(folder, "report", *harmonic).exit_code == 0
    assert "orders in use" in (folder / "run/report.html").read_text(encoding="utf-8")
    short = ("--set", "md.n_steps=400", "--set", "convergence.n_steps=1000")
    assert verb(folder, "run-md", *harmonic, *short).exit_code == 0
    assert verb(folder, "check-convergence", *harmonic, *short).exit_code == 0
    assert verb(folder, "export", *harmonic, "--format", "phonopy", "-o", folder / "phonopy").exit_code == 0
    export = verb(folder, "export", *harmonic, "--format", "phono3py", "-o", folder / "phono3py")
    refused(export, 3, "has no order 3, only 2", "training.fit.growing_orders")
    assert not (folder / "phono3py").exists()


def test_a_killed_training_chooses_the_same(folder: Path, harmonic: tuple[str, ...], train: Train) -> None:
    names = ("straight", "9", "-14")
    for name in names[1:]:
        killed = start(folder, name, *harmonic, KILL_AT_RENAME=int(name))
        assert finish(killed) == -signal.SIGKILL
    for name in names:
        assert train(*harmonic, "--run-dir", folder / name).exit_code == 0
        assert data(folder, name) == data(folder, "straight")
        assert (folder / name / "model.h5").read_bytes() == (folder / "straight/model.h5").read_bytes()
    choices = [
        [event["orders"] for event in events(folder, name) if event["event"] == "orders"] for name in names
    ]
    assert choices[0] == choices[1] == choices[2]


def test_with_all_orders_in_use_nothing_changes(folder: Path, train: Train) -> None:
    """The engine has every order: data and model are those of a training without the option, to the byte."""
    plain = json.loads(train().stdout)
    growing = json.loads(train(*GROWING, "--run-dir", folder / "growing").stdout)
    assert plain["orders"] is None
    assert growing["orders"]["orders"] == [2, 3, 4]
    for name in ("dataset.extxyz", "model.h5"):
        assert (folder / "growing" / name).read_bytes() == (folder / "run" / name).read_bytes()


def test_it_is_refused_where_order_3_is_needed(train: Train) -> None:
    result = train(*GROWING, "--set", "training.criterion.kind=observable")
    refused(result, 2, "training.fit.growing_orders", "order 3")


def test_a_static_fit_chooses_too(folder: Path, train: Train, harmonic: tuple[str, ...]) -> None:
    assert train(*harmonic).exit_code == 0
    static = (
        *harmonic,
        "--static",
        "--dataset",
        folder / "run/dataset.extxyz",
        "--run-dir",
        folder / "static",
    )
    answer = json.loads(train(*static).stdout)
    assert answer["orders"]["orders"] == [2]
