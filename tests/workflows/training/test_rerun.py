"""A rerun of `train` reads nothing of what the run before it found right, and all that changed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mlff_dyn.config.schema import SelectionConfig
from mlff_dyn.config.section import came_later
from mlff_dyn.formats.label_files.collected import collect_labels
from mlff_dyn.formats.label_files.search import LabelFile
from mlff_dyn.store.dataset import read_snapshots, write_snapshots
from mlff_dyn.workflows import given_labels
from mlff_dyn.workflows.training import data
from mlff_dyn.workflows.training.looked_at import LookedAt
from tests.workflows.conftest import invoke
from tests.workflows.training_project import content, refused

LOOKED_AT = LookedAt("frames", "engine", force=False)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Data sets that were read, in their order."""
    paths: list[Path] = []

    def counted(path: Path, *more: object) -> object:
        paths.append(path)
        return read_snapshots(path, *more)

    def counted_given(files: Sequence[LabelFile], *more: object) -> object:
        paths.extend(file.source.path for file in files)
        return collect_labels(files, *more)

    monkeypatch.setattr(data, "read_snapshots", counted)
    monkeypatch.setattr(given_labels, "collect_labels", counted_given)
    return paths


@pytest.mark.parametrize("is_given", [True, False])
def test_an_up_to_date_rerun_reads_no_frame(project: Path, reads: list[Path], is_given: bool) -> None:
    before = content(project / "run")
    given = ("--dataset", project / "frames.extxyz") if is_given else ()
    again = invoke("train", project / "CONFIG.yaml", "--static", *given)
    assert "up to date" in again.stdout, again.stderr
    assert reads == []
    assert content(project / "run") == before


def test_a_training_of_before_there_was_a_key_is_up_to_date(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = SelectionConfig.model_fields["n_pool"]
    monkeypatch.setattr(field, "json_schema_extra", came_later(field.default))
    command = ("train", project / "CONFIG.yaml", "--static")
    assert "up to date" not in invoke(*command).stdout
    assert "up to date" in invoke(*command).stdout
    assert "up to date" not in invoke(*command, "--set", "training.selection.n_pool=20").stdout


def test_a_changed_data_set_is_read_again(project: Path, reads: list[Path]) -> None:
    frames = project / "frames.extxyz"
    command = ("train", project / "CONFIG.yaml", "--static", "--dataset", frames)
    write_snapshots(frames, read_snapshots(frames)[1:])
    refused(invoke(*command), 3, "already holds other snapshots")
    assert frames in reads
    other = project / "run/dataset.extxyz"
    write_snapshots(other, read_snapshots(other)[1:])
    result = invoke(*command)
    assert "4 (0 calculated" in result.stdout, result.stderr
    assert "up to date" not in result.stdout


def test_a_changed_column_is_read_again(project: Path, reads: list[Path]) -> None:
    command = ("train", project / "CONFIG.yaml", "--static", "--dataset", project / "frames.extxyz")
    refused(invoke(*command, "--columns", "forces=other"), 3, "there are no forces")
    assert reads


@pytest.mark.parametrize(
    ("now", "is_covered"),
    [
        (LookedAt("frames", "engine", force=False), True),
        (LookedAt("", "engine", force=False), True),
        (LookedAt("frames", "engine", force=True), True),
        (LookedAt("more frames", "engine", force=False), False),
        (LookedAt("frames", "other engine", force=False), False),
        (LookedAt("frames", "", force=False), False),
    ],
)
def test_checks_of_other_files_and_engines_are_made_again(now: LookedAt, is_covered: bool) -> None:
    assert LOOKED_AT.covers(now) == is_covered


def test_what_force_let_in_is_refused_without_it() -> None:
    forced = LookedAt("frames", "engine", force=True)
    assert forced.covers(forced)
    assert not forced.covers(LOOKED_AT)


def test_an_answer_that_does_not_say_what_was_looked_at() -> None:
    assert LookedAt.from_answer({}) is None
    assert LookedAt.from_answer({"looked_at": {"given": None}}) is None
    assert LookedAt.from_answer({"looked_at": 3}) is None
