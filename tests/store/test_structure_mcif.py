"""Magnetic CIF files give back the atoms and moments that they were written from."""

from pathlib import Path

import numpy as np
import pytest
import spglib
from ase import Atoms

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.magnetism import collinear_moments
from mlff_dyn.store.structure_file import read_structure
from tests.lattice.crystals import antiferromagnet
from tests.models import crystal_of

AXIS = np.array([1.0, 1.0, -2.0]) / np.sqrt(6.0)


def operation(rotation: np.ndarray, translation: np.ndarray, *, reverses: bool) -> str:
    rows = []
    for row, shift in zip(rotation, translation, strict=True):
        terms = "".join(f"{n:+d}{axis}" for n, axis in zip(row, "xyz", strict=True) if n)
        rows.append(f"{terms}{shift:+.12f}")
    return f"'{','.join(rows)},{'-1' if reverses else '+1'}'"


def magnetic_cif(atoms: Atoms, vectors: np.ndarray, *, dots: bool = True, first_of: int = 0) -> str:
    """One site of each orbit of the magnetic group, moments along the crystal axes."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers, vectors)
    group = spglib.get_magnetic_symmetry(cell, symprec=1e-5)
    lengths = atoms.cell.lengths()
    names = zip(("a", "b", "c", "alpha", "beta", "gamma"), atoms.cell.cellpar(), strict=True)
    lines = ["data_test"]
    lines += [f"_cell_{'length' if len(name) == 1 else 'angle'}_{name} {value:.12f}" for name, value in names]
    tag = "_space_group_symop_magn_operation.xyz" if dots else "_space_group_symop.magn_operation_xyz"
    lines += ["loop_", tag]
    for rotation, translation, reverses in zip(
        group["rotations"], group["translations"], group["time_reversals"], strict=True
    ):
        lines.append(operation(rotation, translation, reverses=bool(reverses)))
    sites = np.unique(group["equivalent_atoms"]) + first_of
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{axis}" for axis in "xyz"]
    for site in sites:
        place = " ".join(f"{x:.12f}" for x in cell[1][site])
        lines.append(f"{atoms.symbols[site]}{site} {atoms.symbols[site]}2+ {place}")
    dot = "." if dots else "_"
    lines += ["loop_", f"_atom_site_moment{dot}label"]
    lines += [f"_atom_site_moment{dot}crystalaxis_{axis}" for axis in "xyz"]
    for site in sites:
        components = vectors[site] @ np.linalg.inv(atoms.cell.array) * lengths
        if np.abs(components).max() > 1e-9:
            values = " ".join(f"{x:.6f}(1)" for x in components)
            lines.append(f"{atoms.symbols[site]}{site} {values}")
    return "\n".join(lines) + "\n"


def primitive() -> Atoms:
    crystal = crystal_of(antiferromagnet())
    atoms = Atoms(crystal.numbers, crystal.positions, cell=crystal.lattice, pbc=True)
    atoms.set_initial_magnetic_moments(crystal.magnetic_moments)
    return atoms


@pytest.mark.parametrize("suffix", ["cif", "mcif"])
@pytest.mark.parametrize("dots", [True, False])
@pytest.mark.parametrize("atoms", [antiferromagnet(), primitive()], ids=["64 atoms", "4 atoms"])
def test_atoms_and_moments_come_back(tmp_path: Path, atoms: Atoms, suffix: str, *, dots: bool) -> None:
    path = tmp_path / f"NiO.{suffix}"
    vectors = atoms.get_initial_magnetic_moments()[:, None] * AXIS
    path.write_text(magnetic_cif(atoms, vectors, dots=dots), encoding="utf-8")
    read = read_structure(path)
    assert len(read) == len(atoms)
    moments = collinear_moments(read.get_initial_magnetic_moments())
    np.testing.assert_allclose(np.sort(moments), np.sort(atoms.get_initial_magnetic_moments()), atol=1e-4)
    read.arrays["initial_magmoms"] = moments
    first, second = crystal_of(atoms), crystal_of(read)
    assert (second.space_group, second.n_operations) == (first.space_group, first.n_operations)


def test_noncollinear_moments_are_refused(tmp_path: Path) -> None:
    atoms = primitive()
    vectors = np.zeros((4, 3))
    vectors[0], vectors[2] = [2.0, 0.0, 0.0], [0.0, 2.0, 0.0]
    (tmp_path / "a.mcif").write_text(magnetic_cif(atoms, vectors), encoding="utf-8")
    with pytest.raises(DataError, match="not collinear"):
        collinear_moments(read_structure(tmp_path / "a.mcif").get_initial_magnetic_moments())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Ni2+", "Qq2+", "no chemical element"),
        ("_cell_length_a", "_cell_length_x", "cannot be read as a magnetic CIF: KeyError"),
        ("+1z", "+1w", "cannot be read as a magnetic CIF"),
        (
            "_magn_operation.xyz\n",
            "_magn_operation.xyz\n'-x,-y,-z,-1'\n",
            "moment of site 1 is not invariant",
        ),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    atoms = primitive()
    text = magnetic_cif(atoms, atoms.get_initial_magnetic_moments()[:, None] * AXIS)
    assert old in text
    (tmp_path / "a.mcif").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=reason):
        read_structure(tmp_path / "a.mcif")
