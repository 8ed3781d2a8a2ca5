"""What verbs of results cost is told first, and refused where it is too much."""

import resource

import pytest

from tests.workflows.conftest import invoke
from tests.workflows.test_kept_parts import CONDUCTIVITY
from tests.workflows.test_thermodynamics import only
from tests.workflows.training_project import refused

PHONONS = ("--set", "phonons.q_mesh=[4, 4, 4]", "--set", "phonons.n_samples=2")
VERBS = {"phonons": PHONONS, "conductivity": CONDUCTIVITY, "thermodynamics": only("elastic")}


@pytest.mark.parametrize("verb", VERBS)
def test_the_cost_is_told_first(project, verb):
    pytest.importorskip("phono3py", minversion="4.10")
    first = invoke(verb, project / "CONFIG.yaml", *VERBS[verb]).stderr.splitlines()[0]
    assert first.startswith(f"{verb}, ")
    assert " MB and " in first
    assert first.endswith(" minutes on one core")


@pytest.mark.parametrize("verb", VERBS)
def test_what_the_memory_does_not_hold_is_refused_before_anything_is_written(project, verb, monkeypatch):
    pytest.importorskip("phono3py", minversion="4.10")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    refused(invoke(verb, project / "CONFIG.yaml", *VERBS[verb]), 2, "of memory; there are")
    assert not (project / "run" / verb).exists()


def test_memory_that_runs_out_is_one_line(project, monkeypatch):
    def run_out(*given, **more):
        raise MemoryError

    monkeypatch.setattr("mlff_dyn.workflows.phonons.phonons.dispersion_of", run_out)
    refused(invoke("phonons", project / "CONFIG.yaml", *PHONONS), 2, "the memory does not suffice")
    assert not (project / "run/phonons").exists()
