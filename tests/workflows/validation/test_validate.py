"""`validate`: errors against labelled frames of any cell and order, and the error bars against the errors."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import mlff_dyn
from mlff_dyn.errors import DataError
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.store.model_file import read_model, write_model
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.workflows.snapshots import displaced_atoms
from mlff_dyn.workflows.validation.validate import validate
from tests.models import emt_snapshots, with_parameters
from tests.workflows.conftest import invoke


def walk(values: object, path: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of a JSON object with their dotted paths."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from walk(value, f"{path}.{name}")
    elif isinstance(values, int | float):
        yield path, float(values)


def test_errors_are_those_of_the_calculator(project: Path) -> None:
    """The calculator knows neither rows nor design matrices."""
    snapshots = read_snapshots(project / "test.extxyz")
    calculator = mlff_dyn.load_calculator(project / "run")
    force_errors, energy_errors, sds = [], [], []
    for snapshot in snapshots:
        atoms = Atoms(numbers=snapshot.numbers, positions=snapshot.positions, cell=snapshot.cell, pbc=True)
        atoms.calc = calculator
        reference = snapshot.forces_ev_per_angstrom - snapshot.forces_ev_per_angstrom.mean(axis=0)
        force_errors.append((atoms.get_forces() - reference).ravel())
        energy_errors.append((atoms.get_potential_energy() - snapshot.energy_ev) / len(atoms))
        sds.append(calculator.get_property("force_sd", atoms).ravel())
    errors, sd = np.concatenate(force_errors), np.concatenate(sds)
    report = validate(project / "run" / "model.h5", project / "test.extxyz")
    assert report.rmse_force_ev_per_angstrom == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-9)
    assert report.mae_force_ev_per_angstrom == pytest.approx(np.abs(errors).mean(), rel=1e-9)
    assert report.rmse_energy_ev_per_atom == pytest.approx(
        np.sqrt(np.mean(np.square(energy_errors))), rel=1e-6
    )
    assert report.calibration_z == pytest.approx(np.sqrt(np.mean((errors / sd) ** 2)), rel=1e-6)
    assert report.fraction_within_one_sd == pytest.approx(np.mean(np.abs(errors) <= sd))
    assert 1.0 - report.r2 == pytest.approx(report.rmse_force_relative**2, rel=1e-3)
    assert (report.n_snapshots, report.n_forces) == (2, 2 * 48 * 3)


def test_the_command_prints_them_and_the_model_is_good(project: Path) -> None:
    result = invoke("validate", project / "run" / "model.h5", project / "test.extxyz", "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["rmse_force_relative"] < 0.1
    assert answer["rmse_energy_ev_per_atom"] < 0.002
    assert 0.5 < answer["calibration_z"] < 2.0
    assert "within one sd" in invoke("validate", project / "run/model.h5", project / "test.extxyz").stdout


def test_the_order_of_atoms_and_a_rigid_shift_do_not_matter(project: Path) -> None:
    expected = validate(project / "run" / "model.h5", project / "test.extxyz")
    generator = np.random.default_rng(0)
    moved = []
    for snapshot in read_snapshots(project / "test.extxyz"):
        order = generator.permutation(snapshot.n_atoms)
        moved.append(
            replace(
                snapshot,
                positions=snapshot.positions[order] + [0.3, -0.1, 5.0],
                forces_ev_per_angstrom=snapshot.forces_ev_per_angstrom[order],
            )
        )
    write_snapshots(project / "moved.extxyz", moved)
    found = validate(project / "run" / "model.h5", project / "moved.extxyz")
    first, second = (dict(walk(report.to_json())) for report in (found, expected))
    assert first == pytest.approx(second, rel=1e-6, abs=1e-12)


def test_a_perfect_model_has_no_error(project: Path) -> None:
    force_field, _ = read_model(project / "run" / "model.h5")
    truth = with_parameters(force_field.basis, force_field.posterior.mean)
    write_model(project / "truth.h5", truth, {})
    first = read_snapshots(project / "test.extxyz")[0]
    match = match_structure(truth.basis.crystal, first.cell, first.positions, first.numbers)
    energy, forces = truth.on(match.torus).energy_forces(match.displacements)
    atoms = displaced_atoms(match.torus, match.displacements)
    labelled = replace(
        first,
        numbers=atoms.numbers,
        positions=atoms.positions,
        energy_ev=energy,
        forces_ev_per_angstrom=forces,
    )
    write_snapshots(project / "frames.extxyz", [labelled])
    report = validate(project / "truth.h5", project / "frames.extxyz")
    assert report.rmse_force_ev_per_angstrom < 1e-10
    assert report.rmse_energy_ev_per_atom < 1e-10
    assert (report.r2, report.fraction_within_one_sd) == (pytest.approx(1.0), 1.0)


def test_frames_without_energy_have_no_energy_error(project: Path) -> None:
    frames = [replace(snapshot, energy_ev=None) for snapshot in read_snapshots(project / "test.extxyz")]
    write_snapshots(project / "forces.extxyz", frames)
    report = validate(project / "run" / "model.h5", project / "forces.extxyz")
    assert report.rmse_energy_ev_per_atom is None
    assert ("energy rmse", "no energies") in report.table()


def test_parts_of_the_frames_add_up(project: Path) -> None:
    """Squared errors of elements and of temperatures sum to the total; unknown temperatures are left out."""
    frames = [
        replace(snapshot, provenance=Provenance(temperature_kelvin=temperature))
        for snapshot, temperature in zip(read_snapshots(project / "test.extxyz"), (300, 900), strict=True)
    ]
    write_snapshots(project / "hot.extxyz", frames)
    report = validate(project / "run" / "model.h5", project / "hot.extxyz")
    for parts in (report.per_species, report.per_temperature):
        found = [part.agreement for part in parts.values()]
        assert sum(part.n for part in found) == report.n_forces
        total = sum(part.n * part.rmse**2 for part in found)
        assert total == pytest.approx(report.n_forces * report.rmse_force_ev_per_angstrom**2)
    assert (list(report.per_species), list(report.per_temperature)) == (["Cu"], ["300", "900"])
    assert validate(project / "run" / "model.h5", project / "test.extxyz").per_temperature == {}


def test_every_kind_of_error_is_compared(project: Path) -> None:
    answer = validate(project / "run" / "model.h5", project / "test.extxyz").to_json()
    assert set(answer["force"]["errors"]) == {"epistemic", "truncation", "predictive"}
    assert set(answer["energy"]["errors"]) == {"epistemic", "truncation", "predictive"}
    assert set(answer["force"]["errors"]["predictive"]["coverage"]) == {"50", "68", "90", "95"}
    assert answer["force"]["errors"]["predictive"]["calibration_z"] == answer["calibration_z"]
    sd = {name: part["sd_ev_per_angstrom"] for name, part in answer["force"]["errors"].items()}
    assert sd["predictive"] == pytest.approx(np.hypot(sd["epistemic"], sd["truncation"]))
    assert answer["stress"] is None


def test_energies_of_another_zero_are_pointed_out(project: Path) -> None:
    frames = [
        replace(snapshot, energy_ev=(snapshot.energy_ev or 0.0) + 2.0 * snapshot.n_atoms)
        for snapshot in read_snapshots(project / "test.extxyz")
    ]
    write_snapshots(project / "shifted.extxyz", frames)
    report = validate(project / "run" / "model.h5", project / "shifted.extxyz")
    assert "off by -2 eV per atom" in report.warnings[0]


def test_report_and_plots_are_written_where_asked(project: Path, tmp_path: Path) -> None:
    """Beside the model by default; what is printed is what is written; nothing else changes."""
    model, file = project / "run" / "model.h5", project / "test.extxyz"
    result = invoke("validate", model, file, "--json")
    folder = project / "run" / "validate"
    assert sorted(path.name for path in folder.iterdir()) == [
        "test-calibration.png",
        "test.json",
        "test.png",
    ]
    written = json.loads((folder / "test.json").read_text())
    assert written | json.loads(result.stdout) == written
    assert invoke("validate", model, file, "-o", tmp_path / "there").exit_code == 0
    assert (tmp_path / "there" / "test.png").read_bytes() == (folder / "test.png").read_bytes()
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert invoke("validate", model, file, "-o", tmp_path / "file").exit_code == 3


def test_a_frame_of_another_crystal_is_refused_by_number(project: Path) -> None:
    good, other = read_snapshots(project / "test.extxyz")
    write_snapshots(project / "mixed.extxyz", [good, replace(other, cell=1.1 * other.cell)])
    with pytest.raises(DataError, match=r"mixed\.extxyz, frame 2"):
        validate(project / "run" / "model.h5", project / "mixed.extxyz")
    assert invoke("validate", project / "run" / "model.h5", project / "mixed.extxyz").exit_code == 3


def test_forces_that_cannot_be_noise_are_named(project: Path) -> None:
    """Two force rows exchanged in one frame; and no word about hot frames."""

    def warnings(frames: list[Snapshot]) -> Sequence[str]:
        write_snapshots(project / "some.extxyz", frames)
        return validate(project / "run" / "model.h5", project / "some.extxyz").warnings

    good = [*read_snapshots(project / "test.extxyz"), *emt_snapshots((2, 2, 2), (0.2,), seed=11)]
    assert not any("force on atom" in line for line in warnings(good))
    forces = good[1].forces_ev_per_angstrom.copy()
    forces[[3, 20]] = forces[[20, 3]]
    wrong = [good[0], replace(good[1], forces_ev_per_angstrom=forces), *good[2:]]
    (line,) = (line for line in warnings(wrong) if "force on atom" in line)
    assert "frame 2: force on atom 4 (Cu) off by" in line or "frame 2: force on atom 21 (Cu) off by" in line
