"""`conductivity`: its answer, its files, what it refuses, and that it goes on where it was interrupted."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from mlff_dyn.observables.conductivity.solver import Transport
from mlff_dyn.store.model_file import read_model, write_model
from mlff_dyn.workflows.conductivity.conductivity_rows import far_warnings
from tests.workflows.conftest import invoke
from tests.workflows.training_project import refused

pytest.importorskip("phono3py", minversion="4.10")

FEW = (
    *("--set", "conductivity.q_mesh=[3, 3, 3]", "--set", "conductivity.n_samples=2"),
    *("--set", "conductivity.temperatures_kelvin=[300.0]"),
)
FOLDER = "run/conductivity"
KAPPA = "kappa_watt_per_meter_kelvin"


def test_the_answer_has_its_files_and_is_up_to_date_the_second_time(project):
    config = project / "CONFIG.yaml"
    first = invoke("conductivity", config, *FEW, "--json")
    assert first.exit_code == 0, first.stderr
    answer, folder = json.loads(first.stdout), project / FOLDER
    names = {path.name for path in folder.iterdir()}
    assert set(answer["files"]) | {"conductivity.json"} == names
    (room,) = answer["thermal"]
    assert room[KAPPA] > 0.0
    assert room["kappa_sd_watt_per_meter_kelvin"] > 0.0
    assert room["kappa_xx_watt_per_meter_kelvin"] == pytest.approx(room[KAPPA])
    assert answer["reference_temperature_k"] == 300.0
    assert answer["limited_by"] in {"order 2", "order 3", "expansion"}
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "up to date" in invoke("conductivity", config, *FEW).stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == written


@pytest.mark.slow
def test_the_report_has_a_part_of_it(project):
    config = project / "CONFIG.yaml"
    assert invoke("conductivity", config, *FEW).exit_code == 0
    page = invoke("report", config)
    assert page.exit_code == 0, page.stderr
    assert "Thermal conductivity" in (project / "run/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_order_2_may_be_that_of_a_temperature(project):
    config, hot = project / "CONFIG.yaml", ("--set", "conductivity.temperatures_kelvin=[300.0, 310.0]")
    effective = ("--set", "phonons.effective={kind: self-consistent, error_limit_relative: 0.05}")
    at_rest, found = (
        invoke("conductivity", config, *FEW[:4], *hot, *more, "--json")
        for more in ((), ("--effective", "self-consistent", *effective))
    )
    assert found.exit_code == 0, found.stderr
    answer, rest = json.loads(found.stdout), json.loads(at_rest.stdout)
    assert answer["order_2"] == "self-consistent"
    files = [project / f"run/phonons/effective-{kelvin}K.h5" for kelvin in (300, 310)]
    written = [path.stat().st_mtime_ns for path in files]
    kelvin = ("--temperature", 300, "--temperature", 310)
    assert invoke("phonons", config, "--effective", "self-consistent", *kelvin, *effective).exit_code == 0
    assert [path.stat().st_mtime_ns for path in files] == written
    for each, other in zip(answer["thermal"], rest["thermal"], strict=True):
        assert each[KAPPA] == pytest.approx(other[KAPPA], rel=0.3)
        assert each[KAPPA] != other[KAPPA]
        assert each["kappa_statistical_error_watt_per_meter_kelvin"] > 0.0
        assert other["kappa_statistical_error_watt_per_meter_kelvin"] == 0.0


def test_a_dry_run_tells_what_it_costs_and_writes_nothing(project):
    told = json.loads(invoke("conductivity", project / "CONFIG.yaml", *FEW, "-n", "--json").stdout)
    assert told["status"] == "dry run"
    assert (told["n_wavevectors"], told["n_irreducible"]) == (27, 4)
    assert told["memory_megabytes"] > 0.0
    assert told["expected_minutes"] >= 0.0
    assert not (project / FOLDER).exists()


def test_a_mesh_on_which_nothing_decays_is_refused(project):
    given = ("--set", "conductivity.q_mesh=[2, 2, 2]")
    refused(invoke("conductivity", project / "CONFIG.yaml", *given), 3, "no mode decays")
    assert not (project / FOLDER).exists()


def test_what_cannot_be_calculated_is_refused_before_anything_is_written(project):
    config, model = project / "CONFIG.yaml", project / "run/model.h5"
    large = ("--set", "conductivity.q_mesh=[901, 901, 901]")
    refused(invoke("conductivity", config, *large), 2, "of memory")
    refused(invoke("conductivity", config, "--set", "conductivity.q_mesh=[3, 3]"), 2, "conductivity.q_mesh")
    refused(invoke("conductivity", config, "--set", "conductivity.q_mesh=[1, 1, 1]"), 2, "zone center")
    force_field, metadata = read_model(model)
    force_field.posterior.mean[:] *= -1.0
    write_model(model, force_field, metadata)
    refused(invoke("conductivity", config, *FEW), 3, "--effective")
    assert not (project / FOLDER).exists()


@pytest.mark.parametrize(("far_nanometer", "is_said"), [(1e3, False), (1e6, True)])
def test_modes_that_hardly_decay_are_named(far_nanometer, is_said):
    """Half of the conductivity is of one of two modes."""
    modes = np.zeros((1, 1, 2, 6))
    modes[..., :3] = 5.0
    found = SimpleNamespace(
        mean_free_paths=10.0 * np.array([[[100.0, far_nanometer]]]),
        frequencies_thz=np.array([[5.0, 20.0]]),
        linewidths_thz=np.array([[[0.1, 1e-6]]]),
        other_linewidths_thz=np.zeros((1, 2)),
        modes=modes,
    )
    lines = far_warnings(found, Transport((300.0,)), 0)
    assert [line.startswith("50 % of the conductivity at 300 K") for line in lines] == [True] * is_said
