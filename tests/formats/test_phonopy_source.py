"""Force constants read back from files of phonopy and phono3py."""

import gzip
import lzma
import shutil
from pathlib import Path

import numpy as np
import phonopy
import pytest
from ase.build import bulk
from phonopy.file_IO import write_force_constants_to_hdf5, write_FORCE_SETS
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.interface.calculator import calculator_info, get_calc_dataset
from phonopy.physical_units import get_calculator_physical_units, get_physical_units

from mlff_dyn.errors import DataError
from mlff_dyn.formats.phonopy_source import read_phono3py_tensors, read_phonopy_tensors
from mlff_dyn.formats.registry import FORMATS
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.projection import TensorSource, project_forces
from tests.models import random_force_field

CUTOFFS = {2: "full", 3: 3.0}
SILICON = bulk("Si", cubic=True)


def test_phono3py_files_give_back_the_parameters(tmp_path: Path) -> None:
    pytest.importorskip("phono3py")
    force_field, torus = random_force_field(SILICON, (2, 2, 2), CUTOFFS)
    FORMATS["phono3py"](force_field, torus, tmp_path)
    found = sum(
        project_forces(force_field.expansion, TensorSource(tensor, torus))
        for tensor in read_phono3py_tensors(tmp_path / "phono3py_params.yaml")
    )
    np.testing.assert_allclose(found, force_field.posterior.mean, atol=1e-8)


def test_phonopy_files_give_back_the_harmonic_parameters(tmp_path: Path) -> None:
    force_field, torus = random_force_field(SILICON, (2, 2, 2), CUTOFFS)
    FORMATS["phonopy"](force_field, torus, tmp_path)
    (name,) = tmp_path.glob("*.yaml")
    (tensor,) = read_phonopy_tensors(name)
    found = project_forces(force_field.expansion, TensorSource(tensor, torus))
    here = force_field.basis.parameter_orders == 2
    np.testing.assert_allclose(found[here], force_field.posterior.mean[here], atol=1e-6)


def test_forces_beside_a_displacement_file_are_used(shared_data: Path) -> None:
    """Forces of NaCl (VASP): what phonopy makes of them predicts them to a few percent."""
    path = shared_data / "NaCl-vasp-harmonic" / "phonopy_disp.yaml"
    (tensor,) = read_phonopy_tensors(path)
    crystal = tensor.torus.crystal
    torus = input_supercell(crystal, [2, 2, 2])
    expansion = Expansion(build_basis(crystal, {2: "full"}, torus))
    source = TensorSource(tensor, torus)
    mean = project_forces(expansion, source)
    phonon = phonopy.load(path, force_sets_filename=path.parent / "FORCE_SETS", is_nac=False)
    kernel = expansion.on(source.torus).kernel(mean)
    for entry in phonon.dataset["first_atoms"]:
        atoms, _ = source.torus.match(phonon.supercell.positions)
        u = np.zeros((len(atoms), 3))
        u[atoms[entry["number"]]] = entry["displacement"]
        _, forces = kernel.energy_forces(u)
        assert np.linalg.norm(forces[atoms] - entry["forces"]) < 0.03 * np.linalg.norm(entry["forces"])


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    force_field, torus = random_force_field(SILICON, (2, 2, 2), CUTOFFS)
    FORMATS["phonopy"](force_field, torus, tmp_path)
    (path,) = tmp_path.glob("*.yaml")
    with pytest.raises(DataError, match="cannot read"):
        read_phonopy_tensors(tmp_path / "absent.yaml")
    for name in ("FORCE_CONSTANTS", "force_constants.hdf5"):
        (tmp_path / name).unlink(missing_ok=True)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("force_constants:")], encoding="utf-8")
    with pytest.raises(DataError, match="neither force constants nor forces"):
        read_phonopy_tensors(path)
    pytest.importorskip("phono3py")
    with pytest.raises(DataError, match=r"no fc3\.hdf5"):
        read_phono3py_tensors(path)


