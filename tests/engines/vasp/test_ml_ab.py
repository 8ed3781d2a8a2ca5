"""ML_AB, written here as VASP lays it out."""

from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.engines.vasp.ml_ab import ML_AB
from mlff_dyn.errors import DataError
from mlff_dyn.store.source import Source
from tests.engines.vasp.vasp_outputs import read_all

STAR, DASH, DOUBLE = "*" * 50, "-" * 50, "=" * 50


def rows(table: np.ndarray) -> str:
    return "\n".join(" ".join(f"{value: .17E}" for value in row) for row in np.atleast_2d(table))


def ml_ab(energies: list[float], rng: np.random.Generator) -> tuple[str, list[dict[str, np.ndarray]]]:
    stated, blocks = [], []
    for number, energy in enumerate(energies, start=1):
        cell = 8.0 * np.eye(3) + 0.1 * rng.normal(size=(3, 3))
        each = {"cell": cell, "positions": rng.random((3, 3)) * 8.0, "forces": rng.normal(size=(3, 3))}
        each["stress"] = rng.normal(size=6)
        stated.append(each)
        sections = [
            ("Atom types and atom numbers", "     Si      2\n     O      1"),
            ("CTIFOR", "   1.000000000000000E-002"),
            ("Primitive lattice vectors (ang.)", rows(cell)),
            ("Atomic positions (ang.)", rows(each["positions"])),
            ("Total energy (eV)", f"  {energy:.12f}"),
            ("Forces (eV ang.^-1)", rows(each["forces"])),
        ]
        blocks.append(
            f"{STAR}\n     Configuration num. {number:6d}\n{DOUBLE}\n     System name\n{DASH}\n"
            f"     Forces of quartz\n{DOUBLE}\n     The number of atom types\n{DASH}\n       2\n{DOUBLE}\n"
            f"     The number of atoms\n{DASH}\n         3\n{STAR}\n"
            + f"\n{DOUBLE}\n".join(f"     {title}\n{DASH}\n{values}" for title, values in sections)
            + f"\n{DOUBLE}\n     Stress (kbar)\n{DASH}\n     XX YY ZZ\n{DASH}\n{rows(each['stress'][:3])}\n"
            f"{DASH}\n     XY YZ ZX\n{DASH}\n{rows(each['stress'][3:])}\n"
        )
    head = f" 1.0 Version\n{STAR}\n     The number of configurations\n{DASH}\n      {len(energies)}\n{STAR}\n"
    return head + "     The maximum number of atom type\n" + DASH + "\n       2\n" + "".join(blocks), stated


@pytest.fixture
def content() -> tuple[str, list[dict[str, np.ndarray]]]:
    return ml_ab([-12.5, -13.0, -11.75], np.random.default_rng(1))


def test_configurations_are_read(content, tmp_path: Path) -> None:
    text, stated = content
    path = tmp_path / "ML_AB"
    path.write_text(text, encoding="utf-8")
    assert ML_AB.recognizes(Source(path), Source(path).head())
    snapshots, refused = read_all(ML_AB, path)
    assert refused == []
    assert [each.energy_ev for each in snapshots] == [-12.5, -13.0, -11.75]
    kilobar = 1.0 / 1602.176634
    for found, each in zip(snapshots, stated, strict=True):
        assert found.numbers.tolist() == [14, 14, 8]
        np.testing.assert_array_equal(found.positions, each["positions"])
        np.testing.assert_array_equal(found.forces_ev_per_angstrom, each["forces"])
        xx, yy, zz, xy, yz, zx = each["stress"]
        expected = -kilobar * np.array([xx, yy, zz, yz, zx, xy])
        np.testing.assert_allclose(found.stress_ev_per_angstrom3, expected, rtol=1e-12)


def test_lost_lines_and_cut_files_give_no_wrong_numbers(content, tmp_path: Path) -> None:
    text, stated = content
    lines = text.splitlines(keepends=True)
    sound = {each["forces"].tobytes() + each["positions"].tobytes() for each in stated}
    path = tmp_path / "ML_AB"
    for lost in range(len(lines)):
        for kept in (lines[:lost] + lines[lost + 1 :], lines[:lost]):
            path.write_text("".join(kept), encoding="utf-8")
            try:
                snapshots, _ = read_all(ML_AB, path)
            except DataError:
                continue
            found = {each.forces_ev_per_angstrom.tobytes() + each.positions.tobytes() for each in snapshots}
            assert found <= sound


def test_a_cut_file_says_so(content, tmp_path: Path) -> None:
    path = tmp_path / "ML_AB"
    path.write_text(content[0][: content[0].rindex(f"{STAR}\n     Configuration num.")], encoding="utf-8")
    snapshots, refused = read_all(ML_AB, path)
    assert len(snapshots) == 2
    assert "2 of 3 configurations" in str(refused[-1])
