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
    observed = [each for each in map(json.loads, journal) if each["event"] == "observable"]
    assert len(observed) == len(chosen) + 1
    assert observed[-1]["error_relative"] < 0.3
    told = json.loads(result.stdout)["observable"]
    assert told["error_relative"] == observed[-1]["error_relative"]
    status = json.loads(invoke("status", config, *KAPPA, *limits, "--json").stdout)
    assert status["observable"]["error_relative"] == told["error_relative"]
    assert status["observable"]["limit_relative"] == 0.3
    assert {each["limit_relative"] for each in status["temperatures"]} == {None}
    assert "conductivity" in invoke("status", config, *KAPPA, *limits).stdout
    assert invoke("report", config, *KAPPA, *limits).exit_code == 0
    page = (folder / "run/report.html").read_text(encoding="utf-8")
    assert "the expected error of the conductivity exceeded 30 %" in page
    assert "observable.svg" in {path.name for path in (folder / "run/report").iterdir()}
    found = invoke("conductivity", config, *KAPPA, *limits, "--json")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["error_relative"] < 0.3