def _written_by(calculator: str, folder: Path) -> tuple[Path, np.ndarray, Expansion]:
    """Files of phonopy for a calculator, in its units; with the parameters they were made of."""
    force_field, torus = random_force_field(SILICON, (2, 2, 2), CUTOFFS)
    FORMATS["phonopy"](force_field, torus, folder)
    (path,) = folder.glob("*.yaml")
    ours = phonopy.load(path, force_constants_filename=folder / "FORCE_CONSTANTS", is_nac=False)
    for name in ("FORCE_CONSTANTS", "force_constants.hdf5"):
        (folder / name).unlink()
    cell = ours.unitcell.copy()
    units = get_calculator_physical_units(calculator)
    cell.cell = cell.cell / units.distance_to_A
    theirs = phonopy.Phonopy(
        cell, ours.supercell_matrix, primitive_matrix=ours.primitive_matrix, calculator=calculator
    )
    # A frequency is the same number whatever the units: factor² times force constants is.
    theirs.force_constants = ours.force_constants * (get_physical_units().DefaultToTHz / units.factor) ** 2
    theirs.save(path, settings={"force_constants": True})
    mean = np.where(force_field.basis.parameter_orders == 2, force_field.posterior.mean, 0.0)
    return path, mean, force_field.expansion


def _parameters(path: Path, expansion: Expansion) -> np.ndarray:
    (tensor,) = read_phonopy_tensors(path)
    torus = input_supercell(expansion.basis.crystal, [2, 2, 2])
    return project_forces(expansion, TensorSource(tensor, torus))


UNITS = {get_calculator_physical_units(name): name for name in sorted(calculator_info)}


@pytest.mark.parametrize("calculator", UNITS.values())
def test_units_of_the_calculator_are_converted(tmp_path: Path, calculator: str) -> None:
    path, mean, expansion = _written_by(calculator, tmp_path)
    np.testing.assert_allclose(_parameters(path, expansion), mean, rtol=1e-6, atol=1e-6)


def test_units_that_a_file_of_constants_names_are_converted(tmp_path: Path) -> None:
    path, mean, expansion = _written_by("qe", tmp_path)
    phonon = phonopy.load(path, is_nac=False)
    phonon.save(path, settings={"force_constants": False})
    units = get_calculator_physical_units("qe")
    constants = phonon.force_constants * units.force_to_eVperA / units.distance_to_A
    target = tmp_path / "force_constants.hdf5"
    p2s_map = phonon.primitive.p2s_map
    write_force_constants_to_hdf5(constants, target, p2s_map=p2s_map, physical_unit="eV/angstrom^2")
    np.testing.assert_allclose(_parameters(path, expansion), mean, rtol=1e-6, atol=1e-6)
    write_force_constants_to_hdf5(constants, target, p2s_map=p2s_map, physical_unit="furlong")
    with pytest.raises(DataError, match="furlong"):
        read_phonopy_tensors(path)


