"""Formats that list the clusters of a supercell: hiPhive's, read by itself, and GPUMD's, by its rules."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.errors import DataError
from mlff_dyn.formats.gpumd_files import write_gpumd
from mlff_dyn.formats.hiphive_files import write_hiphive
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.force_field import ForceField
from tests.formats.exported_force_fields import WURTZITE, force_fields, random_displacements
from tests.formats.written_constants import energies_by_order
from tests.models import dipoles_of, random_force_field

NAMES = ["zincblende", "wurtzite", "local", "dipoles", "gap"]


def exported(name: str) -> tuple[ForceField, Torus]:
    if name == "gap":
        return random_force_field(WURTZITE, (2, 2, 1), {2: "full", 4: 2.4})
    force_field, torus = force_fields()["wurtzite" if name == "dipoles" else name]
    if name == "dipoles":
        return replace(force_field, long_range=dipoles_of(torus.crystal)), torus
    return force_field, torus


def contracted(block: NDArray[np.float64], vectors: NDArray[np.float64]) -> float:
    for vector in vectors:
        block = np.tensordot(vector, block, axes=(0, 0))
    return float(block)


@pytest.mark.parametrize("name", NAMES)
def test_hiphive_finds_the_energies_of_the_force_field(name: str, tmp_path: Path) -> None:
    reader = pytest.importorskip("hiphive").ForceConstants
    force_field, torus = exported(name)
    (file,) = write_hiphive(force_field, torus, tmp_path)
    first = (tmp_path / file).read_bytes()
    write_hiphive(force_field, torus, tmp_path)
    assert (tmp_path / file).read_bytes() == first
    read = reader.read(str(tmp_path / file))
    read.assert_acoustic_sum_rules(order=2, tol=1e-9)
    np.testing.assert_allclose(read.supercell.positions, torus.positions, atol=1e-12)
    displacements = random_displacements(torus)
    expected = energies_by_order(force_field, torus, displacements)
    assert read.orders == ([2, 4] if name == "gap" else [2, 3, 4])
    for order in read.orders:
        energy = 0.0
        for cluster in (each for each in read.clusters if len(each) == order):
            weight = math.prod(math.factorial(count) for count in Counter(cluster).values())
            energy += contracted(read[cluster], displacements[list(cluster)]) / weight
        assert energy == pytest.approx(expected[order], rel=1e-6)


def test_forces_of_hiphive_are_those_of_the_force_field(tmp_path: Path) -> None:
    reader = pytest.importorskip("hiphive").ForceConstants
    calculators = pytest.importorskip("hiphive.calculators")
    force_field, torus = random_force_field(
        bulk("ZnS", "zincblende", a=5.4, cubic=True), (1, 1, 1), {2: "full", 3: 2.5}
    )
    (file,) = write_hiphive(force_field, torus, tmp_path)
    read = reader.read(str(tmp_path / file))
    atoms = read.supercell.copy()
    displacements = random_displacements(torus)
    atoms.positions += displacements
    atoms.calc = calculators.ForceConstantCalculator(read)
    _, forces = force_field.on(torus).energy_forces(displacements)
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-9 * np.abs(forces).max())


def read_gpumd(folder: Path, order: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Clusters and their blocks, as GPUMD reads both files."""
    words = (folder / f"fcs_order{order}.in").read_text(encoding="ascii").split()
    table = np.array(words[1:], float).reshape(int(words[0]), 3**order, order + 1)
    axes = np.stack(np.indices((3,) * order), axis=-1).reshape(1, -1, order)
    np.testing.assert_array_equal(table[..., :-1], np.broadcast_to(axes, table[..., :-1].shape))
    words = (folder / f"clusters_order{order}.in").read_text(encoding="ascii").split()
    clusters = np.array(words[1:], int).reshape(int(words[0]), order + 1)
    return clusters[:, :-1], table[clusters[:, -1], :, -1].reshape(-1, *(3,) * order)


@pytest.mark.parametrize("name", NAMES)
def test_gpumd_finds_the_energies_of_the_force_field(name: str, tmp_path: Path) -> None:
    force_field, torus = exported(name)
    names = write_gpumd(force_field, torus, tmp_path)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    head = (tmp_path / "fcp.txt").read_text(encoding="ascii").split()
    assert (head[0], int(head[1]), sorted(head[2:4]), head[4:]) == ("fcp", 2, ["S", "Zn"], ["4", "2", "."])
    positions = np.loadtxt(tmp_path / "r0.in")
    structure = ase.io.read(tmp_path / "model.xyz", format="extxyz")
    np.testing.assert_allclose(positions, structure.positions, atol=1e-7)
    np.testing.assert_array_equal(structure.numbers, torus.numbers)
    np.testing.assert_allclose(structure.arrays["mass"], torus.masses, atol=1e-7)
    displacements = random_displacements(torus)
    expected = energies_by_order(force_field, torus, displacements)
    for order in (2, 3, 4):
        clusters, blocks = read_gpumd(tmp_path, order)
        assert len(clusters) > 0
        if order == 4:
            assert (np.diff(clusters, axis=1) >= 0).all()
        energy = 0.0
        for cluster, block in zip(clusters.tolist(), blocks, strict=True):
            repeated = math.prod(math.factorial(count) for count in Counter(cluster).values())
            weight = repeated if order == 4 else math.factorial(order)
            energy += contracted(block, displacements[cluster]) / weight
        assert energy == pytest.approx(expected[order], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_hiphive_writes_the_same_clusters_for_gpumd(order: int, tmp_path: Path) -> None:
    reader = pytest.importorskip("hiphive").ForceConstants
    force_field, torus = exported("zincblende")
    write_gpumd(force_field, torus, tmp_path)
    (file,) = write_hiphive(force_field, torus, tmp_path)
    (tmp_path / "theirs").mkdir()
    names = [str(tmp_path / "theirs" / f"{kind}_order{order}.in") for kind in ("fcs", "clusters")]
    reader.read(str(tmp_path / file)).write_to_GPUMD(*names, order, tol=1e-12)
    ours, theirs = (
        {tuple(cluster): block for cluster, block in zip(clusters.tolist(), blocks, strict=True)}
        for clusters, blocks in (read_gpumd(folder, order) for folder in (tmp_path, tmp_path / "theirs"))
    )
    ours = {key: block for key, block in ours.items() if np.abs(block).max() > 1e-10}
    assert ours.keys() == theirs.keys()
    for key, block in theirs.items():
        np.testing.assert_allclose(ours[key], block, atol=1e-10)


def test_gpumd_needs_order_2(tmp_path: Path) -> None:
    force_field, torus = random_force_field(WURTZITE, (2, 2, 1), {3: 2.5})
    with pytest.raises(DataError, match="no order 2"):
        write_gpumd(force_field, torus, tmp_path)
    assert not list(tmp_path.iterdir())
