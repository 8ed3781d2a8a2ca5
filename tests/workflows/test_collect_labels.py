"""`label collect` and data sets of other programs on the command line, from files to a model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.store.dataset import read_snapshots, write_snapshots
from tests.workflows.conftest import invoke


def test_a_folder_becomes_one_data_set_once(tmp_path: Path, shared_data: Path) -> None:
    output = tmp_path / "dataset.extxyz"
    command = ("label", "collect", shared_data / "SnSe-sevennet", "-o", output)
    result = invoke(*command, "--json")
    answer = json.loads(result.stdout)
    assert (answer["n_frames"], answer["n_energies"]) == (29, 29), result.stderr
    assert [kind["kind"] for kind in answer["kinds"]] == ["extended XYZ"]
    assert "unitcell.extxyz: frame 1: there are no forces" in answer["refused"][-1]
    found = read_snapshots(output)
    assert {each.provenance.step for each in found} == set(range(1, 21))
    assert all(str(each.provenance.file).endswith(".extxyz") for each in found)
    before = output.read_bytes()
    again = invoke(*command)
    assert (again.exit_code, output.read_bytes()) == (2, before)
    assert "--force" in again.stderr
    assert invoke(*command, "--force", "--steps", "last").exit_code == 0
    assert len(read_snapshots(output)) < 29
    itself = invoke("label", "collect", output, "-o", output, "--force")
    assert (itself.exit_code, "is one of the files to read" in itself.stderr) == (2, True)


def test_labels_of_two_settings_are_mixed_on_demand_only(project: Path) -> None:
    frames = read_snapshots(project / "frames.extxyz")
    for name, part in (("a", frames[:3]), ("b", frames[3:])):
        marked = [replace(each, provenance=replace(each.provenance, label_engine=name)) for each in part]
        write_snapshots(project / f"{name}.extxyz", marked)
    given = ("--dataset", project / "a.extxyz", "--dataset", project / "b.extxyz")
    command = ("train", project / "CONFIG.yaml", "--static", "--run-dir", project / "other", *given)
    mixed = invoke(*command)
    assert mixed.exit_code == 3
    assert "a.extxyz, step 1 and" in mixed.stderr
    assert "b.extxyz, step 1 were labelled with different settings" in mixed.stderr
    assert not (project / "other/dataset.extxyz").exists()
    allowed = invoke(*command, "--allow-mixed")
    assert allowed.exit_code == 0, allowed.stderr
    assert len(read_snapshots(project / "other/dataset.extxyz")) == len(frames)
    assert "up to date" in invoke(*command, "--allow-mixed").stdout


@pytest.mark.parametrize("steps", ["1:2:3:4", "first", "::0"])
def test_a_wrong_choice_of_steps_is_refused(project: Path, steps: str) -> None:
    result = invoke(
        "label", "collect", project / "frames.extxyz", "-o", project / "x.extxyz", "--steps", steps
    )
    assert (result.exit_code, "no choice of steps" in result.stderr) == (2, True)


def test_displaced_cells_of_phono3py_are_trained_on_and_validated(tmp_path: Path, shared_data: Path) -> None:
    structure = shared_data / "Si-PBEsol-vasp/phono3py_disp.yaml"
    cutoffs = "expansion.cutoffs_angstrom={2: full, 3: 3.0}"
    config = tmp_path / "CONFIG.yaml"
    options = ("--set", cutoffs, "--set", "expansion.local=null")
    assert invoke("init", structure, "-o", config, "--set", f"run_dir={tmp_path / 'run'}").exit_code == 0
    trained = invoke("train", config, "--static", *options, "--dataset", structure.parent, "--json")
    assert trained.exit_code == 0, trained.stderr
    assert json.loads(trained.stdout)["rmse_force_relative"] < 0.01
    judged = invoke("validate", tmp_path / "run/model.h5", structure.with_name("FORCES_FC3"), "--json")
    assert judged.exit_code == 0, judged.stderr
    assert json.loads(judged.stdout)["n_forces"] == 111 * 192
    stored = read_snapshots(tmp_path / "run/dataset.extxyz")
    assert [each.n_atoms for each in stored[:3]] == [512, 64, 64]
    assert str(stored[7].provenance.file).endswith("disp-00007/vasprun.xml")
    assert np.allclose(stored[1].forces_ev_per_angstrom[0], [-0.39682014, 0.0, 0.0])


def test_a_frame_of_another_crystal_is_named_with_its_file(project: Path, shared_data: Path) -> None:
    frames = read_snapshots(project / "frames.extxyz")
    (project / "old").mkdir()
    write_snapshots(project / "old/a.extxyz", frames[:2])
    (project / "old/b.extxyz").write_bytes((shared_data / "SnSe-sevennet/test.extxyz").read_bytes())
    output = project / "all.extxyz"
    command = ("label", "collect", project / "old", "-o", output)
    refused = invoke(*command, "--config", project / "CONFIG.yaml")
    assert refused.exit_code == 3
    assert "old, frame 3 (" in refused.stderr
    assert "b.extxyz, step 1): " in refused.stderr
    assert not output.exists()
    assert "refused" not in invoke(*command, "--dry-run").stdout
    assert not output.exists()
