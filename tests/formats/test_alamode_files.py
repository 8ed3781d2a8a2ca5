"""The file for anphon, read by its rules: permutations and images as it makes them."""

import math
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.alamode_files import write_alamode
from mlff_dyn.lattice.torus import Torus
from tests.formats.exported_force_fields import WURTZITE, force_fields, random_displacements
from tests.formats.written_constants import energies_by_order
from tests.models import dipoles_of, random_force_field

BOHR, RYDBERG = 0.529177210544, 13.605693122990
IMAGES = [(0, 0, 0), *(each for each in product((-1, 0, 1), repeat=3) if any(each))]

Entry = tuple[float, list[tuple[int, int, int]]]


def read_entries(data: ET.Element, order: int) -> list[Entry]:
    """Value in eV/Å^order and (atom, axis, image) of each place, all from 0, with what anphon adds."""
    group = data.find("ForceConstants/" + ("HARMONIC" if order == 2 else f"ANHARM{order}"))
    assert group is not None
    entries = []
    for element in group:
        assert element.tag == f"FC{order}"
        words = [
            [int(word) - 1 for word in element.attrib[f"pair{place}"].split()]
            for place in range(1, order + 1)
        ]
        assert len(words[0]) == 2
        keys = [3 * atom + axis for atom, axis, _ in words[1:]]
        assert keys == sorted(keys)
        value = float(element.text or "") * RYDBERG / BOHR**order
        first = (words[0][0], words[0][1], 0)
        rest = [(atom, axis, image) for atom, axis, image in words[1:]]
        seen = {tuple(keys[place] for place in turn): turn for turn in permutations(range(order - 1))}
        entries += [(value, [first, *(rest[place] for place in turn)]) for turn in seen.values()]
    return entries


def energy_of(data: ET.Element, order: int, torus: Torus, displacements: NDArray[np.float64]) -> float:
    """Energy of one order, of all translations."""
    table = np.zeros((torus.crystal.n_sites, torus.n_cells), int)
    for each in data.findall("Symmetry/Translations/map"):
        table[int(each.attrib["atom"]) - 1, int(each.attrib["tran"]) - 1] = int(each.text or "") - 1
    atoms, away = torus.match(read_positions(data))
    assert np.abs(away).max() < 1e-6
    _, cells = np.divmod(atoms, torus.n_cells)
    moved = displacements[atoms]
    own = np.empty(torus.n_atoms, int)
    own[atoms] = np.arange(torus.n_atoms)
    energy = 0.0
    entries = read_entries(data, order)
    for translation in range(torus.n_cells):
        offset = torus.offsets[cells[table[0, translation]]]
        sites = atoms // torus.n_cells
        target = own[sites * torus.n_cells + torus.cell_index(torus.offsets[cells] + offset)]
        np.testing.assert_array_equal(target[table[:, 0]], table[:, translation])
        shifted = moved[target]
        for value, places in entries:
            product_of = shifted[table[places[0][0], 0], places[0][1]]
            for atom, axis, _ in places[1:]:
                product_of *= shifted[atom, axis]
            energy += value * product_of
    return energy / math.factorial(order)


def read_lattice(data: ET.Element) -> NDArray[np.float64]:
    vectors = [data.findtext(f"Structure/LatticeVector/a{number}", "").split() for number in (1, 2, 3)]
    return BOHR * np.array(vectors, float)


def read_positions(data: ET.Element) -> NDArray[np.float64]:
    words = [(each.text or "").split() for each in data.findall("Structure/Position/pos")]
    return np.array(words, float) @ read_lattice(data)


def phonons(data: ET.Element, torus: Torus, wavevector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eigenvalues of the dynamical matrix of order 2, with the vectors between images."""
    n_sites = torus.crystal.n_sites
    positions, lattice = read_positions(data), read_lattice(data)
    home = [int(each.text or "") - 1 for each in data.findall("Symmetry/Translations/map")[:n_sites]]
    sites = np.repeat(np.arange(n_sites), torus.n_cells)
    matrix = np.zeros((n_sites, 3, n_sites, 3), complex)
    for value, ((site, axis, _), (atom, other, image)) in read_entries(data, 2):
        vector = positions[atom] + np.array(IMAGES[image]) @ lattice - positions[home[site]]
        matrix[site, axis, sites[atom], other] += value * np.exp(1j * vector @ wavevector)
    return np.linalg.eigvalsh(matrix.reshape(3 * n_sites, -1))


@pytest.mark.parametrize("name", ["zincblende", "wurtzite", "local", "dipoles"])
def test_its_energies_are_those_of_the_force_field(name: str, tmp_path: Path) -> None:
    force_field, torus = force_fields()["wurtzite" if name == "dipoles" else name]
    if name == "dipoles":
        force_field = replace(force_field, long_range=dipoles_of(torus.crystal))
    names = write_alamode(force_field, torus, tmp_path)
    assert names == (("BORNINFO", "model.xml") if name == "dipoles" else ("model.xml",))
    data = ET.parse(tmp_path / "model.xml").getroot()
    np.testing.assert_allclose(read_lattice(data), torus.lattice, rtol=1e-12)
    displacements = random_displacements(torus)
    expected = energies_by_order(force_field, torus, displacements)
    for order in (2, 3, 4):
        energy = energy_of(data, order, torus, displacements)
        assert energy == pytest.approx(expected[order], rel=1e-6)
    if name == "dipoles":
        table = np.loadtxt(tmp_path / "BORNINFO").reshape(-1, 3, 3)
        np.testing.assert_allclose(table[0], force_field.long_range.dielectric, atol=1e-11)
        np.testing.assert_allclose(table[1:], force_field.long_range.charges, atol=1e-11)


def test_vectors_between_images_are_those_of_the_clusters(tmp_path: Path) -> None:
    """Between the wave vectors of a supercell, right images give the phonons of a larger one."""
    force_field, torus = random_force_field(WURTZITE, (3, 3, 2), {2: 3.0, 3: 2.5})
    write_alamode(force_field, torus, tmp_path)
    data = ET.parse(tmp_path / "model.xml").getroot()
    large, folder = Torus(torus.crystal, 2 * torus.matrix), tmp_path / "large"
    folder.mkdir()
    write_alamode(force_field, large, folder)
    same = ET.parse(folder / "model.xml").getroot()
    for wavevector in np.random.default_rng(2).standard_normal((3, 3)):
        np.testing.assert_allclose(
            phonons(data, torus, wavevector), phonons(same, large, wavevector), atol=1e-9
        )
    positions, lattice = read_positions(data), read_lattice(data)
    homes = [int(each.text or "") - 1 for each in data.findall("Symmetry/Translations/map")[:4]]
    for _, ((site, _, _), *rest) in read_entries(data, 3):
        for atom, _, image in rest:
            vector = positions[atom] + np.array(IMAGES[image]) @ lattice - positions[homes[site]]
            assert np.linalg.norm(vector) < 2.5


def test_a_supercell_that_clusters_reach_beyond_is_refused(tmp_path: Path) -> None:
    force_field, _ = random_force_field(WURTZITE, (3, 3, 2), {2: 3.0, 3: 5.2})
    single = Torus(force_field.basis.crystal, np.eye(3, dtype=int))
    with pytest.raises(UsageError, match="--supercell"):
        write_alamode(force_field, single, tmp_path)
    assert not list(tmp_path.iterdir())
