"""`init` of a structure: the configuration it writes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from tests.cli.conftest import Workflow

SI = Path(__file__).parents[2] / "configs" / "structures" / "Si.vasp"


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["init", *(str(arg) for arg in args)])


@pytest.fixture
def structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A structure file in a fresh working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "Si.vasp"
    path.write_text(SI.read_text())
    return path


def test_the_written_configuration_is_the_one_that_is_used(workflow: Workflow, structure: Path) -> None:
    result = run("Si.vasp", "--set", "structure.supercell=[3, 3, 3]", "--seed", "5")
    assert result.exit_code == 0, result.stderr
    written = structure.with_name("CONFIG.yaml")
    (config,), _ = workflow.calls[0]
    assert config == load_config(written)
    assert config.structure.file == structure
    assert config.structure.supercell == ((3, 0, 0), (0, 3, 0), (0, 0, 3))
    assert config.seed == 5
    assert config.require_engine().parameters["pseudopotentials"] == {"Si": "Si.UPF"}
    assert "file: Si.vasp\n" in written.read_text()


def test_the_configuration_goes_where_output_says(workflow: Workflow, structure: Path) -> None:
    assert run("Si.vasp", "-o", "setup/Si.yaml").exit_code == 0
    written = structure.parent / "setup" / "Si.yaml"
    assert load_config(written).structure.file.resolve() == structure
    assert load_config(written).run_dir == structure.parent / "setup" / "run"
    assert not structure.with_name("CONFIG.yaml").exists()
    assert len(workflow.calls) == 1


def test_init_again_touches_nothing_and_never_overwrites_unasked(workflow: Workflow, structure: Path) -> None:
    assert run("Si.vasp").exit_code == 0
    written = structure.with_name("CONFIG.yaml")
    before = written.stat()
    assert run("Si.vasp").exit_code == 0
    assert written.stat().st_mtime_ns == before.st_mtime_ns
    mine = written.read_text().replace("seed: 1", "seed: 2")
    written.write_text(mine)
    refused = run("Si.vasp")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert written.read_text() == mine
    assert run("CONFIG.yaml").exit_code == 0
    assert workflow.calls[-1][0][0].seed == 2
    assert run("Si.vasp", "--force").exit_code == 0
    assert load_config(written).seed == 1


def test_dry_run_writes_nothing(workflow: Workflow, structure: Path) -> None:
    result = run("Si.vasp", "-n")
    assert result.exit_code == 0
    assert "cutoffs_angstrom: {2: full" in result.stderr
    assert list(structure.parent.iterdir()) == [structure]
    assert workflow.calls[0][1] == {"dry_run": True, "again": "mlff-dyn init Si.vasp --force"}


def test_bad_input_is_refused(workflow: Workflow, structure: Path) -> None:
    assert run("none.vasp").exit_code == 3
    structure.write_text("not a structure\n")
    broken = run("Si.vasp")
    assert (broken.exit_code, broken.stdout) == (3, "")
    assert broken.stderr.startswith("error: structure file Si.vasp")
    assert run("CONFIG.yaml", "-o", "other.yaml").exit_code == 2
    structure.write_text(SI.read_text())
    unknown = run("Si.vasp", "--set", "md.n_step=3")
    assert unknown.exit_code == 2
    assert "did you mean md.n_steps?" in unknown.stderr
    assert list(structure.parent.iterdir()) == [structure]
    assert workflow.calls == []
