"""Files for ShengBTE and FourPhonon, read by the rules of their manuals and by other programs."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import phonopy
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.file_IO import parse_FORCE_CONSTANTS
from phonopy.structure.atoms import PhonopyAtoms

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.formats.phonopy_files import write_phonopy
from mlff_dyn.formats.shengbte_files import write_shengbte
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.force_field import ForceField
from tests.formats.exported_force_fields import WURTZITE, force_fields, random_displacements
from tests.formats.written_constants import (
    energies_by_order,
    energy_of_clusters,
    largest_defect_of_sum_rule,
)
from tests.models import dipoles_of, random_force_field


def read_sparse(
    path: Path, order: int, lattice: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Sites, offsets and blocks of a file of order 3 or 4."""
    words = path.read_text(encoding="ascii").split()
    n_clusters, head, lines = int(words[0]), 1 + 3 * (order - 1) + order, 3**order
    table = np.array(words[1:], float).reshape(n_clusters, head + lines * (order + 1))
    np.testing.assert_array_equal(table[:, 0], np.arange(1, n_clusters + 1))
    cells = table[:, 1 : 1 + 3 * (order - 1)].reshape(n_clusters, order - 1, 3) @ np.linalg.inv(lattice)
    offsets = np.concatenate([np.zeros((n_clusters, 1, 3)), cells], axis=1)
    np.testing.assert_allclose(offsets, np.rint(offsets), atol=1e-9)
    elements = table[:, head:].reshape(n_clusters, lines, order + 1)
    expected = np.stack(np.indices((3,) * order), axis=-1).reshape(lines, order) + 1
    np.testing.assert_array_equal(elements[..., :-1], np.broadcast_to(expected, (n_clusters, lines, order)))
    sites = table[:, head - order : head].astype(int) - 1
    return sites, np.rint(offsets).astype(int), elements[..., -1].reshape(-1, *(3,) * order)


def read_control(path: Path) -> dict[str, list[str]]:
    """Words of each variable of the namelists."""
    found = re.findall(r"(\w+(?:\([:,\d]*\))?)=(.*)", path.read_text(encoding="ascii"))
    return {name: value.rstrip(",").split() for name, value in found}


def columns(control: dict[str, list[str]], name: str, count: int) -> NDArray[np.float64]:
    return np.array([control[name.format(number)] for number in range(1, count + 1)], float)


def crystal_of_control(path: Path) -> tuple[PhonopyAtoms, list[int]]:
    control = read_control(path)
    n_atoms = int(control["natoms"][0])
    elements = [each.strip('"') for each in control["elements"]]
    assert len(elements) == int(control["nelements"][0])
    cell = PhonopyAtoms(
        symbols=[elements[int(kind) - 1] for kind in control["types"]],
        cell=10.0 * float(control["lfactor"][0]) * columns(control, "lattvec(:,{})", 3),
        scaled_positions=columns(control, "positions(:,{})", n_atoms),
    )
    return cell, [int(each) for each in control["scell(:)"]]


def check_exchange(sites: NDArray[np.int64], offsets: NDArray[np.int64], blocks: NDArray[np.float64]) -> None:
    """Every arrangement of the atoms of a cluster is there, with the same numbers."""
    order = sites.shape[1]
    by_key = {
        (*each.tolist(), *cells.ravel().tolist()): block
        for each, cells, block in zip(sites, offsets, blocks, strict=True)
    }
    assert len(by_key) == len(blocks)
    for place in range(1, order):
        turn = np.roll(np.arange(order), place)
        for each, cells, block in zip(sites, offsets, blocks, strict=True):
            moved = cells[turn] - cells[turn[0]]
            other = by_key[(*each[turn].tolist(), *moved.ravel().tolist())]
            np.testing.assert_array_equal(other, block.transpose(turn))


@pytest.mark.parametrize("name", ["zincblende", "wurtzite", "local"])
def test_their_energies_are_those_of_the_force_field(name: str, tmp_path: Path) -> None:
    force_field, torus = force_fields()[name]
    names = write_shengbte(force_field, torus, tmp_path)
    assert names == ("FORCE_CONSTANTS_2ND", "FORCE_CONSTANTS_3RD", "FORCE_CONSTANTS_4TH", "CONTROL")
    displacements = random_displacements(torus)
    expected = energies_by_order(force_field, torus, displacements)
    positions = crystal_of_control(tmp_path / "CONTROL")[0].positions
    for order, file in ((3, names[1]), (4, names[2])):
        sites, offsets, blocks = read_sparse(tmp_path / file, order, torus.crystal.lattice)
        energy = energy_of_clusters(torus, positions, sites, offsets, blocks, displacements)
        assert energy == pytest.approx(expected[order], rel=1e-6)
        assert (np.abs(blocks).reshape(len(blocks), -1).max(axis=1) > 0.0).all()
        assert largest_defect_of_sum_rule(sites, offsets, blocks) < 1e-10 * len(blocks)
        check_exchange(sites, offsets, blocks)


