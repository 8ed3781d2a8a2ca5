"""The training cell where the structure file has forces of larger cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from mlff_dyn.config.load import load_config
from tests.workflows.conftest import invoke

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.config.schema import Config

PROPOSED = ((2, 0, 0), (0, 2, 0), (0, 0, 2))


def first_of(structure: Path) -> tuple[Config, str]:
    config = structure.parent / "c.yaml"
    small = ["expansion.local=null", "expansion.cutoffs_angstrom={2: 4.0, 3: 3.0}"]
    options = [word for each in small for word in ("--set", each)]
    result = invoke("init", structure, "-o", config, "--run-dir", structure.parent / "run", *options)
    assert result.exit_code == 0, result.stderr
    return load_config(config), result.stderr


def file_of_phonopy(folder: Path, repeats: np.ndarray, *, with_forces: bool) -> Path:
    sites = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    salt = PhonopyAtoms(
        symbols=["Na"] * 4 + ["Cl"] * 4,
        cell=5.6 * np.eye(3),
        scaled_positions=np.vstack([sites, sites + 0.5]),
    )
    phonon = Phonopy(salt, repeats, primitive_matrix="P", log_level=0)
    phonon.generate_displacements()
    if with_forces:
        generator = np.random.default_rng(0)
        phonon.forces = generator.normal(0.0, 0.1, (2, len(phonon.supercell), 3))
    phonon.save(folder / "phonopy_params.yaml", settings={"displacements": True, "force_sets": with_forces})
    return folder / "phonopy_params.yaml"


@pytest.mark.filterwarnings("ignore:Warning. Point group symmetries of supercell")
@pytest.mark.parametrize(
    ("repeats", "with_forces", "expected"),
    [
        (3 * np.eye(3, dtype=int), True, ((3, 0, 0), (0, 3, 0), (0, 0, 3))),
        (3 * np.eye(3, dtype=int), False, PROPOSED),
        (np.eye(3, dtype=int), True, PROPOSED),
        (np.array([[2, 1, 0], [0, 2, 0], [0, 0, 3]]), True, ((2, 0, 0), (1, 2, 0), (0, 0, 3))),
    ],
)
def test_forces_of_larger_cells_are_not_lost(
    tmp_path: Path, repeats: np.ndarray, with_forces: bool, expected: tuple[tuple[int, ...], ...]
) -> None:
    """Smaller cells fit into the usual one; phonopy has vectors as columns."""
    config, said = first_of(file_of_phonopy(tmp_path, repeats, with_forces=with_forces))
    assert config.structure.supercell == expected
    assert ("of forces in" in said) == (expected != PROPOSED)
    of_orders = config.conductivity.supercell, config.conductivity.supercell_2
    assert of_orders == ((None, None) if expected == PROPOSED else (PROPOSED, expected))


def test_forces_that_cannot_be_read_are_left_to_training(tmp_path: Path) -> None:
    structure = file_of_phonopy(tmp_path, 3 * np.eye(3, dtype=int), with_forces=False)
    (tmp_path / "FORCE_SETS").write_text("216\n2\n")
    assert first_of(structure)[0].structure.supercell == PROPOSED
