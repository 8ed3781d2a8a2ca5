"""`thermodynamics`: its answer, its files, what it refuses, and what a second command does again."""

import json

import numpy as np

from mlff_dyn.store.model_file import read_model, write_model
from mlff_dyn.workflows.reporting.thermodynamics_part import thermodynamics_part
from tests.workflows.conftest import invoke, name_of_picture, outline
from tests.workflows.training_project import refused

FEW = [
    *("--set", "thermodynamics.n_frames=20", "--set", "thermodynamics.sample_every=5"),
    *("--set", "thermodynamics.n_equilibration_steps=40", "--set", "thermodynamics.n_samples=2"),
    *("--set", "thermodynamics.q_spacing_per_angstrom=0.8", "--set", "thermodynamics.n_couplings=1"),
    *("--set", "thermodynamics.temperatures_kelvin=[300]"),
]


def only(*quantities):
    return [*FEW, "--set", f"thermodynamics.quantities=[{','.join(quantities)}]"]


def parts_of(project):
    return {path.name: path.read_bytes() for path in (project / "run/thermodynamics/parts").iterdir()}


def test_all_quantities_have_both_errors_and_the_same_command_changes_nothing(project):
    config = project / "CONFIG.yaml"
    first = invoke("thermodynamics", config, *FEW, "--json")
    assert first.exit_code == 0, first.stderr
    answer = json.loads(first.stdout)
    cold, warm = answer["elastic"]
    assert cold["constants_statistical_error_gigapascal"] is None
    assert cold["is_stable"]
    assert 150.0 < cold["constants_gigapascal"][0][0] < 190.0
    assert np.array(warm["constants_statistical_error_gigapascal"])[0, 0] > 0.0
    assert np.array(warm["constants_sd_gigapascal"])[0, 0] > 0.0
    (expansion,), (free,) = answer["expansion"], answer["free_energy"]
    assert 5e-6 < expansion["linear_per_kelvin"] < 5e-5
    assert 1e-5 < expansion["quasi_harmonic_quantum_linear_per_kelvin"] < 5e-5
    assert expansion["linear_sd_per_kelvin"] > 0.0
    assert expansion["linear_statistical_error_per_kelvin"] > 0.0
    for name in ("free_energy", "entropy", "heat_capacity"):
        unit = "ev" if name == "free_energy" else "boltzmann"
        assert free[f"{name}_sd_{unit}_per_atom"] > 0.0
        assert free[f"{name}_statistical_error_{unit}_per_atom"] > 0.0
    assert free["heat_capacity_pressure_boltzmann_per_atom"] > free["heat_capacity_boltzmann_per_atom"]
    kept = parts_of(project)
    assert "up to date" in invoke("thermodynamics", config, *FEW).stdout
    (project / "run/thermodynamics/expansion.svg").unlink()
    assert "up to date" not in invoke("thermodynamics", config, *FEW).stdout
    assert parts_of(project) == kept
    assert "Thermal expansion" in outline(thermodynamics_part(project / "run", name_of_picture))


def test_a_further_temperature_leaves_finished_parts_alone(project):
    config = project / "CONFIG.yaml"
    assert invoke("thermodynamics", config, *only("free_energy")).exit_code == 0
    before = parts_of(project)
    more = [*only("free_energy"), "--set", "thermodynamics.temperatures_kelvin=[300,400]"]
    result = invoke("thermodynamics", config, *more, "--json")
    assert len(json.loads(result.stdout)["free_energy"]) == 2
    after = parts_of(project)
    assert set(after) - set(before) == {"free-energy-400K.npz"}
    assert {name: after[name] for name in before} == before
    reasons = json.loads(result.stdout)["null_reasons"]
    assert "quantities" in reasons["free_energy.0.heat_capacity_pressure_boltzmann_per_atom"]


def test_a_dry_run_tells_the_cost_and_writes_nothing(project):
    told = json.loads(invoke("thermodynamics", project / "CONFIG.yaml", *FEW, "-n", "--json").stdout)
    assert told["n_steps"] == 140 * 4
    assert told["expected_minutes"] > 0.0
    assert any("no stress was fitted" in line for line in told["warnings"])
    assert not (project / "run/thermodynamics").exists()


def changed_model(project, change):
    model = project / "run/model.h5"
    force_field, metadata = read_model(model)
    change(force_field.posterior.mean, force_field.basis.parameter_orders)
    write_model(model, force_field, metadata)


def test_imaginary_modes_are_refused_in_one_line(project):
    def soften(mean, orders):
        mean[orders == 2] *= -1.0

    changed_model(project, soften)
    refused(invoke("thermodynamics", project / "CONFIG.yaml", *only("elastic")), 3, "imaginary modes")
    assert not (project / "run/thermodynamics").exists()


def test_an_atom_that_leaves_its_site_ends_it(project):
    def weaken(mean, orders):
        mean[orders == 4] *= -3.0

    changed_model(project, weaken)
    hot = [*only("free_energy"), "--set", "thermodynamics.temperatures_kelvin=[4000]"]
    refused(invoke("thermodynamics", project / "CONFIG.yaml", *hot), 6, "from its site")
    assert not (project / "run/thermodynamics/thermodynamics.json").exists()


def test_a_pressure_that_the_crystal_does_not_bear_is_refused(project):
    config = project / "CONFIG.yaml"
    pulled = [*only("expansion"), "--set", "thermodynamics.pressure_gigapascal=-60"]
    refused(invoke("thermodynamics", config, *pulled), 3, "bears the pressure")
    assert not (project / "run/thermodynamics").exists()
    assert invoke("thermodynamics", config, *only("expansion")).exit_code == 0
    result = invoke("thermodynamics", config, *only("free_energy"))
    assert result.exit_code == 0, result.stderr
    names = {path.name for path in (project / "run/thermodynamics").iterdir()}
    assert names == {"parts", "thermodynamics.json", "heat-capacity.png", "heat-capacity.svg"}
