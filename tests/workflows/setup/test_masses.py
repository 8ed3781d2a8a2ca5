"""Masses of isotopes: in the dynamics and in the files of phonopy, not in the symmetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ase.io
import numpy as np
import phonopy
import pytest
from ase.build import bulk

from mlff_dyn.config.load import load_config
from mlff_dyn.errors import ConfigError, DataError
from mlff_dyn.formats.phonopy_cells import phonopy_cells
from mlff_dyn.store.structure_file import read_structure
from mlff_dyn.workflows.setup.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "structure: {{file: {}, supercell: [1, 1, 1]{}}}\nexpansion: {{cutoffs_angstrom: {{2: full}}}}\n"


def workspace(folder: Path, masses_of_file: list[float] | None = None, more: str = "") -> Workspace:
    atoms = bulk("BAs", "zincblende", a=4.777, cubic=True)
    atoms.set_masses(masses_of_file or atoms.get_masses())
    ase.io.write(folder / "BAs.extxyz", atoms, columns=["symbols", "positions", "masses"])
    (folder / "c.yaml").write_text(CONFIG.format("BAs.extxyz", more))
    return Workspace(load_config(folder / "c.yaml"))


def test_a_mass_of_the_configuration_is_that_of_every_atom(tmp_path: Path) -> None:
    natural = workspace(tmp_path)
    heavy = workspace(tmp_path, more=", masses_amu: {B: 11.009}")
    numbers = heavy.training_torus.numbers
    assert set(heavy.training_torus.masses[numbers == 5]) == {11.009}
    assert set(heavy.training_torus.masses[numbers == 33]) == set(
        natural.training_torus.masses[numbers == 33]
    )
    assert heavy.crystal.space_group == natural.crystal.space_group == "F-43m (216)"
    assert heavy.basis_identity != natural.basis_identity


def test_phonopy_gets_the_masses(tmp_path: Path) -> None:
    torus = workspace(tmp_path, more=", masses_amu: {B: 10.0129}").training_torus
    phonon = phonopy.Phonopy(**phonopy_cells(torus), log_level=0)
    phonon.save(str(tmp_path / "phonopy.yaml"))
    again = read_structure(tmp_path / "phonopy.yaml")
    assert again.get_masses()[again.numbers == 5] == pytest.approx(10.0129)


def test_isotopes_on_one_site_need_their_average(tmp_path: Path) -> None:
    mixed = [10.0129 if i == 0 else 11.0093 if i % 2 == 0 else 74.92 for i in range(8)]
    with pytest.raises(DataError, match="one site") as caught:
        _ = workspace(tmp_path, mixed).crystal
    assert f"{{B: {np.mean(mixed[::2]):.6g}}}" in str(caught.value)
    assert workspace(tmp_path, mixed, ", masses_amu: {B: 10.81}").crystal.n_sites == 2


def test_a_mass_of_an_element_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no Si"):
        _ = workspace(tmp_path, more=", masses_amu: {Si: 28.0}").crystal
    for wrong in ("B: -1", "B: heavy", "B: .inf"):
        with pytest.raises(ConfigError, match="masses_amu"):
            workspace(tmp_path, more=f", masses_amu: {{{wrong}}}")


def test_masses_of_an_input_of_pw(tmp_path: Path) -> None:
    """Isotopes are kept, a placeholder is not."""
    text = (
        "&system\n ibrav=0, nat=2, ntyp=2\n/\nATOMIC_SPECIES\n Li1 1.0 Li.UPF\n H 2.014d0 H.UPF\n"
        "CELL_PARAMETERS angstrom\n 0 2 2\n 2 0 2\n 2 2 0\n"
        "ATOMIC_POSITIONS crystal\n Li1 0 0 0\n H .5 .5 .5\n"
    )
    (tmp_path / "LiD.in").write_text(text)
    assert read_structure(tmp_path / "LiD.in").get_masses() == pytest.approx([6.94, 2.014])
