"""`phonons` at temperature: its files, its answer, what is taken up again, and what it refuses."""

import json
import shutil

import numpy as np
import pytest

from mlff_dyn.formats.effective_file import read_effective
from mlff_dyn.workflows.reporting.phonons_part import phonons_part
from tests.workflows.conftest import invoke, name_of_picture, outline
from tests.workflows.training_project import refused

FEW = (
    *("--set", "phonons.q_spacing_per_angstrom=3.0", "--set", "phonons.n_samples=2"),
    *("--set", "phonons.effective.kind=self-consistent", "--set", "phonons.effective.max_configurations=64"),
)
DYNAMICS = (
    *("--set", "phonons.q_spacing_per_angstrom=3.0", "--set", "phonons.n_samples=2"),
    *("--set", "phonons.effective.kind=dynamics", "--set", "phonons.effective.n_steps=100"),
    *("--set", "phonons.effective.n_replicas=2"),
)
SPECTRA = (
    *("--set", "phonons.spectra.n_steps=1000", "--set", "phonons.spectra.n_replicas=2"),
    *("--set", "phonons.spectra.n_samples=2"),
)


def test_the_answer_and_the_page_have_both_kinds_of_errors(project):
    config, folder = project / "CONFIG.yaml", project / "run/phonons"
    result = invoke("phonons", config, *FEW, *SPECTRA, "--temperature", 200, "--temperature", 400, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    cold, hot = answer["effective"]
    assert (cold["temperature_k"], hot["temperature_k"]) == (200.0, 400.0)
    for each in (cold, hot):
        assert each["frequency_max_thz"] == pytest.approx(answer["frequency_max_thz"], rel=0.1)
        assert each["frequency_max_sd_thz"] > 0.0
        assert each["frequency_max_statistical_error_thz"] > 0.0
        assert each["free_energy_ev_per_atom_sd"] > 0.0
    assert hot["free_energy_ev_per_atom"] < cold["free_energy_ev_per_atom"]
    for kind in ("", "_sd", "_statistical_error"):
        assert answer["spectra"][0][f"linewidth_mean{kind}_thz"] > 0.0
    names = {"effective.png", "effective.json", "effective-200K.h5", "spectra.svg", "spectra-300K.json"}
    assert names | {"spectral_function.svg"} <= set(answer["files"])
    assert set(answer["files"]) == {path.name for path in folder.iterdir()} - {"phonons.json"}
    curves = json.loads((folder / "effective.json").read_text(encoding="utf-8"))
    assert np.shape(curves["temperatures"][1]["frequencies_sd_thz"])[1] == 3
    lines = json.loads((folder / "spectra-300K.json").read_text(encoding="utf-8"))["lines"]
    assert sum(line["n_modes"] for line in lines) == 3 * 32 - 3
    text = outline(phonons_part(project / "run", name_of_picture))
    for word in ("Phonons at temperature", "effective", "spectra", "spectral_function"):
        assert word in text


def test_temperatures_that_are_done_are_taken_up_again(project):
    config, folder = project / "CONFIG.yaml", project / "run/phonons"
    assert invoke("phonons", config, *DYNAMICS, "--temperature", 200).exit_code == 0
    first = folder / "effective-200K.h5"
    made = first.stat().st_mtime_ns
    found = read_effective(first)
    assert (found.kind, found.statistics, found.temperature_kelvin) == ("dynamics", "classical", 200.0)
    result = invoke("phonons", config, *DYNAMICS, "--temperature", 200, "--temperature", 300)
    assert result.exit_code == 0, result.stderr
    assert "up to date" not in result.stdout
    assert first.stat().st_mtime_ns == made


def test_a_model_alone_and_a_dry_run_tell_the_cost(project, tmp_path):
    model = shutil.copy(project / "run/model.h5", tmp_path / "model.h5")
    result = invoke("phonons", model, "--effective", "dynamics", "-n", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["effective_md_steps"] > 8 * 4000
    assert told["effective_expected_minutes_per_temperature"] > 0.0
    result = invoke("phonons", project / "CONFIG.yaml", *SPECTRA, "-n", "--json")
    told = json.loads(result.stdout)
    assert told["spectra_md_steps"] > 3 * 2 * 1000
    assert told["spectra_expected_minutes_per_temperature"] > 0.0


def test_what_makes_no_sense_is_refused(project):
    config = project / "CONFIG.yaml"
    refused(invoke("phonons", config, "--temperature", 300), 2, "--temperature is of effective")
    no_number = ("--effective", "dynamics", "--temperature", "inf")
    refused(invoke("phonons", config, *no_number), 2, "are no temperatures")
    quantum = ("--set", "phonons.effective.statistics=quantum")
    refused(invoke("phonons", config, *DYNAMICS, *quantum), 2, "statistics of `dynamics` is classical")
    assert not (project / "run/phonons").exists()
