"""Files for TDEP, read by the rules of its readers."""

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.tdep_files import write_tdep
from tests.formats.exported_force_fields import WURTZITE, force_fields, random_displacements
from tests.formats.written_constants import (
    energies_by_order,
    energy_of_clusters,
    largest_defect_of_sum_rule,
)
from tests.models import dipoles_of, random_force_field

FILES = {2: "", 3: "_thirdorder", 4: "_fourthorder"}


def read_constants(
    path: Path, order: int
) -> tuple[float, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Cutoff, sites, offsets and blocks."""
    lines = iter(path.read_text(encoding="ascii").splitlines())
    n_sites, cutoff = int(next(lines).split()[0]), float(next(lines).split()[0])
    sites, offsets, blocks = [], [], []
    for site in range(n_sites):
        for _ in range(int(next(lines).split()[0])):
            named = order if order > 2 else 1
            atoms = [int(next(lines).split()[0]) - 1 for _ in range(named)]
            cells = [[float(word) for word in next(lines).split()] for _ in range(named)]
            if order == 2:
                atoms, cells = [site, *atoms], [[0.0, 0.0, 0.0], *cells]
            assert (atoms[0], cells[0]) == (site, [0.0, 0.0, 0.0])
            sites.append(atoms)
            offsets.append(np.rint(cells).astype(int))
            blocks.append([next(lines).split() for _ in range(3 ** (order - 1))])
    rest = list(lines)
    assert [line.split()[0] for line in rest] == (["0"] if order == 2 else [])
    return cutoff, np.array(sites), np.array(offsets), np.array(blocks, float).reshape(-1, *(3,) * order)


@pytest.mark.parametrize("name", ["zincblende", "wurtzite", "local"])
def test_their_energies_are_those_of_the_force_field(name: str, tmp_path: Path) -> None:
    force_field, torus = force_fields()[name]
    names = write_tdep(force_field, torus, tmp_path)
    assert names[:2] == ("infile.ucposcar", "infile.ssposcar")
    displacements = random_displacements(torus)
    expected = energies_by_order(force_field, torus, displacements)
    unit_cell = ase.io.read(tmp_path / names[0], format="vasp")
    supercell = ase.io.read(tmp_path / names[1], format="vasp")
    assert len(torus.match(supercell.positions)[0]) == torus.n_atoms
    np.testing.assert_allclose(supercell.cell.array, torus.lattice, atol=1e-12)
    for order, end in FILES.items():
        path = tmp_path / f"infile.forceconstant{end}"
        cutoff, sites, offsets, blocks = read_constants(path, order)
        energy = energy_of_clusters(torus, unit_cell.positions, sites, offsets, blocks, displacements)
        assert energy == pytest.approx(expected[order], rel=1e-6)
        assert largest_defect_of_sum_rule(sites, offsets, blocks) < 1e-12 * len(blocks)
        atoms = unit_cell.positions[sites] + offsets @ unit_cell.cell.array
        distances = np.linalg.norm(atoms[:, :, None] - atoms[:, None], axis=-1)
        assert cutoff - 2e-5 < distances.max() < cutoff
        lists, counts = np.unique(sites[:, 0], return_counts=True)
        assert lists.tolist() == list(range(len(unit_cell)))
        if order == 2:
            neighbors = np.bincount(neighbor_list("i", unit_cell, cutoff), minlength=len(unit_cell))
            np.testing.assert_array_equal(counts, neighbors + 1)


def test_dipoles_are_refused(tmp_path: Path) -> None:
    force_field, torus = random_force_field(WURTZITE, (2, 2, 1), {2: "full"})
    force_field = replace(force_field, long_range=dipoles_of(torus.crystal))
    with pytest.raises(UsageError, match="dipole"):
        write_tdep(force_field, torus, tmp_path)
    assert not list(tmp_path.iterdir())
