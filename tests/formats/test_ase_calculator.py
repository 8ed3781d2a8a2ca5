"""The calculator from a model file: the force field, on atoms in any order."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

import mlff_dyn
from mlff_dyn.errors import DataError
from mlff_dyn.store.model_file import write_model
from tests.models import random_force_field


def test_a_model_file_or_its_run_directory_becomes_a_calculator(tmp_path: Path) -> None:
    cell = bulk("NaCl", "rocksalt", a=5.6)
    force_field, torus = random_force_field(cell, (2, 2, 2), {2: "full", 3: 2.9})
    write_model(tmp_path / "model.h5", force_field, {})
    atoms = cell * (2, 2, 2)
    atoms.positions += 0.05 * np.random.default_rng(2).standard_normal(atoms.positions.shape)
    sites, displacements = torus.match(atoms.positions)
    in_order = np.empty_like(displacements)
    in_order[sites] = displacements - displacements.mean(axis=0)
    energy, forces = force_field.on(torus).energy_forces(in_order)
    for source in (tmp_path / "model.h5", str(tmp_path)):
        shuffled = np.random.default_rng(1).permutation(len(atoms))
        mixed = atoms[shuffled]
        mixed.calc = mlff_dyn.load_calculator(source)
        assert mixed.get_potential_energy() == pytest.approx(energy, abs=1e-10)
        np.testing.assert_allclose(mixed.get_forces(), forces[sites][shuffled], atol=1e-10)
        assert mixed.calc.get_property("force_sd", mixed).shape == (len(atoms), 3)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.h5 does not exist"):
        mlff_dyn.load_calculator(tmp_path / "nothing.h5")
