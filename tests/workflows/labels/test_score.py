"""`label score`: expected errors of frames in any file, and a choice that is written as inputs."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

import mlff_dyn
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.model_file import read_model
from mlff_dyn.training.frame_choice import choose_frames, information_pool
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from tests.models import copper, emt_snapshots
from tests.workflows.conftest import invoke
from tests.workflows.training_project import content, refused

ENGINE = '{kind: ase, parameters: {calculator: "ase.calculators.emt:EMT"}}'


def frames_of(supercell: tuple[int, int, int], sds: tuple[float, ...], seed: int = 5) -> list[Atoms]:
    return [
        Atoms(numbers=s.numbers, positions=s.positions, cell=s.cell, pbc=True)
        for s in emt_snapshots(supercell, sds, seed=seed)
    ]


def scored(*args: object) -> dict:
    result = invoke("label", "score", *args, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.fixture
def written(project: Path) -> list[Atoms]:
    frames = frames_of((2, 2, 2), (0.04, 0.12, 0.06, 0.1, 0.05, 0.08))
    ase.io.write(project / "frames.traj", frames)
    return frames


def test_errors_are_those_of_the_calculator(project: Path, written: list[Atoms]) -> None:
    """The calculator knows nothing of frames and files."""
    calculator = mlff_dyn.load_calculator(project / "run")
    sds = []
    for atoms in written:
        atoms.calc = calculator
        sds.append(np.sqrt(np.mean(calculator.get_property("force_sd", atoms) ** 2)))
    answer = scored(project / "run" / "model.h5", project / "frames.traj")
    found = [frame["predictive_ev_per_angstrom"] for frame in answer["frames"]]
    assert found == pytest.approx(sds, rel=1e-9)
    assert answer["force_sd_predictive_ev_per_angstrom"] == pytest.approx(np.sqrt(np.mean(np.square(sds))))
    assert answer["worst_frame"] == 1 + int(np.argmax(sds))


@pytest.mark.parametrize(
    "name", ["XDATCAR", "x.extxyz", "x.extxyz.gz", "a@1.traj", "x.xyz.xz", "XDATCAR.bz2"]
)
def test_every_form_of_a_trajectory_has_the_same_errors(
    project: Path, written: list[Atoms], name: str
) -> None:
    ase.io.write(
        project / name, written, **({"format": "vasp-xdatcar"} if name.startswith("XDATCAR") else {})
    )
    first, second = (scored(project / "CONFIG.yaml", project / file) for file in ("frames.traj", name))
    for one, other in zip(first["frames"], second["frames"], strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    assert first["next"] == second["next"]


def test_own_trajectories_are_read(project: Path) -> None:
    assert invoke("run-md", project / "CONFIG.yaml", "-q").exit_code == 0
    answer = scored(project / "CONFIG.yaml", project / "run/md/300K-7/trajectory.h5", "--stride", 10)
    assert [frame["frame"] for frame in answer["frames"]][:3] == [1, 11, 21]
    md = json.loads((project / "run/md/300K-7/md.json").read_text())
    assert answer["force_sd_predictive_ev_per_angstrom"] == pytest.approx(md["force_sd_mean"], rel=0.2)


def test_strain_rotation_and_order_of_the_atoms_do_not_matter(project: Path) -> None:
    plain = frames_of((2, 2, 2), (0.07,))[0]
    moved = plain.copy()[::-1]
    moved.rotate(3, "z", rotate_cell=True)
    moved.wrap()
    strained = plain.copy()
    strained.set_cell(plain.cell.array @ np.diag([1.02, 1.0, 1.0]), scale_atoms=True)
    ase.io.write(project / "x.extxyz", [plain, moved, strained])
    first, second, third = scored(project / "CONFIG.yaml", project / "x.extxyz")["frames"]
    assert second == pytest.approx({**first, "frame": 2}, rel=1e-5)
    assert third["predictive_ev_per_angstrom"] == pytest.approx(first["predictive_ev_per_angstrom"], rel=0.3)


def test_the_choice_is_that_of_training(project: Path, written: list[Atoms]) -> None:
    force_field = read_model(project / "run" / "model.h5")[0]
    matches = [
        match_structure(force_field.basis.crystal, atoms.cell.array, atoms.positions, atoms.numbers)
        for atoms in written
    ]
    dataset = project / "run" / "dataset.extxyz"
    labelled = frames_of_snapshots(dataset, read_snapshots(dataset), force_field.expansion)
    displacements = np.array([match.displacements for match in matches])
    pool = information_pool(force_field, matches[0].torus, displacements, labelled)
    expected = choose_frames(pool, "i-optimal", 3)
    answer = scored(project / "CONFIG.yaml", project / "frames.traj", "--n", 3)
    assert answer["next"] == [1 + k for k in expected]
    errors = answer["expected_epistemic_ev_per_angstrom"]
    assert errors == sorted(errors, reverse=True)
    assert len(errors) == 4
    assert errors[0] == pytest.approx(answer["force_sd_epistemic_ev_per_angstrom"], rel=1e-6)
    assert answer["next"] == scored(project / "run/model.h5", project / "frames.traj", "--n", 3)["next"]


def test_frames_outside_are_named_and_not_chosen(project: Path) -> None:
    good, hopped, far = frames_of((2, 2, 2), (0.05, 0.05, 0.05))
    hopped.positions[3] += [1.5, 0.0, 0.0]
    far.positions += 6.0 * (far.positions - (copper() * (2, 2, 2)).positions)
    stranger = bulk("Al", cubic=True) * (2, 2, 2)
    ase.io.write(project / "x.extxyz", [hopped, good, stranger, far])
    answer = scored(project / "CONFIG.yaml", project / "x.extxyz")
    outside = {frame["frame"]: frame.get("outside", "") for frame in answer["frames"]}
    assert outside[2] == ""
    assert "from its site" in outside[1]
    assert outside[3]
    assert "than the data" in outside[4] or "from its site" in outside[4]
    assert answer["n_outside"] == 3
    assert set(answer["next"]) <= {2, 4}
    table = invoke("label", "score", project / "CONFIG.yaml", project / "x.extxyz", "-q").stdout
    assert "outside" in table
    assert "frame 1: atom 4 (Cu) is" in table


def test_frames_at_rest_teach_nothing(project: Path, written: list[Atoms]) -> None:
    at_rest = copper() * (2, 2, 2)
    ase.io.write(project / "rest.traj", at_rest)
    alone = scored(project / "CONFIG.yaml", project / "rest.traj")
    assert alone["next"] == []
    assert alone["force_sd_epistemic_ev_per_angstrom"] == pytest.approx(0.0, abs=1e-9)
    assert alone["force_sd_truncation_ev_per_angstrom"] >= 0.0
    ase.io.write(project / "both.traj", [at_rest, *written])
    answer = scored(project / "CONFIG.yaml", project / "both.traj")
    assert answer["n_outside"] == 0
    assert sorted(answer["next"]) == list(range(2, 2 + len(written)))


def test_chosen_frames_become_inputs_once(project: Path, written: list[Atoms]) -> None:
    given = [project / "CONFIG.yaml", project / "frames.traj", "--n", 2, "--set", f"engine={ENGINE}"]
    calculations = project / "run" / "calculations"
    answer = scored(*given, "--write", calculations, "--dry-run")
    assert not calculations.exists()
    assert scored(*given, "--write", calculations)["directories"] == answer["directories"]
    names = [f"frames-{number:06d}" for number in answer["next"]]
    assert sorted(path.name for path in calculations.iterdir()) == sorted(names)
    atoms = ase.io.read(calculations / names[0] / "input.extxyz")
    for each in (atoms, frame := written[answer["next"][0] - 1]):
        each.calc = EMT()
    assert atoms.get_potential_energy() == pytest.approx(frame.get_potential_energy(), abs=1e-9)
    before = content(calculations)
    scored(*given, "--write", calculations)
    assert content(calculations) == before
    frames = frames_of((2, 2, 2), (0.04, 0.12, 0.06, 0.1, 0.05, 0.08), seed=6)
    ase.io.write(project / "frames.traj", frames)
    again = invoke("label", "score", *given, "--n", 6, "--write", calculations)
    refused(again, 2, "exists", "--write")
    assert content(calculations) == before


def test_scaled_frames_are_those_of_a_file_with_scaled_displacements(
    project: Path, written: list[Atoms]
) -> None:
    """Which no frame of the data set is, and whose inputs have names of their own."""
    rest = (copper() * (2, 2, 2)).positions
    scaled = [each.copy() for each in written]
    for each in scaled:
        each.positions = rest + 0.3 * (each.positions - rest)
    ase.io.write(project / "scaled.traj", scaled)
    given = (project / "CONFIG.yaml", project / "frames.traj", "--set", f"engine={ENGINE}", "--n", 1)
    calculations = project / "run" / "calculations"
    answer = scored(*given, "--scale", 0.3, "--write", calculations)
    expected = scored(project / "CONFIG.yaml", project / "scaled.traj", "--n", 1)
    for one, other in zip(answer["frames"], expected["frames"], strict=True):
        assert one == pytest.approx(other, rel=1e-6)
    assert [path.name for path in calculations.iterdir()] == [f"frames-times-0.3-{answer['next'][0]:06d}"]
    (directory,) = calculations.iterdir()
    atoms, same = ase.io.read(directory / "input.extxyz"), scaled[answer["next"][0] - 1]
    for each in (atoms, same):
        each.calc = EMT()
    assert atoms.get_potential_energy() == pytest.approx(same.get_potential_energy(), abs=1e-9)
    refused(invoke("label", "score", *given, "--scale", 0), 2, "--scale")


def test_what_cannot_be_scored_is_one_line(project: Path, written: list[Atoms]) -> None:
    model = project / "run" / "model.h5"
    refused(invoke("label", "score", model, project / "frames.traj", "--write", "x"), 2, "CONFIG.yaml")
    refused(invoke("label", "score", model, project / "none"), 3, "does not exist")
    (project / "junk").write_bytes(bytes(range(256)) * 9)
    refused(invoke("label", "score", model, project / "junk", "-q"), 3, "junk", "ASE")
    ase.io.write(project / "al.extxyz", bulk("Al", cubic=True) * (2, 2, 2))
    refused(invoke("label", "score", model, project / "al.extxyz", "-q"), 3, "no frame belongs")
    refused(invoke("label", "score", model, model, "-q"), 3, "trajectory")


def test_a_trajectory_that_is_still_written_is_scored_as_far_as_it_goes(
    project: Path, written: list[Atoms]
) -> None:
    path = project / "XDATCAR"
    ase.io.write(path, written, format="vasp-xdatcar")
    path.write_text(path.read_text()[:-500])
    answer = scored(project / "CONFIG.yaml", path)
    assert answer["n_frames"] == len(written) - 1
    assert "frame 6 is cut" in answer["warnings"][0]


def test_frames_of_the_data_set_are_not_chosen_again(project: Path) -> None:
    snapshots = read_snapshots(project / "run" / "dataset.extxyz")
    known = [Atoms(numbers=s.numbers, positions=s.positions, cell=s.cell, pbc=True) for s in snapshots]
    ase.io.write(project / "XDATCAR", [*known, *frames_of((2, 2, 2), (0.1, 0.1))], format="vasp-xdatcar")
    answer = scored(project / "CONFIG.yaml", project / "XDATCAR")
    assert answer["n_labelled"] == len(known)
    assert sorted(answer["next"]) == [len(known) + 1, len(known) + 2]
    table = invoke("label", "score", project / "CONFIG.yaml", project / "XDATCAR", "-q").stdout
    assert f"frames 1-{len(known)}\n" in table
