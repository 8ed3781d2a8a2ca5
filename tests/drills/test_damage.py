"""Every file of a run directory damaged: a refusal of one line, or the result of the sound one."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.drills.copper_project import (
    VERBS,
    Prediction,
    faults_of_ending,
    invoke,
    make_project,
    numbers,
    prediction,
)
from tests.drills.damages import DAMAGES, damaged, differ_in_numbers_alone

pytestmark = pytest.mark.drill

FILES = (
    "c.yaml",
    "Cu.vasp",
    "test.extxyz",
    "run/dataset.extxyz",
    "run/journal.jsonl",
    "run/train.json",
    "run/basis.h5",
    "run/model.h5",
    "run/md.json",
    "run/convergence.json",
    "run/md/300K-1/md.json",
    "run/md/300K-1/trajectory.h5",
    "run/md/300K-1/checkpoint.h5",
    "run/calculations/0002/calculation.json",
    "run/calculations/0002/output.json",
    "run/calculations/0002/result.json",
)
TEXT_WITHOUT_CHECKSUM = (".yaml", ".vasp", ".extxyz", ".jsonl")
N_VERBS = 3
"""Drawn for each damage."""
TOLD_OF = "run/train.json"
"""Verbs that use the model warn where it does not say how the training ended."""
RESULTS_OF_TRAINING = ("dataset.extxyz", "journal.jsonl", "model.h5", "train.json")


@dataclass(frozen=True, eq=False)
class Sound:
    """A project as it should be, and what each verb answers there."""

    folder: Path
    prediction: Prediction
    answers: Mapping[str, Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    folder = make_project(tmp_path_factory.mktemp("sound") / "project")
    for verb in ("train", "run-md", "check-convergence"):
        assert invoke(folder, *VERBS[verb]).exit_code == 0
    answers = {}
    for verb, arguments in VERBS.items():
        copy = Path(shutil.copytree(folder, folder.parent / verb))
        result = invoke(copy, *arguments)
        assert result.exit_code == 0, result.stderr
        answers[verb] = numbers(result.stdout)
    return Sound(folder, prediction(folder), answers)


def prepare(sound: Sound, place: Path, name: str, content: bytes) -> Path:
    """Copy the project with one file changed; calculations are read where the data set is not there yet."""
    folder = Path(shutil.copytree(sound.folder, place))
    (folder / name).write_bytes(content)
    if name.startswith("run/calculations"):
        for result in RESULTS_OF_TRAINING:
            (folder / "run" / result).unlink()
    return folder


def faults(sound: Sound, folder: Path, name: str, verb: str, *, is_exempt: bool) -> list[str]:
    """Run a verb on a project with a damaged file and say what is wrong with how it went."""
    result = invoke(folder, *VERBS[verb])
    found = faults_of_ending(result.exit_code, result.stderr)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        found.append(repr(result.exception))
    if result.exit_code != 0 or is_exempt:
        return found
    if verb == "train" and not sound.prediction.agrees(prediction(folder)):
        found.append("the model differs by more than its error bars")
    is_of_sound_model = (folder / "run/model.h5").read_bytes() == (sound.folder / "run/model.h5").read_bytes()
    answer, expected = numbers(result.stdout), sound.answers[verb]
    if name == TOLD_OF:
        answer, expected = ({**each, "warnings": None} for each in (answer, expected))
    if verb != "train" and is_of_sound_model and answer != expected:
        found.append("the answer differs")
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_or_does_not_matter(sound: Sound, tmp_path: Path, name: str, seed: int) -> None:
    whole = (sound.folder / name).read_bytes()
    generator = np.random.default_rng([seed, FILES.index(name)])
    found = []
    for how in DAMAGES:
        content = damaged(whole, how, generator)
        is_exempt = name.endswith(TEXT_WITHOUT_CHECKSUM) and differ_in_numbers_alone(whole, content)
        is_of_training = name.startswith("run/calculations")
        verbs = ["train"] if is_of_training else generator.choice(list(VERBS), N_VERBS, replace=False)
        for verb in verbs:
            folder = prepare(sound, tmp_path / how / verb, name, content)
            wrong = faults(sound, folder, name, verb, is_exempt=is_exempt)
            found += [f"{name} {how}, {verb}: {fault}" for fault in wrong]
            shutil.rmtree(folder)
    assert not found, "\n".join(found)
