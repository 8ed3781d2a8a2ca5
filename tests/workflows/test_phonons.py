"""`phonons`: its answer, its files, what it warns of, and that the same command again changes nothing."""

import json
import shutil

import numpy as np
import phonopy
import pytest

from mlff_dyn.store.model_file import read_model, write_model
from tests.workflows.conftest import invoke
from tests.workflows.training_project import change_answer, refused

FEW = ("--set", "phonons.q_spacing_per_angstrom=0.6", "--set", "phonons.n_samples=3")
NAMES = ("band.png", "band.svg", "band.json", "dos.png", "dos.svg", "dos.json", "phonopy_params.yaml")


def answer_of(folder):
    return json.loads((folder / "run/phonons/phonons.json").read_text(encoding="utf-8"))


def test_the_answer_has_its_files_and_is_up_to_date_the_second_time(project):
    config = project / "CONFIG.yaml"
    first = invoke("phonons", config, *FEW, "--json")
    assert first.exit_code == 0, first.stderr
    answer, folder = json.loads(first.stdout), project / "run/phonons"
    assert answer_of(project) | answer == answer_of(project)
    assert set(NAMES) <= set(answer["files"]) == {path.name for path in folder.iterdir()} - {"phonons.json"}
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    second = invoke("phonons", config, *FEW)
    assert "up to date" in second.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == written
    (folder / "dos.svg").unlink()
    assert "up to date" not in invoke("phonons", config, *FEW).stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == written
    assert "up to date" not in invoke("phonons", config, *FEW, "--seed", 8).stdout


def test_values_have_error_bars_and_reasons_where_there_are_none(project):
    settings = ("--set", "phonons.temperatures_kelvin=[300.0, 3000.0]")
    result = invoke("phonons", project / "CONFIG.yaml", *FEW, *settings, "--json")
    cold, warm, hot = json.loads(result.stdout)["thermal"]
    assert [each["temperature_k"] for each in (cold, warm, hot)] == [0.0, 300.0, 3000.0]
    for name in ("free_energy_ev", "entropy_boltzmann", "heat_capacity_boltzmann"):
        assert warm[f"{name}_per_atom_sd"] > 0.0
        assert warm[f"{name}_per_atom_mesh_error"] > 0.0
    assert warm["gruneisen_sd"] > 0.0
    assert 1.5 < warm["gruneisen"] < 3.0
    assert hot["heat_capacity_boltzmann_per_atom"] == pytest.approx(3.0, abs=0.01)
    reasons = json.loads(result.stdout)["null_reasons"]
    assert reasons["thermal.0.gruneisen"].startswith("at 0 K")


def test_curves_are_those_of_the_force_constants_beside_them(project):
    assert invoke("phonons", project / "CONFIG.yaml", *FEW).exit_code == 0
    folder = project / "run/phonons"
    band = json.loads((folder / "band.json").read_text(encoding="utf-8"))
    phonon = phonopy.load(folder / "phonopy_params.yaml", log_level=0)
    phonon.run_qpoints(band["wavevectors_reduced"], with_group_velocities=True)
    np.testing.assert_allclose(band["frequencies_thz"], phonon.qpoints.frequencies, atol=1e-6)
    speeds = 100.0 * np.linalg.norm(phonon.qpoints.group_velocities, axis=2)
    np.testing.assert_allclose(band["group_velocities_meter_per_second"], speeds, rtol=1e-4, atol=1.0)
    assert np.array(band["frequencies_sd_thz"]).max() > 0.0
    dos = json.loads((folder / "dos.json").read_text(encoding="utf-8"))
    assert np.allclose(dos["total_per_thz"], dos["Cu_per_thz"])


def test_a_model_alone_is_enough(project, tmp_path):
    (tmp_path / "alone").mkdir()
    model = shutil.copy(project / "run/model.h5", tmp_path / "alone/model.h5")
    result = invoke("phonons", model, "-n", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["n_atoms"] == 32
    assert json.loads(result.stdout)["warnings"] == []
    assert not (tmp_path / "alone/phonons").exists()
    refused(invoke("phonons", tmp_path / "none.h5"), 3, "none.h5 does not exist")


def test_a_dry_run_tells_sizes_and_writes_nothing(project):
    result = invoke("phonons", project / "CONFIG.yaml", *FEW, "-n", "--json")
    told = json.loads(result.stdout)
    assert told["status"] == "dry run"
    assert told["n_wavevectors"] == np.prod(told["q_mesh"])
    assert told["memory_megabytes"] > 0.0
    assert not (project / "run/phonons").exists()


def test_a_training_that_did_not_converge_is_named_in_the_answer(project):
    change_answer(project / "run/train.json", status="budget exhausted")
    result = invoke("phonons", project / "CONFIG.yaml", *FEW)
    assert result.exit_code == 0, result.stderr
    assert "training did not converge (budget exhausted)" in " ".join(answer_of(project)["warnings"])


def test_imaginary_modes_leave_no_thermal_values(project):
    model = project / "run/model.h5"
    force_field, metadata = read_model(model)
    force_field.posterior.mean[:] *= -1.0
    write_model(model, force_field, metadata)
    result = invoke("phonons", project / "CONFIG.yaml", *FEW, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["n_imaginary"] > 0
    assert any("imaginary" in line for line in answer["warnings"])
    assert answer["thermal"][1]["free_energy_ev_per_atom"] is None
    assert "imaginary modes" in answer["null_reasons"]["thermal.1.free_energy_ev_per_atom"]
    assert "no harmonic values" in invoke("phonons", project / "CONFIG.yaml", *FEW).stdout


def test_the_page_of_a_run_shows_it(project):
    assert invoke("report", project / "CONFIG.yaml").exit_code == 0
    assert "Thermal properties" not in (project / "run/report.html").read_text(encoding="utf-8")
    assert invoke("phonons", project / "CONFIG.yaml", *FEW).exit_code == 0
    assert invoke("report", project / "CONFIG.yaml").exit_code == 0
    text = (project / "run/report.html").read_text(encoding="utf-8")
    assert "Thermal properties" in text
    assert {"dos.svg", "gruneisen.png"} <= {path.name for path in (project / "run/report").iterdir()}
    (project / "run/phonons/dos.json").write_text("{", encoding="utf-8")
    assert invoke("report", project / "CONFIG.yaml").exit_code == 0