@pytest.mark.parametrize(("suffix", "module"), [("xz", lzma), ("gz", gzip)])
def test_compressed_files_are_read(tmp_path: Path, suffix: str, module: object) -> None:
    path, mean, expansion = _written_by("vasp", tmp_path)
    packed = path.with_suffix(f".yaml.{suffix}")
    packed.write_bytes(module.compress(path.read_bytes()))
    np.testing.assert_allclose(_parameters(packed, expansion), mean, rtol=1e-6, atol=1e-6)
    packed.write_bytes(packed.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot read"):
        read_phonopy_tensors(packed)


def test_files_of_the_current_directory_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """phonopy reads FORCE_CONSTANTS where one works, which may be another crystal's."""
    path, mean, expansion = _written_by("vasp", tmp_path)
    phonon = phonopy.load(path, is_nac=False)
    generator = np.random.default_rng(0)
    full = compact_fc_to_full_fc(phonon.primitive, phonon.force_constants)
    displacements = 0.01 * generator.standard_normal((8, len(phonon.supercell), 3))
    forces = -np.einsum("ijab,sjb->sia", full, displacements)
    phonon.dataset = {"displacements": displacements, "forces": forces}
    phonon.save(path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "FORCE_CONSTANTS").write_text("1 1\n")
    monkeypatch.chdir(elsewhere)
    np.testing.assert_allclose(_parameters(path, expansion), mean, rtol=1e-5, atol=1e-5)
    assert Path.cwd() == elsewhere


def test_numbers_that_are_not_finite_are_named(tmp_path: Path) -> None:
    path, _, _ = _written_by("vasp", tmp_path)
    phonon = phonopy.load(path, is_nac=False)
    phonon.force_constants[0, 3, 1, 1] = np.nan
    phonon.save(path, settings={"force_constants": True})
    with pytest.raises(DataError, match=r"phonopy_params.*order 2.*not finite"):
        read_phonopy_tensors(path)


def test_no_tag_of_a_file_runs_code(tmp_path: Path) -> None:
    path, mean, expansion = _written_by("vasp", tmp_path)
    text, trace = path.read_text(), tmp_path / "trace"
    path.write_text(f"note: 'plain! text'\nother: !!str 3\n{text}")
    np.testing.assert_allclose(_parameters(path, expansion), mean, rtol=1e-6, atol=1e-6)
    for tag in ("!!python/object/apply:os.system", "!<tag:yaml.org,2002:python/object/apply:os.system>"):
        path.write_text(f'{text}\nnote: {tag} ["touch {trace}"]\n')
        with pytest.raises(DataError, match=r"phonopy_params.*line \d+: the tag"):
            read_phonopy_tensors(path)
    assert not trace.exists()


@pytest.mark.parametrize("calculator", ["qe", "cp2k", "siesta"])
def test_phono3py_files_of_other_calculators(tmp_path: Path, calculator: str) -> None:
    """phono3py keeps Å and eV in its arrays, and the calculator's length in its YAML file."""
    phono3py = pytest.importorskip("phono3py")
    force_field, torus = random_force_field(SILICON, (2, 2, 2), CUTOFFS)
    FORMATS["phono3py"](force_field, torus, tmp_path)
    path = tmp_path / "phono3py_params.yaml"
    ours = phono3py.load(path, produce_fc=False, is_nac=False, log_level=0)
    cell = ours.unitcell.copy()
    cell.cell = cell.cell / get_calculator_physical_units(calculator).distance_to_A
    theirs = phono3py.Phono3py(
        cell, ours.supercell_matrix, primitive_matrix=ours.primitive_matrix, calculator=calculator
    )
    theirs.save(path)
    packed = path.with_suffix(".yaml.xz")
    packed.write_bytes(lzma.compress(path.read_bytes()))
    for name in (path, packed):
        found = sum(
            project_forces(force_field.expansion, TensorSource(tensor, torus))
            for tensor in read_phono3py_tensors(name)
        )
        np.testing.assert_allclose(found, force_field.posterior.mean, atol=1e-8)


def test_real_forces_of_pw_give_the_constants_of_vasp(shared_data: Path, tmp_path: Path) -> None:
    """NaCl by two codes: the restoring forces of an atom differ by a few percent, not by a unit."""
    source = shared_data / "NaCl-qe"
    path = tmp_path / "phonopy_disp.yaml"
    shutil.copy(source / path.name, path)
    phonon = phonopy.load(path, produce_fc=False, is_nac=False)
    outputs = [str(source / f"NaCl-00{k}.out") for k in (1, 2)]
    found = get_calc_dataset("qe", len(phonon.supercell), outputs, verbose=False)
    for entry, forces in zip(phonon.dataset["first_atoms"], found["forces"], strict=True):
        entry["forces"] = forces
    write_FORCE_SETS(phonon.dataset, filename=tmp_path / "FORCE_SETS")
    traces = []
    for file in (path, shared_data / "NaCl-vasp-harmonic" / "phonopy_disp.yaml"):
        (tensor,) = read_phonopy_tensors(file)
        assert tensor.torus.crystal.nearest_neighbor_distance == pytest.approx(2.845, abs=1e-3)
        own = tensor.rows[np.arange(2), tensor.first]
        traces.append(np.trace(own, axis1=1, axis2=2))
    np.testing.assert_allclose(*traces, rtol=0.1)


def test_units_that_contradict_the_calculator_are_refused(tmp_path: Path) -> None:
    path, _, _ = _written_by("qe", tmp_path)
    text = path.read_text(encoding="utf-8")
    for old, new, reason in (
        ("calculator: qe", "calculator: nothing", "Unknown calculator interface: nothing"),
        ("calculator: qe", "calculator: vasp", "physical_unit in YAML conflicts"),
        ("phonopy:", "phono3py:", "physical_unit in YAML conflicts"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(DataError, match=reason):
            read_phonopy_tensors(path)