@pytest.mark.parametrize("name", ["zincblende", "wurtzite", "local"])
def test_phonopy_finds_the_same_frequencies_from_order_2(name: str, tmp_path: Path) -> None:
    force_field, torus = force_fields()[name]
    write_shengbte(force_field, torus, tmp_path)
    check_frequencies(force_field, torus, tmp_path)


def check_frequencies(force_field: ForceField, torus: Torus, folder: Path) -> None:
    """Frequencies of the wave vectors that fit the training cell, of the crystal and supercell of CONTROL."""
    cell, extents = crystal_of_control(folder / "CONTROL")
    cell.masses = atomic_masses[cell.numbers]
    phonon = Phonopy(cell, np.diag(extents), primitive_matrix=np.eye(3), log_level=0)
    phonon.force_constants = parse_FORCE_CONSTANTS(folder / "FORCE_CONSTANTS_2ND")
    assert phonon.force_constants.shape[0] == np.prod(extents) * len(cell)
    (folder / "phonopy").mkdir()
    write_phonopy(force_field, torus, folder / "phonopy")
    known = phonopy.load(folder / "phonopy" / "phonopy_params.yaml", log_level=0, is_nac=False)
    cartesian = torus.wavevectors @ np.linalg.inv(torus.crystal.lattice).T
    found = []
    for each in (phonon, known):
        each.run_qpoints(cartesian @ each.primitive.cell.T)
        found.append(each.qpoints.frequencies)
    np.testing.assert_allclose(*found, atol=1e-5 * np.abs(found[1]).max())


def test_hiphive_reads_order_3(tmp_path: Path) -> None:
    force_constants = pytest.importorskip("hiphive").ForceConstants
    force_field, torus = random_force_field(bulk("ZnS", "zincblende", a=5.4), (3, 3, 3), {2: "full", 3: 2.5})
    names = write_shengbte(force_field, torus, tmp_path)
    assert "FORCE_CONSTANTS_4TH" not in names
    cell, _ = crystal_of_control(tmp_path / "CONTROL")
    primitive = Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
    supercell = primitive * (3, 3, 3)
    read = force_constants.read_shengBTE(supercell, str(tmp_path / "FORCE_CONSTANTS_3RD"), primitive)
    array = read.get_fc_array(3)
    atoms, _ = torus.match(supercell.positions)
    displacements = random_displacements(torus)
    energy = np.einsum("ijkabc,ia,jb,kc->", array, *(3 * [displacements[atoms]]), optimize=True) / 6.0
    assert energy == pytest.approx(energies_by_order(force_field, torus, displacements)[3], rel=1e-6)


def test_dipoles_are_in_order_2_and_their_tensors_in_control(tmp_path: Path) -> None:
    force_field, torus = random_force_field(WURTZITE, (2, 2, 1), {2: "full", 3: 2.5})
    dipoles = dipoles_of(torus.crystal)
    force_field = replace(force_field, long_range=dipoles)
    write_shengbte(force_field, torus, tmp_path)
    control = read_control(tmp_path / "CONTROL")
    assert control["nonanalytic"] == [".TRUE."]
    np.testing.assert_allclose(columns(control, "epsilon(:,{})", 3), dipoles.dielectric, atol=1e-11)
    for site in range(torus.crystal.n_sites):
        born = columns(control, f"born(:,{{}},{site + 1})", 3).T
        np.testing.assert_allclose(born, dipoles.charges[site], atol=1e-11)
    table = np.loadtxt((tmp_path / "FORCE_CONSTANTS_2ND").read_text().splitlines()[2:5])
    assert np.abs(table).max() > 0.1
    check_frequencies(force_field, torus, tmp_path)


def test_masses_that_are_not_natural_are_told(tmp_path: Path) -> None:
    atoms = WURTZITE.copy()
    atoms.set_masses(np.where(atoms.numbers == 30, 64.0, 32.06))
    force_field, torus = random_force_field(atoms, (2, 2, 1), {2: "full", 3: 2.5})
    write_shengbte(force_field, torus, tmp_path)
    control = read_control(tmp_path / "CONTROL")
    assert sorted(map(float, control["masses"])) == [32.06, 64.0]
    assert control["autoisotopes"] == [".FALSE."]


def test_order_3_is_needed(tmp_path: Path) -> None:
    force_field, torus = random_force_field(WURTZITE, (1, 1, 1), {2: "full"})
    with pytest.raises(DataError, match="no order 3"):
        write_shengbte(force_field, torus, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_supercell_that_only_a_huge_one_repeats_is_refused(tmp_path: Path) -> None:
    force_field, _ = random_force_field(WURTZITE, (2, 2, 1), {2: 2.5, 3: 2.5})
    skewed = Torus(force_field.basis.crystal, np.array([[5, 1, 0], [0, 5, 1], [1, 0, 5]]))
    with pytest.raises(UsageError, match="--supercell"):
        write_shengbte(force_field, skewed, tmp_path)
    assert not list(tmp_path.iterdir())
