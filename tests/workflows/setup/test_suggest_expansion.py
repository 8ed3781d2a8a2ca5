"""`init --suggest`: the configuration afterwards is the suggested one, and nothing else of it changed."""

import json
from pathlib import Path

import ase.io
import pytest
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.store.dataset import write_snapshots
from mlff_dyn.store.lock import RunLock
from tests.models import copper, emt_snapshots
from tests.workflows.training_project import refused

CONFIG = """\
structure: {file: Cu.vasp, supercell: [2, 2, 2]}
expansion:
  cutoffs_angstrom: {2: full, 3: 2.7}  # a first guess
seed: 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "Cu.vasp", copper(), format="vasp", direct=True)
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    write_snapshots(tmp_path / "frames.extxyz", emt_snapshots((2, 2, 2), (0.06, 0.06, 0.06)))
    return tmp_path


def init(project: Path, *args: object) -> Result:
    return CliRunner().invoke(app, ["init", str(project / "c.yaml"), "--json", "--suggest", *map(str, args)])


def test_the_suggestion_is_written_and_stays(project: Path) -> None:
    result = init(project, "--dataset", project / "frames.extxyz")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    text = (project / "c.yaml").read_text(encoding="utf-8")
    config = load_config(project / "c.yaml")
    written = {str(order): cutoff for order, cutoff in config.expansion.cutoffs_angstrom.items()}
    assert json.loads(json.dumps(written)) == report["suggested_cutoffs_angstrom"]
    assert report["status"] == "written"
    assert "# a first guess" in text
    assert len(report["trials"]) >= 3
    again = json.loads(init(project, "--dataset", project / "frames.extxyz").stdout)
    assert again["status"] == "unchanged"
    assert (project / "c.yaml").read_text(encoding="utf-8") == text


def test_a_dry_run_writes_nothing(project: Path) -> None:
    result = init(project, "--dataset", project / "frames.extxyz", "--dry-run")
    assert json.loads(result.stdout)["status"] == "dry run"
    assert (project / "c.yaml").read_text(encoding="utf-8") == CONFIG


def test_a_run_directory_at_work_is_not_read(project: Path) -> None:
    before = (project / "c.yaml").read_bytes()
    with RunLock(load_config(project / "c.yaml", []).run_dir):
        refused(init(project, "--dataset", project / "frames.extxyz"), 2, "in use by process")
    assert (project / "c.yaml").read_bytes() == before


def test_without_frames_it_says_what_to_do(project: Path) -> None:
    refused(init(project), 3, "no labelled snapshots", "--dataset")
    refused(init(project, "--dataset", project / "none.extxyz"), 3, "none.extxyz does not exist")


def test_a_structure_alone_is_refused_before_anything_is_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    before = sorted(project.iterdir())
    result = CliRunner().invoke(app, ["init", "Cu.vasp", "--suggest"])
    assert result.exit_code == 2
    assert sorted(project.iterdir()) == before
