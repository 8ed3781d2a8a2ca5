"""Small displacements that are not fitted tell how large truncation is at rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.observables.truncation import truncation_changes
from mlff_dyn.store.model_file import read_model, write_model
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.near_rest import near_rest
from tests.models import copper, crystal_of, emt_snapshots

FILE = Path("frames.extxyz")


@pytest.fixture(scope="module")
def force_field() -> ForceField:
    torus = input_supercell(crystal_of(copper()), (2, 2, 2))
    expansion = Expansion(build_basis(torus.crystal, {2: "full", 3: 3.0}, torus))
    snapshots = emt_snapshots((2, 2, 2), (0.1, 0.1), 1)
    return fit_force_field(expansion.basis, FitData(frames_of_snapshots(FILE, snapshots, expansion)))


def small_frames(force_field: ForceField, times: float) -> FitData:
    """Labelled by the force field with so many times the change that truncation makes."""
    snapshots = emt_snapshots((2, 2, 2), (0.01, 0.02), 5)
    data = FitData(frames_of_snapshots(FILE, snapshots, force_field.expansion))
    truth = force_field.posterior.mean + times * truncation_changes(force_field).sum(axis=1)
    forces = [data.force_rows(k) @ truth for k in range(len(data))]
    frames = [replace(frame, forces=each) for frame, each in zip(data.frames, forces, strict=True)]
    return FitData(frames)


def test_the_factor_is_that_of_the_change_in_the_labels(force_field: ForceField) -> None:
    assert truncation_changes(force_field).shape[1] == 1
    found = near_rest(force_field, small_frames(force_field, 100.0))
    assert found.factor == pytest.approx(100.0 / force_field.calibration, rel=0.02)
    assert f"{found.factor:.1f} times" in found.describe()[0]
    wider = replace(force_field, rest_factor=found.factor)
    np.testing.assert_allclose(
        truncation_changes(wider), found.factor * truncation_changes(force_field), rtol=1e-12
    )


def test_errors_as_expected_change_nothing(force_field: ForceField) -> None:
    found = near_rest(force_field, small_frames(force_field, 0.0))
    assert found.factor == 1.0
    assert found.found_relative < found.expected_relative
    assert not found.describe()


def test_a_model_keeps_it_and_is_the_same_file_without(force_field: ForceField, tmp_path: Path) -> None:
    write_model(tmp_path / "one.h5", force_field, {})
    write_model(tmp_path / "same.h5", replace(force_field, rest_factor=1.0), {})
    write_model(tmp_path / "wider.h5", replace(force_field, rest_factor=3.0), {})
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "same.h5").read_bytes()
    assert read_model(tmp_path / "one.h5")[0].rest_factor == 1.0
    assert read_model(tmp_path / "wider.h5")[0].rest_factor == 3.0
