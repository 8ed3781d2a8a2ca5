"""Training that stops once the thermal conductivity is known well enough."""

import json

import pytest

from tests.workflows.conftest import invoke

pytest.importorskip("phono3py", minversion="4.10")

KAPPA = (
    *("--set", "training.criterion.kind=observable", "--set", "training.n_steps=500"),
    *("--set", "conductivity.q_mesh=[3, 3, 3]", "--set", "conductivity.n_samples=2"),
)


@pytest.mark.slow
def test_it_stops_at_the_error_of_the_conductivity_and_chooses_frames_by_it(folder):
    config = folder / "c.yaml"
    limits = ("--set", "conductivity.error_limit_relative=0.3", "--set", "training.initial.n=1")
    result = invoke("train", config, *KAPPA, *limits, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["status"] == "converged"
    journal = (folder / "run/journal.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = [each for each in map(json.loads, journal) if each["event"] == "chosen"]
    assert chosen
    for each in chosen:
        assert each["expected_relative"][-1] < each["expected_relative"][0]
    found = invoke("conductivity", config, *KAPPA, *limits, "--json")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["error_relative"] < 0.3
