"""ASE reads back what trajectories hold: cells, positions, velocities, energies, times."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import ase.io
import ase.units
import numpy as np
import pytest
from ase.data import atomic_masses

from mlff_dyn.formats.registry import TRAJECTORY_FORMATS
from mlff_dyn.formats.trajectory_frames import read_frames, read_outline
from mlff_dyn.formats.trajectory_lammps import to_box
from mlff_dyn.md.temperature import temperatures
from mlff_dyn.store.trajectory import Trajectory, TrajectoryWriter, read_trajectory
from mlff_dyn.store.trajectory_layout import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

NUMBERS = np.array([11, 11, 17, 17, 11, 8])
SHEARED = np.array([[5.0, 0.3, -0.2], [-1.5, 6.0, 0.4], [0.7, -2.0, 7.0]])
READERS = {
    "extxyz": {"format": "extxyz"},
    "xdatcar": {"format": "vasp-xdatcar"},
    "lammps-dump": {"format": "lammps-dump-text"},
}


def make(
    path: Path,
    lattice: np.ndarray = SHEARED,
    *,
    n_samples: int = 5,
    is_strained: bool = False,
    storage: Storage | None = None,
    **crystal: Any,
) -> Trajectory:
    """Write a trajectory with numbers of a crystal, and return it."""
    rng = np.random.default_rng(5)
    sites = rng.uniform(size=(len(NUMBERS), 3)) @ lattice
    attributes = {"temperature_kelvin": 300.0, "timestep_femtoseconds": 0.5}
    upper = np.triu(rng.normal(scale=0.02, size=(n_samples, 3, 3)))
    with TrajectoryWriter.create(
        path, NUMBERS, lattice, sites, attributes, storage=storage or Storage(), **crystal
    ) as writer:
        writer.append(
            displacements=rng.normal(scale=0.1, size=(n_samples, len(NUMBERS), 3)),
            velocities=rng.normal(scale=0.003, size=(n_samples, len(NUMBERS), 3)),
            potential_energies=rng.normal(size=n_samples),
            kinetic_energies=rng.uniform(size=n_samples),
            steps=20 * np.arange(1, n_samples + 1),
            strains=is_strained * (upper + np.triu(upper, 1).swapaxes(1, 2)),
        )
        writer.finish()
    return read_trajectory(path)


def export(path: Path, name: str, stride: int = 1) -> list[Atoms]:
    """What ASE reads in the file."""
    outline, frames = read_outline(path, stride=stride), read_frames(path, stride=stride)
    file = path.with_name(name)
    file.write_text("".join(TRAJECTORY_FORMATS[name](outline, frames)), encoding="utf-8")
    return ase.io.read(file, index=":", **READERS[name])


@pytest.mark.parametrize("is_strained", [False, True])
@pytest.mark.parametrize("name", ["extxyz", "xdatcar"])
def test_cells_and_positions_are_read_back(tmp_path: Path, name: str, is_strained: bool) -> None:
    expected = make(tmp_path / "t.h5", is_strained=is_strained)
    found = export(tmp_path / "t.h5", name)
    assert len(found) == 5
    for k, atoms in enumerate(found):
        assert atoms.numbers.tolist() == NUMBERS.tolist()
        assert atoms.pbc.all()
        np.testing.assert_allclose(atoms.cell.array, expected.lattices[k], atol=1e-10)
        np.testing.assert_allclose(atoms.positions, expected.positions[k], atol=1e-8)
    text = (tmp_path / name).read_text(encoding="utf-8")
    if name == "xdatcar":
        assert text.count("Na   Cl   Na    O") == (5 if is_strained else 1)


def test_extxyz_has_all_of_a_frame(tmp_path: Path) -> None:
    masses = np.where(NUMBERS == 17, 36.966, 20.0)
    expected = make(tmp_path / "t.h5", masses=masses, periodic=np.array([True, False, True]))
    kinetic = temperatures(expected.kinetic_energies, len(NUMBERS))
    for k, atoms in enumerate(export(tmp_path / "t.h5", "extxyz")):
        assert atoms.positions.tobytes() == expected.positions[k].tobytes()
        assert atoms.pbc.tolist() == [True, False, True]
        np.testing.assert_array_equal(atoms.get_masses(), masses)
        np.testing.assert_allclose(atoms.get_velocities() * ase.units.fs, expected.velocities[k], rtol=1e-12)
        assert atoms.get_potential_energy() == expected.potential_energies[k]
        assert atoms.info == {
            "step": 20 * k + 20,
            "time_femtoseconds": 10.0 * k + 10.0,
            "temperature_kelvin": 300.0,
            "kinetic_temperature_kelvin": kinetic[k],
        }


def test_extxyz_of_usual_masses_has_no_column_for_them(tmp_path: Path) -> None:
    expected = make(tmp_path / "t.h5", masses=1.00001 * atomic_masses[NUMBERS])
    atoms = export(tmp_path / "t.h5", "extxyz")[0]
    assert not atoms.has("masses")
    np.testing.assert_allclose(atoms.get_velocities() * ase.units.fs, expected.velocities[0], rtol=1e-12)


SIGNS = list(product((1.0, -1.0), repeat=3))


@pytest.mark.parametrize("is_strained", [False, True])
@pytest.mark.parametrize("is_left_handed", [False, True])
@pytest.mark.parametrize("signs", SIGNS)
def test_lammps_dumps_are_the_crystal_turned(
    tmp_path: Path, signs: tuple[float, ...], is_left_handed: bool, is_strained: bool
) -> None:
    """The same rotation, without a mirror, takes cell, positions and velocities to what ASE reads."""
    xy, xz, yz = np.array(signs) * (1.1, 0.7, 2.3)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    lattice = np.array([[5.0, 0.0, 0.0], [xy, 6.0, 0.0], [xz, yz, 7.0]]) @ turn
    if is_left_handed:
        lattice = lattice[[0, 2, 1]]
    expected = make(tmp_path / "t.h5", lattice, is_strained=is_strained)
    for k, atoms in enumerate(export(tmp_path / "t.h5", "lammps-dump")):
        cell = expected.lattices[k][[0, 2, 1]] if is_left_handed else expected.lattices[k]
        rotation = np.linalg.solve(cell, atoms.cell.array)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        np.testing.assert_allclose(np.triu(atoms.cell.array, 1), 0.0)
        assert (np.diag(atoms.cell.array) > 0.0).all()
        np.testing.assert_allclose(atoms.get_celldisp(), 0.0, atol=1e-9)
        np.testing.assert_allclose(atoms.positions, expected.positions[k] @ rotation, atol=1e-8)
        velocities = expected.velocities[k] @ rotation
        np.testing.assert_allclose(atoms.get_velocities() * ase.units.fs, velocities, atol=1e-11)
        assert atoms.numbers.tolist() == NUMBERS.tolist()
        assert atoms.arrays["type"].tolist() == [1, 1, 2, 2, 1, 3]


def test_lammps_dump_in_its_own_words(tmp_path: Path) -> None:
    """An orthogonal box along the axes has no tilts; vacuum has fixed faces; velocities are in Å/ps."""
    expected = make(tmp_path / "t.h5", np.diag([5.0, 6.0, 7.0]), periodic=np.array([True, True, False]))
    export(tmp_path / "t.h5", "lammps-dump", stride=2)
    lines = (tmp_path / "lammps-dump").read_text(encoding="utf-8").splitlines()
    assert lines[:9] == [
        "ITEM: TIMESTEP",
        "20",
        "ITEM: NUMBER OF ATOMS",
        "6",
        "ITEM: BOX BOUNDS pp pp ff",
        "0.0000000000 5.0000000000",
        "0.0000000000 6.0000000000",
        "0.0000000000 7.0000000000",
        "ITEM: ATOMS id type element xu yu zu vx vy vz",
    ]
    first = lines[9].split()
    assert first[:3] == ["1", "1", "Na"]
    values = np.array(first[3:], float)
    np.testing.assert_allclose(values[:3], expected.positions[0, 0], atol=1e-9)
    np.testing.assert_allclose(values[3:], 1000.0 * expected.velocities[0, 0], atol=1e-9)
    assert [int(lines[i + 1]) for i, line in enumerate(lines) if line == "ITEM: TIMESTEP"] == [20, 60, 100]


def test_a_cell_that_is_tilted_once_has_tilts_in_every_frame(tmp_path: Path) -> None:
    """LAMMPS reads boxes of one kind only."""
    path = tmp_path / "t.h5"
    make(path, np.diag([5.0, 6.0, 7.0]), is_strained=True)
    export(path, "lammps-dump")
    text = (tmp_path / "lammps-dump").read_text(encoding="utf-8")
    assert text.count("ITEM: BOX BOUNDS xy xz yz pp pp pp") == 5


def test_a_cell_of_lammps_stays_as_it_is() -> None:
    box, turn = to_box(np.array([[4.0, 0.0, 0.0], [-1.0, 5.0, 0.0], [0.5, 2.0, 6.0]]))
    np.testing.assert_allclose(turn, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(box, [[4.0, 0.0, 0.0], [-1.0, 5.0, 0.0], [0.5, 2.0, 6.0]], atol=1e-14)


@pytest.mark.parametrize("name", list(TRAJECTORY_FORMATS))
def test_without_velocities(tmp_path: Path, name: str) -> None:
    expected = make(tmp_path / "t.h5", storage=Storage(velocities=False, precision="single"))
    found = export(tmp_path / "t.h5", name)
    assert not any(atoms.has("momenta") for atoms in found)
    distances = [atoms.get_all_distances() for atoms in found]
    vectors = expected.positions[:, :, None] - expected.positions[:, None]
    np.testing.assert_allclose(distances, np.linalg.norm(vectors, axis=-1), atol=1e-8)
