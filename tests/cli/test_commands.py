"""Commands: what they hand to the workflow, what they print where, and how they exit."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.errors import DataError, EngineError, Interrupted, NotConverged
from mlff_dyn.store.calculated_steps import ReadOptions
from mlff_dyn.workflows.given_labels import GivenLabels
from tests.cli.conftest import FakeReport, Workflow

CONFIG_VERBS = ["init", "train", "run-md", "check-convergence"]


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.mark.parametrize("verb", CONFIG_VERBS)
def test_stdout_is_the_table_and_stderr_has_no_traceback(
    verb: str, workflow: Workflow, config_file: Path
) -> None:
    result = run(verb, config_file)
    assert result.exit_code == 0
    assert result.stdout == "rmse of the forces  0.25 eV/Å\nstatus              done\n"
    assert "Traceback" not in result.stderr
    assert len(workflow.calls) == 1


@pytest.mark.parametrize("verb", CONFIG_VERBS)
def test_json_is_one_object_that_every_reader_accepts(
    verb: str, workflow: Workflow, config_file: Path
) -> None:
    workflow.answer = lambda *_args, **_options: FakeReport(exit_code=4)
    result = run(verb, config_file, "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout, parse_constant=pytest.fail) == {
        "schema": "mlff-dyn/fake/1",
        "status": "done",
        "rmse_force_ev_per_angstrom": 0.25,
        "forces_ev_per_angstrom": [[1.0, 0.0], [0.0, 1.0]],
        "statistical_error": None,
        "file": "model.h5",
    }


@pytest.mark.parametrize("verb", CONFIG_VERBS)
def test_options_win_over_the_file(verb: str, workflow: Workflow, config_file: Path) -> None:
    result = run(
        verb,
        config_file,
        "--set",
        "seed=2",
        "--set",
        "md.n_steps=7",
        "--seed",
        "3",
        "--run-dir",
        "a b: c",
        "-n",
    )
    assert result.exit_code == 0, result.stderr
    (config,), options = workflow.calls[0]
    assert (config.seed, config.md.n_steps) == (3, 7)
    assert config.run_dir == Path.cwd() / "a b: c"
    assert options["dry_run"] is True


def test_train_hands_over_its_options(workflow: Workflow, config_file: Path) -> None:
    frames = config_file.with_name("frames.extxyz")
    frames.touch()
    assert run("train", config_file, "--dataset", frames, "--static", "--force").exit_code == 0
    options = dict(workflow.calls[0][1])
    assert hasattr(options.pop("progress"), "update")
    expected = {"given": GivenLabels((frames,)), "static": True, "dry_run": False, "force": True}
    assert options == expected


def test_train_refuses_what_it_cannot_do_before_any_work(workflow: Workflow, config_file: Path) -> None:
    missing = run("train", config_file, "--dataset", "none.extxyz")
    assert (missing.exit_code, missing.stdout) == (3, "")
    assert "none.extxyz does not exist" in missing.stderr
    columns = run("train", config_file, "--columns", "force=a")
    assert columns.exit_code == 2
    assert "quantities are forces, energy, stress, virial" in columns.stderr
    no_frames = run("train", config_file, "--static")
    assert no_frames.exit_code == 2
    assert "--dataset" in no_frames.stderr
    no_engine = run("train", config_file, "--set", "engine=null")
    assert no_engine.exit_code == 2
    assert "no section engine" in no_engine.stderr
    assert workflow.calls == []


def test_exit_zero_turns_only_no_into_0(workflow: Workflow, config_file: Path) -> None:
    workflow.answer = lambda *_args, **_options: FakeReport(exit_code=4)
    assert run("check-convergence", config_file).exit_code == 4
    assert run("check-convergence", config_file, "--exit-zero").exit_code == 0
    workflow.answer = lambda *_args, **_options: FakeReport(exit_code=6)
    assert run("check-convergence", config_file, "--exit-zero").exit_code == 6


def test_export_takes_a_configuration_a_run_or_a_model(workflow: Workflow, config_file: Path) -> None:
    run_dir = config_file.parent / "run"
    run_dir.mkdir()
    model = run_dir / "model.h5"
    model.touch()
    given = {"format": "phonopy", "output": Path("out"), "force": True}
    rest = {"supercell": "2 2 2", "allow_unconverged": False, "dry_run": True}
    for source in (config_file, run_dir, model):
        words = ("--format", "phonopy", "-o", "out", "--force", "--supercell", "2 2 2", "--dry-run")
        result = run("export", source, *words)
        assert result.exit_code == 0, result.stderr
        (found,), options = workflow.calls[-1]
        assert getattr(found, "run_dir", source) == (run_dir if source == config_file else source)
        assert options == {**given, **rest}
    assert run("export", "nowhere", "-f", "phonopy", "-o", "out").exit_code == 3
    assert run("export", model, "-f", "phonopy", "-o", "out", "--set", "seed=1").exit_code == 2


def test_validate_hands_over_both_files(workflow: Workflow, config_file: Path) -> None:
    model, frames = config_file.with_name("model.h5"), config_file.with_name("frames.extxyz")
    model.touch()
    assert run("validate", model, frames).exit_code == 3
    frames.touch()
    assert run("validate", model, frames).exit_code == 0
    assert workflow.calls == [((model, GivenLabels((frames,)), model.parent / "validate"), {})]
    there = ("-o", model.parent / "there", "--columns", "forces=push")
    assert run("validate", model, frames, *there).exit_code == 0
    renamed = GivenLabels((frames,), ReadOptions(columns={"forces": "push"}))
    assert workflow.calls[1] == ((model, renamed, model.parent / "there"), {})


@pytest.mark.parametrize("verb", [*CONFIG_VERBS, "export", "validate"])
def test_every_verb_takes_the_options_of_the_readme(verb: str, workflow: Workflow, config_file: Path) -> None:
    run_dir = config_file.parent / "there"
    run_dir.mkdir()
    for path in (run_dir / "model.h5", config_file.with_name("frames.extxyz")):
        path.touch()
    own = {"export": ("-f", "phonopy", "-o", "out"), "validate": ("frames.extxyz",)}.get(verb, ())
    shared = ("--set", "md.n_steps=7", "--run-dir", "there", "--seed", 3, "-v", "-q")
    result = run(verb, config_file, *own, *shared)
    assert result.exit_code == 0, result.stderr
    config = workflow.calls[-1][0][0]
    assert (config.md.n_steps, config.run_dir, config.seed) == (7, run_dir, 3)
    result = run(verb, config_file, *own, *shared, "--dry-run")
    assert result.exit_code == 0, result.stderr
    args, options = workflow.calls[-1]
    assert options.get("dry_run") or args[2] is None


@pytest.mark.parametrize("verb", CONFIG_VERBS)
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--set", "md.n_step=1"], "md.n_step: unknown key; did you mean md.n_steps?"),
        (["--set", "seed"], "expected key.path=value"),
        (["--set", "md.ensemble=nph"], "'nph' is not one of"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_usage_and_configuration_errors_exit_with_2(
    verb: str, args: list[str], expected: str, workflow: Workflow, config_file: Path
) -> None:
    result = run(verb, config_file, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert workflow.calls == []


def test_a_missing_configuration_is_a_configuration_error(workflow: Workflow, config_file: Path) -> None:
    result = run("train", "none.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: cannot read the configuration none.yaml")
    assert workflow.calls == []


@pytest.mark.parametrize(
    "error",
    [
        DataError("bad file", fix="mend it"),
        EngineError("no convergence", fix="add smearing"),
        NotConverged("not yet", fix="go on"),
    ],
)
def test_an_error_becomes_one_line_and_its_exit_code(
    error: Any, workflow: Workflow, config_file: Path
) -> None:
    def fail(*_args: object, **_options: object) -> FakeReport:
        raise error

    workflow.answer = fail
    result = run("run-md", config_file, "--json")
    assert result.exit_code == error.exit_code
    assert result.stdout == ""
    assert result.stderr == f"error: {error}\n"
    assert "Traceback" in run("run-md", config_file, "-vv").stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("stopped after step 10", fix="go on")])
def test_an_interrupt_is_130_and_one_line(
    error: BaseException, workflow: Workflow, config_file: Path
) -> None:
    def stop(*_args: object, **_options: object) -> FakeReport:
        raise error

    workflow.answer = stop
    result = run("run-md", config_file)
    assert (result.exit_code, result.stdout) == (130, "")
    assert len(result.stderr.splitlines()) == 1


def test_log_warnings_and_progress_go_to_stderr_and_quiet_silences_them(
    workflow: Workflow, config_file: Path
) -> None:
    def talk(*_args: object, progress: Any, **_options: object) -> FakeReport:
        logger = logging.getLogger("mlff_dyn.workflows.fake")
        logger.info("an event")
        logger.debug("a detail")
        progress.start(20, "dynamics")
        for step in range(1, 21):
            progress.update(step, temperature=300.0)
        progress.stop()
        warnings.warn("be careful", stacklevel=1)
        return FakeReport()

    workflow.answer = talk
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        normal = run("run-md", config_file, "--json")
        verbose = run("run-md", config_file, "-v")
        quiet = run("run-md", config_file, "-q")
    assert json.loads(normal.stdout)["status"] == "done"
    assert "an event" in normal.stderr
    assert "a detail" not in normal.stderr
    assert normal.stderr.count("dynamics: ") == 11
    assert "dynamics: 50 % (10/20) temperature=300\n" in normal.stderr
    assert "warning: be careful (UserWarning)" in normal.stderr
    assert "a detail" in verbose.stderr
    assert quiet.stderr == ""


@pytest.mark.parametrize("verb", ["train", "export"])
def test_a_path_that_the_system_refuses_is_one_line(verb: str, config_file: Path) -> None:
    name = "a" * 300
    arguments = {
        "train": (config_file, "--dataset", name, "--static"),
        "export": (name, "--format", "phonopy", "--output", "x"),
    }
    result = run(verb, *arguments[verb])
    assert result.exit_code == 3
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: cannot use {name}: ")
    assert "; fix: give a shorter path" in line
