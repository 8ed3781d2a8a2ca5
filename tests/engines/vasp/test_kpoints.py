"""Meshes of k-points: of the configuration, written, read from a user's file, taken to a supercell."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.io.vasp.inputs import Kpoints

from mlff_dyn.engines.vasp.kpoints import (
    KPoints,
    Mesh,
    folded_mesh,
    mesh_of_spacing,
    parse_kpoints,
    reciprocal_lengths,
)
from mlff_dyn.errors import ConfigError

EVERYWHERE = np.array([True, True, True])


@pytest.mark.parametrize(
    ("given", "mesh"),
    [
        ("gamma", Mesh()),
        ([4, 4, 2], Mesh((4, 4, 2))),
        ({"grid": [2, 2, 2], "shift": [0.5, 0.5, 0.5]}, Mesh((2, 2, 2), (0.5, 0.5, 0.5))),
        ({"spacing_per_angstrom": 0.4}, Mesh((4, 4, 4))),
    ],
)
def test_forms_of_the_configuration(given, mesh):
    cell = np.diag([4.0, 4.0, 4.0])
    assert KPoints.of_config(given).of_cell(cell, EVERYWHERE) == mesh


@pytest.mark.parametrize(
    "given",
    ["Gamma point", [4, 4], [4, 4, 0], [4, 4.5, 4], {"grid": [2, 2, 2], "shift": [1, 0, 0]}, True, 5, None]
    + [{"spacing_per_angstrom": bad} for bad in (0, -1, "fine", True)]
    + [{"spacing_per_angstrom": 0.3, "grid": [2, 2, 2]}, {"grid": [True, 1, 1]}],
)
def test_other_forms_are_refused(given):
    with pytest.raises(ConfigError, match=r"engine\.parameters\.kpoints"):
        KPoints.of_config(given)


def test_vacuum_gets_one_point():
    cell, periodic = np.diag([4.0, 4.0, 20.0]), np.array([True, True, False])
    assert KPoints.of_config({"spacing_per_angstrom": 0.2}).of_cell(cell, periodic).grid == (8, 8, 1)
    with pytest.raises(ConfigError, match="axis 3, which is vacuum"):
        KPoints.of_config([4, 4, 2]).of_cell(cell, periodic)


@pytest.mark.parametrize("spacing", [0.12, 0.2, 0.31, 0.5])
def test_spacing_is_that_of_kspacing(spacing):
    """VASP: the largest of 1 and the next integer above the length of the reciprocal vector over KSPACING."""
    cell = bulk("ZnO", "wurtzite", a=3.25, c=5.2).cell.array
    mesh = mesh_of_spacing(cell, spacing, EVERYWHERE)
    lengths = 2.0 * np.pi * bulk("ZnO", "wurtzite", a=3.25, c=5.2).cell.reciprocal().lengths()
    assert mesh.grid == tuple(np.ceil(lengths / spacing).astype(int))
    assert (reciprocal_lengths(cell) / mesh.grid).max() <= spacing


def test_pymatgen_reads_what_is_written():
    read = Kpoints.from_str(Mesh((4, 3, 2), (0.5, 0.0, 0.5)).to_text())
    assert read.style.name == "Gamma"
    assert (tuple(read.kpts[0]), tuple(read.kpts_shift)) == ((4, 3, 2), (0.5, 0.0, 0.5))


@pytest.mark.parametrize(
    ("name", "mesh"),
    [
        ("KPOINTS", Mesh((2, 4, 6), (0.5, 0.5, 0.5))),
        ("KPOINTS_gamma", Mesh((4, 4, 4))),
        ("KPOINTS_auto", Mesh((2, 2, 2))),
        ("KPOINTS_cartesian", None),
        ("KPOINTS_band", None),
        ("KPOINTS_Si_bands", None),
        ("KPOINTS_explicit", None),
        ("KPOINTS_explicit_tet", None),
        ("KPOINTS_force_hybrid_like_calc", None),
    ],
)
def test_real_files(shared_data, name, mesh):
    text = (shared_data / "vasp/inputs" / name).read_text()
    assert parse_kpoints(text, np.diag([5.0, 5.0, 5.0])) == mesh


def points(mesh: Mesh, cell: np.ndarray) -> np.ndarray:
    """All points in 1/Å."""
    n, shift = np.array(mesh.grid), np.array(mesh.shift)
    scaled = (np.stack(np.meshgrid(*map(np.arange, n), indexing="ij"), -1).reshape(-1, 3) + shift) / n
    return scaled @ np.linalg.inv(cell).T


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5)])
@pytest.mark.parametrize("counts", [(2, 2, 2), (2, 3, 1), (6, 6, 4)])
def test_a_divided_mesh_folds_onto_the_given_one(shift, counts):
    cell = bulk("ZnO", "wurtzite", a=3.25, c=5.2).cell.array
    given = Mesh((6, 6, 4), shift)
    supercell = np.diag(counts) @ cell
    mesh, is_same = folded_mesh(given, cell, supercell, EVERYWHERE)
    assert is_same == all(n % count == 0 for n, count in zip(given.grid, counts, strict=True))
    if is_same:
        one, other = (p @ supercell.T for p in (points(given, cell), points(mesh, supercell)))
        folded = {tuple(np.round(row % 1.0, 6) % 1.0) for row in one}
        assert folded == {tuple(np.round(row % 1.0, 6) % 1.0) for row in other}
    assert ((reciprocal_lengths(supercell) / mesh.grid) <= reciprocal_lengths(cell) / given.grid + 1e-9).all()


def test_a_mesh_of_another_shape_of_cell_is_as_dense():
    cell = bulk("Si").cell.array
    supercell = np.array([[-2, 2, 2], [2, -2, 2], [2, 2, -2]]) @ cell
    mesh, is_same = folded_mesh(Mesh((8, 8, 8)), cell, supercell, EVERYWHERE)
    assert (mesh.grid, is_same) == ((3, 3, 3), False)
