"""Forces of phonopy and phono3py: the same as their own loaders have them, in Å and eV."""

import lzma
import re
from pathlib import Path

import numpy as np
import phono3py
import phonopy
import pytest
from ase.build import bulk
from phonopy.file_IO import write_FORCE_SETS
from phonopy.structure.atoms import PhonopyAtoms

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.phonopy_sets import PHONOPY
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep, StepChoice
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source


def read(path: Path, steps: str = "all") -> list[Snapshot | RefusedStep]:
    source = Source(path)
    assert PHONOPY.recognizes(source, source.head())
    return list(PHONOPY.read(source, ReadOptions(StepChoice.parse(steps))))


def frames(path: Path, steps: str = "all") -> list[Snapshot]:
    found = read(path, steps)
    assert all(isinstance(each, Snapshot) for each in found), found
    return [each for each in found if isinstance(each, Snapshot)]


@pytest.mark.parametrize(("folder", "calculator"), [("Si-PBEsol-vasp", None), ("Si-qe", "qe")])
def test_pairs_of_displacements_are_those_of_phono3py(
    shared_data: Path, folder: str, calculator: str | None
) -> None:
    """The loader of phono3py gives Å and eV for pw.x, too."""
    path = shared_data / folder / "phono3py_disp.yaml"
    found = frames(path)
    expected = phono3py.load(
        path, forces_fc3_filename=path.with_name("FORCES_FC3"), produce_fc=False, is_nac=False, log_level=0
    )
    assert len(found) == 111
    for each, cell, push in zip(found, expected.supercells_with_displacements, expected.forces, strict=True):
        assert np.allclose(each.cell, cell.cell, atol=1e-12)
        assert np.allclose(each.positions, cell.positions, atol=1e-10)
        assert np.allclose(each.forces_ev_per_angstrom, push, atol=1e-12)
    assert (found[4].provenance.step, found[4].provenance.program) == (5, calculator)
    assert [each.provenance.step for each in frames(path, "::50")] == [1, 51, 101]


def test_two_cells_and_energies_stand_in_one_file(shared_data: Path) -> None:
    found = frames(shared_data / "NaCl-vasp/phono3py_params_NaCl.yaml.xz")
    assert [each.n_atoms for each in found] == 100 * [64] + 2 * [512]
    assert found[0].energy_ev == pytest.approx(-223.88632405)
    assert found[-1].energy_ev == pytest.approx(-1791.1318655499999)
    assert np.abs(found[-1].forces_ev_per_angstrom.sum(axis=0)).max() < 1e-3


def test_energies_of_random_displacements(shared_data: Path) -> None:
    path = shared_data / "Si-random-energies/phonopy_training_dataset.yaml.xz"
    found, expected = frames(path), phonopy.load(path, produce_fc=False, log_level=0)
    assert np.allclose([each.energy_ev for each in found], expected.dataset["supercell_energies"])
    assert np.allclose([each.forces_ev_per_angstrom for each in found], expected.dataset["forces"])


def test_harmonic_forces_beside_the_displacements(shared_data: Path) -> None:
    first, second = frames(shared_data / "NaCl-vasp-harmonic/phonopy_disp.yaml")
    assert first.forces_ev_per_angstrom[0].tolist() == [-0.01806194, 0.0, 0.0]
    assert second.forces_ev_per_angstrom[32].tolist() == [-0.02367317, 0.0, 0.0]
    assert np.abs(second.forces_ev_per_angstrom.sum(axis=0)).max() < 1e-3


def copper_displaced(folder: Path, *, n_random: int | None = None, calculator: str | None = None) -> None:
    """Files of phonopy of four copper atoms, with forces that are numbers in a row."""
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    cell = PhonopyAtoms(symbols=atoms.get_chemical_symbols(), cell=atoms.cell, positions=atoms.positions)
    phonon = phonopy.Phonopy(cell, [2, 2, 2], primitive_matrix="P", calculator=calculator, log_level=0)
    phonon.generate_displacements(distance=0.03, number_of_snapshots=n_random, random_seed=1)
    n_sets = len(phonon.supercells_with_displacements)
    phonon.save(folder / "phonopy_disp.yaml", settings={"force_sets": False})
    phonon.forces = np.arange(n_sets * 96.0).reshape(n_sets, 32, 3)
    write_FORCE_SETS(phonon.dataset, filename=folder / "FORCE_SETS")


@pytest.mark.parametrize("n_random", [None, 3])
@pytest.mark.parametrize(("calculator", "length", "force"), [(None, 1.0, 1.0), ("qe", 0.5291772, 25.71104)])
def test_both_types_of_force_sets_in_units_of_their_calculator(
    tmp_path: Path, n_random: int | None, calculator: str | None, length: float, force: float
) -> None:
    copper_displaced(tmp_path, n_random=n_random, calculator=calculator)
    found = frames(tmp_path / "phonopy_disp.yaml")
    assert found[0].forces_ev_per_angstrom[1, 2] == pytest.approx(5 * force, rel=1e-6)
    assert np.diag(found[0].cell) == pytest.approx(3 * [7.2 * length])
    (tmp_path / "FORCE_SETS.xz").write_bytes(lzma.compress((tmp_path / "FORCE_SETS").read_bytes()))
    (tmp_path / "FORCE_SETS").unlink()
    again = frames(tmp_path / "phonopy_disp.yaml")
    assert np.array_equal(again[-1].forces_ev_per_angstrom, found[-1].forces_ev_per_angstrom)
    assert np.array_equal(again[-1].positions, found[-1].positions)


def test_pairs_beyond_the_cutoff_have_no_forces(shared_data: Path, tmp_path: Path) -> None:
    """Such a pair has a place in FORCES_FC3, full of zeros, which is no calculation."""
    text = (shared_data / "Si-PBEsol-vasp/phono3py_disp.yaml").read_text()
    cut = re.sub(r"( +)(pair_distance: 5.43356003\n)", r"\1\2\1included: false\n", text, count=1)
    (tmp_path / "phono3py_disp.yaml").write_text(cut)
    (tmp_path / "FORCES_FC3").write_bytes((shared_data / "Si-PBEsol-vasp/FORCES_FC3").read_bytes())
    steps = [each.provenance.step for each in frames(tmp_path / "phono3py_disp.yaml")]
    assert steps == [1, 2, 3, *range(6, 112)]


def test_bad_files_are_refused(shared_data: Path, tmp_path: Path) -> None:
    copper_displaced(tmp_path, n_random=2)
    path, forces = tmp_path / "phonopy_disp.yaml", tmp_path / "FORCE_SETS"
    rows = forces.read_text().splitlines()
    forces.write_text("\n".join([*rows[:-1], ""]))
    with pytest.raises(DataError, match="lines, which are not those of supercells of 32 atoms"):
        read(path)
    forces.write_text("\n".join(rows)[:-1])
    with pytest.raises(DataError, match="is cut"):
        read(path)
    forces.write_text("\n".join([*rows[:-1], rows[-1].rpartition(" ")[0] + " nan", ""]))
    good, bad = read(path)
    assert isinstance(good, Snapshot)
    assert isinstance(bad, RefusedStep)
    assert (bad.step, "not finite" in bad.reason) == (2, True)
    forces.unlink()
    (missing,) = read(path)
    assert isinstance(missing, RefusedStep)
    assert "no FORCE_SETS beside it" in missing.reason
    path.write_text(path.read_text() + "\nx: !!python/object/apply:os.system [true]\n")
    with pytest.raises(DataError, match="can run code"):
        read(path)
    path.write_text("phonopy:\n  version: [\n")
    with pytest.raises(DataError, match="is damaged"):
        read(path)
