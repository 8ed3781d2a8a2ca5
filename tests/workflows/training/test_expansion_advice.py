"""Advice that names what is short in the words of the configuration."""

import json
from pathlib import Path

import pytest

from mlff_dyn.errors import BasisError
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.search.expansion_search import Trial
from mlff_dyn.workflows.training import expansion_advice
from mlff_dyn.workflows.training.expansion_advice import AdvisedStep, ExpansionAdvice, describe_change
from tests.workflows.training_project import Train

NOW = {2: "full", 3: 4.5, 4: {2: 2.7}}


def trial(cutoffs, local=None):
    return Trial(cutoffs, 10, 0.0, 0.03, 0.1, local)


@pytest.mark.parametrize(
    ("cutoffs", "locals_", "text"),
    [
        ({3: 5.1}, (None, None), "expansion.cutoffs_angstrom: {3: 4.5 -> 5.1}"),
        ({3: {2: 5.1, 3: 4.5}}, (None, None), "expansion.cutoffs_angstrom: {3: 4.5 -> {2: 5.1, 3: 4.5}}"),
        ({5: {2: 2.7}}, (None, None), "adding {5: {2: 2.7}} to expansion.cutoffs_angstrom"),
        (
            {},
            (None, LocalSettings(5.0, 4, 2)),
            "expansion.local: {cutoff_angstrom: 5.0, n_radial: 4, l_max: 2}",
        ),
        ({}, (LocalSettings(5.0, 4, 2), LocalSettings(5.0, 4, 3)), "expansion.local: {l_max: 2 -> 3}"),
    ],
)
def test_a_change_is_named_as_in_the_configuration(cutoffs, locals_, text):
    before, after = locals_
    assert describe_change(trial(NOW, before), trial({**NOW, **cutoffs}, after)) == text


def test_the_gain_is_told_and_where_to_find_more():
    advice = ExpansionAdvice(0.051, (AdvisedStep("expansion.cutoffs_angstrom: {3: 4.5 -> 5.1}", 0.03, 90),))
    text = "expansion.cutoffs_angstrom: {3: 4.5 -> 5.1} would lower the held-out error from 5.10 % to 3.00 %"
    assert advice.describe(0.05) == text
    assert advice.describe(0.02) == f"{text}, more by init --suggest"


def test_a_search_that_fails_does_not_fail_the_training(
    folder: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BasisError("too large", fix="none")

    monkeypatch.setattr(expansion_advice, "next_steps", fail)
    settings = [
        "expansion.cutoffs_angstrom={2: full}",
        "training.temperatures_kelvin=[600]",
        "training.max_calculations=3",
        "training.criterion.force_error_limit_relative=0.02",
    ]
    result = train(*(f"--set={setting}" for setting in settings))
    answer = json.loads(result.stdout)
    assert result.exit_code == 4
    assert answer["advice"].startswith("add an order, or enlarge expansion.cutoffs_angstrom")
    assert answer["advice_steps"] == []
    assert json.loads((folder / "run/train.json").read_text())["advice_steps"] == []
