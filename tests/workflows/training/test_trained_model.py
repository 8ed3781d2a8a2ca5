"""Which models the verbs take: those of a training that converged, and of this configuration."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from mlff_dyn.store.dataset import write_snapshots
from mlff_dyn.store.model_file import read_model, write_model
from tests.models import emt_snapshots
from tests.workflows.conftest import invoke
from tests.workflows.training_project import Train, content, n_runs, refused

SETTINGS = ("md.n_steps=100", "md.displacement_limit_angstrom=1", "convergence.n_steps=200")
SHORT = tuple(word for setting in SETTINGS for word in ("--set", setting))


def verbs(folder: Path, *words: object) -> list[tuple[object, ...]]:
    config = folder / "c.yaml"
    out = ("--format", "phonopy", "-o", folder / "out")
    return [
        ("run-md", config, *SHORT, *words),
        ("check-convergence", config, *SHORT, *words),
        ("export", config, *out, *words),
    ]


@pytest.fixture
def unconverged(folder: Path, train: Train) -> Path:
    assert train("--set", "training.max_calculations=2").exit_code == 4
    return folder


def test_a_model_that_did_not_converge_is_refused_with_the_command(unconverged: Path) -> None:
    """Each verb leaves with exit code 4 and writes nothing, unless it is told to go on."""
    before = content(unconverged)
    sources = [
        *verbs(unconverged),
        ("export", unconverged / "run", "-f", "phonopy", "-o", unconverged / "out"),
    ]
    for words in sources:
        refused(invoke(*words), 4, "converge (budget exhausted)", "mlff-dyn train", "--allow-unconverged")
    assert content(unconverged) == before
    for words in verbs(unconverged, "--allow-unconverged"):
        result = invoke(*words)
        assert result.exit_code in (0, 4), result.stderr
        assert result.stdout
        assert "warning: " in result.stderr
        assert "budget exhausted" in result.stderr


def test_answers_of_no_are_older_than_everything(unconverged: Path, train: Train) -> None:
    """To make, they are not there; a training that converges dates them to now."""
    names = ("model.h5", "train.json")
    assert max((unconverged / "run" / name).stat().st_mtime for name in names) < 1e6
    assert train().exit_code == 0
    sources = [unconverged / "c.yaml", unconverged / "Cu.vasp", unconverged / "run/basis.h5"]
    newest = max(path.stat().st_mtime_ns for path in sources)
    assert min((unconverged / "run" / name).stat().st_mtime_ns for name in names) >= newest


def test_what_is_still_right_is_dated_after_a_configuration_that_was_saved_again(
    folder: Path, train: Train
) -> None:
    write_snapshots(folder / "frames.extxyz", emt_snapshots((2, 2, 2), (0.05, 0.1)))
    words = ("--dataset", folder / "frames.extxyz", "--static")
    assert train(*words).exit_code == 0
    answer = folder / "run/train.json"
    before, bytes_before = answer.stat().st_mtime_ns, answer.read_bytes()
    later = before + 10**9
    os.utime(folder / "c.yaml", ns=(later, later))
    os.utime(answer, ns=(before - 10**12, before - 10**12))
    result = train(*words)
    assert json.loads(result.stdout)["status"] == "static fit"
    assert answer.read_bytes() == bytes_before
    assert answer.stat().st_mtime_ns >= before


def test_a_model_of_other_settings_or_without_its_answer_is_refused(folder: Path, train: Train) -> None:
    assert train().exit_code == 0
    for setting, words in (
        ("training.criterion.force_error_limit_relative=0.01", "other settings"),
        ("engine.parameters.arguments={a: 1}", "other settings"),
        ("training.temperatures_kelvin=[900]", "other settings"),
    ):
        for verb in verbs(folder, "--set", setting):
            refused(invoke(*verb), 4, words, "mlff-dyn train")
    for setting in ("training.max_calculations=99", "seed=3", "execution.max_parallel=2"):
        assert invoke(*verbs(folder, "--set", setting)[2], "--force").exit_code == 0
    shutil.copy(folder / "run/model.h5", folder / "copy.h5")
    force_field, metadata = read_model(folder / "run/model.h5")
    write_model(folder / "run/model.h5", force_field, {**metadata, "n_snapshots": 0})
    for verb in verbs(folder):
        refused(invoke(*verb), 4, "answer of another training")
    n_before = n_runs(folder)
    assert train().exit_code == 0
    assert n_runs(folder) == n_before
    assert invoke(*verbs(folder)[2], "--force").exit_code == 0
    (folder / "run/train.json").unlink()
    for verb in verbs(folder):
        refused(invoke(*verb), 4, "no train.json")


def test_an_answer_of_an_older_version_is_made_anew(folder: Path, train: Train) -> None:
    assert train().exit_code == 0
    path, n_before = folder / "run/train.json", n_runs(folder)
    answer = json.loads(path.read_text(encoding="utf-8"))
    old = {name: value for name, value in answer.items() if name not in ("model", "configuration")}
    path.write_text(json.dumps(old), encoding="utf-8")
    refused(invoke(*verbs(folder)[2]), 4, "mlff-dyn train")
    assert train().exit_code == 0
    assert n_runs(folder) == n_before
    assert json.loads(path.read_text(encoding="utf-8")) == answer
    assert invoke(*verbs(folder)[2]).exit_code == 0


def test_a_model_alone_is_exported_with_a_warning(
    folder: Path, train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    assert train().exit_code == 0
    shutil.copy(folder / "run/model.h5", folder / "copy.h5")
    with caplog.at_level(logging.WARNING, logger="mlff_dyn"):
        result = invoke("export", folder / "copy.h5", "-f", "phonopy", "-o", folder / "out")
    assert result.exit_code == 0, result.stderr
    assert "no train.json beside it" in result.stderr
