"""The examples: configurations load, the command line takes every step, pages tell what to expect."""

import json
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.store.structure_file import read_structure

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(path.parent.name for path in FOLDER.glob("*/Makefile"))
CONFIGURED = [name for name in EXAMPLES if (FOLDER / name / "config.yaml").exists()]
POTCARS_OF_THE_USER = "bas-vasp"


def steps_of(folder: Path) -> list[list[str]]:
    """Commands that make would run where nothing has been made yet."""
    told = subprocess.run(["make", "-n"], cwd=folder, capture_output=True, text=True, check=True).stdout
    return [shlex.split(line) for line in told.replace("\\\n", " ").splitlines()]


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = shutil.ignore_patterns("run", "export", "held-out", "validation")
    return Path(shutil.copytree(FOLDER / request.param, tmp_path / request.param, ignore=made))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_tells_what_to_expect(name: str) -> None:
    assert "make" in (FOLDER / name / "README.md").read_text(encoding="utf-8")
    assert f"]({name}/README.md)" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CONFIGURED)
def test_a_configuration_loads_and_what_it_names_is_there(name: str) -> None:
    config = load_config(FOLDER / name / "config.yaml")
    atoms = read_structure(config.structure.file)
    engine = config.require_engine()
    files = engine.parameters.get("pseudopotentials", {})
    assert set(files) in (set(), set(atoms.symbols))
    if name != POTCARS_OF_THE_USER:
        missing = [file for file in files.values() if not Path(engine.profile["pseudo_dir"], file).exists()]
        assert not missing


@pytest.mark.parametrize("example", EXAMPLES, indirect=True)
def test_the_command_line_takes_every_step(example: Path) -> None:
    steps = steps_of(example)
    verbs = [step[1] for step in steps if step[0] == "mlff-dyn"]
    assert "train" in verbs
    root = typer.main.get_command(app)
    for _, *words in (step for step in steps if step[0] == "mlff-dyn"):
        group = root
        while hasattr(group, "commands"):
            context = typer.Context(group, info_name=words[0])
            group = group.get_command(context, words.pop(0))
            assert group is not None
        assert group.make_context(group.name, words, resilient_parsing=False).params


@pytest.mark.parametrize("example", ["si-espresso"], indirect=True)
def test_the_settings_of_a_makefile_are_a_configuration(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example)
    _, *words = next(step for step in steps_of(example) if "scf.in" in step)
    result = CliRunner().invoke(app, [*words, "-q"])
    assert result.exit_code == 0, result.stderr
    config = load_config(example / "config.yaml")
    assert config.training.max_calculations == 6
    assert np.array_equal(config.structure.supercell, np.diag([2, 2, 2]))


def test_the_expansion_is_that_of_the_volumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    temperatures, coefficient = np.array([300.0, 400.0, 600.0, 800.0]), 2.0e-5
    volumes = 27 * (4.0 * np.exp(coefficient * temperatures)) ** 3
    trajectories = [
        {"temperature_k": t, "n_atoms": 108, "volume_angstrom3": v, "volume_error_angstrom3": 1.0 + t / 300.0}
        for t, v in zip(temperatures.tolist(), volumes.tolist(), strict=True)
    ]
    (tmp_path / "md.json").write_text(json.dumps({"trajectories": trajectories}), encoding="utf-8")
    main = runpy.run_path(str(FOLDER / "al-emt/thermal_expansion.py"))["main"]
    main(tmp_path / "md.json", tmp_path / "expansion.json")
    found = json.loads((tmp_path / "expansion.json").read_text(encoding="utf-8"))
    assert found["expansion_coefficient_per_k"] == pytest.approx(coefficient, rel=1e-9)
    assert found["lattice_parameters_angstrom"][0] == pytest.approx(4.0 * np.exp(0.006))
    assert "20.0" in capsys.readouterr().out
    assert (tmp_path / "expansion.png").stat().st_size > 1000
