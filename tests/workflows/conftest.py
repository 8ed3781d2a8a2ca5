"""Run directories of copper: with a model, trained once on EMT forces by the command line, and without."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import ase.io
import pytest
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.config.schema import Config
from mlff_dyn.report.html_page import Part, Text
from mlff_dyn.store.dataset import write_snapshots
from tests.models import copper, emt_snapshots
from tests.workflows.training_project import Train, command_of, make_project

CONFIG = """\
structure: {file: Cu.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 3.0, 4: {2: 3.0}}}
md: {temperatures_kelvin: [300], n_steps: 400, sample_every: 5, timestep_femtoseconds: 2.0}
convergence: {force_error_limit_relative: 0.1, n_replicas: 2, n_steps: 700}
seed: 7
"""


def invoke(*args: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copper")
    ase.io.write(folder / "Cu.vasp", copper(), format="vasp", direct=True)
    (folder / "CONFIG.yaml").write_text(CONFIG, encoding="utf-8")
    write_snapshots(folder / "frames.extxyz", emt_snapshots((2, 2, 2), (0.05, 0.08, 0.1, 0.12, 0.15)))
    write_snapshots(folder / "test.extxyz", emt_snapshots((2, 2, 3), (0.05, 0.09), seed=2))
    result = invoke(
        "train", folder / "CONFIG.yaml", "--dataset", folder / "frames.extxyz", "--static", "--json"
    )
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def project(trained_folder: Path, tmp_path: Path) -> Path:
    """A copy of it that the test may change."""
    return Path(shutil.copytree(trained_folder, tmp_path / "project"))


@pytest.fixture
def config(project: Path) -> Config:
    return load_config(project / "CONFIG.yaml", [])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that `train` has not seen yet."""
    return make_project(tmp_path, monkeypatch)


@pytest.fixture
def train(folder: Path) -> Train:
    """Its command line."""
    return command_of(folder)


def outline(parts: Iterable[Part]) -> str:
    """Parts of a page as text, drawn by `name_of_picture`."""
    return "".join(part.to_html() for part in parts)


def name_of_picture(name: str, _caption: str, _plot: object) -> Text:
    """Stand in the place of a picture, which takes a second to draw."""
    return Text(name)
