"""`init --suggest`: the configuration afterwards is the suggested one, and nothing else of it changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.config.schema import ExpansionConfig
from mlff_dyn.model.search.time_limit import TimeLimit
from mlff_dyn.store.dataset import write_snapshots
from mlff_dyn.store.lock import RunLock
from tests.models import copper, emt_snapshots
from tests.workflows.training_project import refused

INTERRUPTED = """
import os, signal, sys
from mlff_dyn.model.search import expansion_search
fit, fits = expansion_search.try_expansion, []
def interrupted(*args):
    fits.append(args)
    if len(fits) == {at}:
        os.kill(os.getpid(), signal.SIGINT)
    return fit(*args)
expansion_search.try_expansion = interrupted
from mlff_dyn.__main__ import main
sys.argv = ["mlff-dyn", "init", "c.yaml", "--suggest", "--dataset", "frames.extxyz", "--json"]
main()
"""
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
    assert report["search"] == "complete"
    assert config.expansion.local is not None
    assert report["suggested_local"] == config.expansion.local.model_dump()
    without = [each for each in report["trials"] if each["local"] is None]
    best = min(each["held_out_error_relative"] for each in report["trials"])
    assert best < 0.7 * min(each["held_out_error_relative"] for each in without)
    again = json.loads(init(project, "--dataset", project / "frames.extxyz").stdout)
    assert again["status"] == "unchanged"
    assert (project / "c.yaml").read_text(encoding="utf-8") == text


def test_the_table_is_in_columns_and_up_to_order_3_fits_a_terminal(project: Path) -> None:
    command = ["init", str(project / "c.yaml"), "--suggest", "--dataset", str(project / "frames.extxyz")]
    result = CliRunner().invoke(app, [*command, "--dry-run", "--minutes", "0.2"])
    assert result.exit_code == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    trials = [row for row in rows if " µs  {2: " in row]
    assert {row.index("{2: ") for row in trials} == {header.index("cutoffs")}
    assert {row.index(" %") + 2 for row in trials} == {header.index("error") + len("error")}
    assert any("{2: full} + local " in row for row in trials)
    assert max(len(row) for row in [header, *rows] if ", 4: " not in row) <= 80, result.stdout


def test_a_dry_run_writes_nothing(project: Path) -> None:
    result = init(project, "--dataset", project / "frames.extxyz", "--dry-run", "--minutes", "0.1")
    assert json.loads(result.stdout)["status"] == "dry run"
    assert (project / "c.yaml").read_text(encoding="utf-8") == CONFIG


def test_a_run_directory_at_work_is_not_read(project: Path) -> None:
    before = (project / "c.yaml").read_bytes()
    run_dir = load_config(project / "c.yaml", []).run_dir
    run_dir.mkdir()
    (run_dir / "dataset.extxyz").write_bytes((project / "frames.extxyz").read_bytes())
    with RunLock(run_dir):
        refused(init(project), 2, "in use by process")
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


def written(project: Path) -> ExpansionConfig:
    return load_config(project / "c.yaml").expansion


def test_atoms_far_from_their_sites_have_no_local_part(project: Path) -> None:
    """An atom beyond half a bond: force constants alone are compared."""
    frames = emt_snapshots((2, 2, 2), (0.06, 0.06, 0.06))
    frames[0].positions[0] += (0.0, 0.0, 1.35)
    write_snapshots(project / "frames.extxyz", frames)
    report = json.loads(init(project, "--dataset", project / "frames.extxyz").stdout)
    assert {json.dumps(each["local"]) for each in report["trials"]} == {"null"}
    assert written(project).local is None


def test_out_of_time_it_says_what_it_has(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits that are expected to take too long: the first is made, the configured one is left out."""
    monkeypatch.setattr(TimeLimit, "expected_seconds", lambda *_: 1e3)
    report = json.loads(init(project, "--dataset", project / "frames.extxyz", "--minutes", "1").stdout)
    assert len(report["trials"]) == 1
    assert report["skipped"][0]["expected_seconds"] == 1e3
    assert report["status"] == "not written"
    assert (project / "c.yaml").read_text(encoding="utf-8") == CONFIG
    people = CliRunner().invoke(
        app,
        ["init", str(project / "c.yaml"), "--suggest", "--dataset", str(project / "frames.extxyz"), "-n"],
    )
    assert "left out" in people.stdout


@pytest.mark.parametrize(("at", "status", "n_trials"), [(2, "not written", 1), (5, "written", 4)])
def test_ctrl_c_keeps_the_best_so_far(project: Path, at: int, status: str, n_trials: int) -> None:
    """What is configured is replaced only by what was compared with it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(at=at)],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "interrupted; the search ends with what it has" in done.stderr
    report = json.loads(done.stdout)
    assert (report["search"], report["status"]) == ("interrupted", status)
    assert len(report["trials"]) == n_trials
    if status == "written":
        assert report["suggested_local"] is not None
        local = written(project).local
        assert local is not None
        assert report["suggested_local"] == local.model_dump()
    else:
        assert (project / "c.yaml").read_text(encoding="utf-8") == CONFIG


def test_minutes_go_with_a_search(project: Path) -> None:
    result = CliRunner().invoke(app, ["init", str(project / "c.yaml"), "--minutes", "1"])
    assert result.exit_code == 2
    assert "--suggest" in result.stderr
