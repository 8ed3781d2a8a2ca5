"""Labels are found under their usual names, or under those that the user gives; never two in one."""

from pathlib import Path

import ase.io
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.store.dataset import Snapshot, read_snapshots
from mlff_dyn.store.label_columns import parse_columns


def written(path: Path, forces: str, energy: str, tensor: str = "REF_stress") -> Snapshot:
    """Write a labelled cell under given names; the snapshot that it should be."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    found, value, stress = atoms.get_forces(), float(atoms.get_potential_energy()), atoms.get_stress()
    plain = Snapshot(atoms.numbers, atoms.positions, atoms.cell.array, value, found, stress)
    atoms.calc = None
    atoms.set_array(forces, found)
    atoms.info[energy] = value
    square = stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3)
    atoms.info[tensor] = -square * atoms.get_volume() if "virial" in tensor else square
    ase.io.write(path, atoms)
    return plain


def same(first: Snapshot, second: Snapshot) -> None:
    assert first.energy_ev == pytest.approx(second.energy_ev)
    assert first.forces_ev_per_angstrom == pytest.approx(second.forces_ev_per_angstrom, abs=1e-7)
    assert first.stress_ev_per_angstrom3 == pytest.approx(second.stress_ev_per_angstrom3, abs=1e-9)


@pytest.mark.parametrize(
    "names",
    [
        ("REF_forces", "REF_energy", "REF_stress"),
        ("dft_force", "energy_ref", "dft_virial"),
        ("forces_dft", "DFT_total_energy", "virials"),
        ("force", "energy", "virial"),
    ],
)
def test_usual_names_are_known(tmp_path: Path, names: tuple[str, str, str]) -> None:
    """A virial is minus the stress times the volume."""
    plain = written(tmp_path / "a.extxyz", *names)
    (found,) = read_snapshots(tmp_path / "a.extxyz")
    same(found, plain)


def test_other_names_are_given(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.extxyz", "push", "e_zero", "w_virial_of_it")
    columns = parse_columns("forces=push, energy=e_zero,virial=w_virial_of_it")
    (found,) = read_snapshots(tmp_path / "a.extxyz", columns)
    same(found, plain)
    with pytest.raises(DataError, match=r"there is no e_one .*e_zero"):
        read_snapshots(tmp_path / "a.extxyz", {**columns, "energy": "e_one"})


def test_two_columns_that_differ_are_not_chosen_from(tmp_path: Path) -> None:
    written(tmp_path / "a.extxyz", "REF_forces", "REF_energy")
    atoms = ase.io.read(tmp_path / "a.extxyz")
    atoms.set_array("dft_forces", 2.0 * atoms.arrays["REF_forces"])
    ase.io.write(tmp_path / "b.extxyz", atoms)
    with pytest.raises(DataError, match="frame 1: REF_forces and dft_forces both look like the forces"):
        read_snapshots(tmp_path / "b.extxyz")
    assert read_snapshots(tmp_path / "b.extxyz", {"forces": "dft_forces"})[0].energy_ev is not None


@pytest.mark.parametrize("text", ["force=a", "forces", "forces=", "forces=a,forces=b", ","])
def test_wrong_options_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="does not name a label"):
        parse_columns(text)
