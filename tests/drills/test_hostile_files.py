"""Data files that ask for commands to be run: refused, and nothing is run."""

from pathlib import Path

import numpy as np
import pytest

from tests.drills.copper_project import VERBS, faults_of_ending, invoke, make_project

pytestmark = pytest.mark.drill

COMMANDS = (
    "!!python/object/apply:os.system ['touch {mark}']",
    "!!python/object/new:os.system ['touch {mark}']",
    "!!python/object/apply:subprocess.check_output [[touch, '{mark}']]",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {mark}']",
    "!!python/object/apply:builtins.eval [\"__import__('os').system('touch {mark}')\"]",
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{mark}']]",
)
PRIORS = ("phonopy", "phono3py")


def hostile(whole: str, command: str, generator: np.random.Generator) -> str:
    """A text with a command in a random place: a value, a line of its own, or all there is."""
    lines = whole.splitlines()
    place = int(generator.integers(len(lines) + 1))
    return "\n".join([*lines[:place], f"x{place}: {command}", *lines[place:]]) + "\n"


@pytest.fixture(scope="module")
def phonopy_yaml(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = make_project(tmp_path_factory.mktemp("exported"))
    assert invoke(folder, *VERBS["train"]).exit_code == 0
    assert invoke(folder, *VERBS["export"]).exit_code == 0
    (path,) = (folder / "exported").glob("*.yaml")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_of_a_yaml_file_is_run(tmp_path: Path, phonopy_yaml: str, command: str, seed: int) -> None:
    folder, mark = make_project(tmp_path / "project"), tmp_path / "mark"
    own = command.format(mark=mark)
    generator = np.random.default_rng(seed)
    for text in (own, f"phonopy: {own}\n", hostile(phonopy_yaml, own, generator)):
        (folder / "prior.yaml").write_text(text, encoding="utf-8")
        for kind in PRIORS:
            result = invoke(folder, *VERBS["train"], "--set", f"training.prior.{kind}=prior.yaml")
            assert not mark.exists(), (kind, text)
            assert result.exit_code in (2, 3), result.stderr
            assert not faults_of_ending(result.exit_code, result.stderr)
    config = (folder / "c.yaml").read_text(encoding="utf-8")
    (folder / "c.yaml").write_text(hostile(config, own, generator), encoding="utf-8")
    result = invoke(folder, *VERBS["train"])
    assert not mark.exists()
    assert result.exit_code == 2
    assert not faults_of_ending(result.exit_code, result.stderr)


@pytest.mark.parametrize("name", ["Cu.vasp", "test.extxyz", "run/journal.jsonl", "run/structure.yaml"])
def test_no_command_of_another_file_is_run(tmp_path: Path, name: str) -> None:
    folder, mark = make_project(tmp_path / "project"), tmp_path / "mark"
    for command in COMMANDS:
        own = command.format(mark=mark)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(own + "\n", encoding="utf-8")
        for arguments in (
            (*VERBS["train"], "--dataset", "test.extxyz", "--static"),
            ("init", name, "--output", "new.yaml"),
        ):
            result = invoke(folder, *arguments)
            assert not mark.exists(), (name, own)
            assert not [f for f in faults_of_ending(result.exit_code, result.stderr) if "line" not in f]
