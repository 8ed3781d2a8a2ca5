"""Files for phonopy: what it reads back gives the frequencies of our own forces."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import phonopy
import pytest
from ase import Atoms
from ase.build import bulk
from phonopy import Phonopy
from phonopy.file_IO import parse_FORCE_CONSTANTS
from phonopy.physical_units import get_physical_units

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.formats.phonopy_files import write_phonopy
from mlff_dyn.formats.phonopy_source import read_phonopy_tensors
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.fitting.projection import TensorSource, project_forces
from mlff_dyn.model.force_constants import force_constants
from mlff_dyn.model.force_field import ForceField
from tests.lattice.crystals import antiferromagnet
from tests.models import crystal_of, fitted_to_harmonic, random_force_field, spring_hessian

QPOINTS = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.5], [0.1, 0.2, 0.3]]


def frequencies(phonon: Phonopy, qpoints: list[list[float]] = QPOINTS) -> np.ndarray:
    phonon.run_qpoints(qpoints)
    return np.array(phonon.qpoints.frequencies)


def load(directory: Path) -> Phonopy:
    return phonopy.load(
        directory / "phonopy_params.yaml",
        force_constants_filename=directory / "FORCE_CONSTANTS",
        symmetrize_fc=False,
        log_level=0,
    )


def supercell_frequencies(force_field: ForceField, torus: Torus) -> np.ndarray:
    """Frequencies of all modes of a supercell, THz, from finite differences of the forces."""
    supercell = force_field.on(torus)
    n_components = 3 * torus.n_atoms
    hessian = np.empty((n_components, n_components))
    for k in range(n_components):
        u = np.zeros(n_components)
        u[k] = 1e-3
        plus, minus = (supercell.energy_forces(sign * u.reshape(-1, 3))[1] for sign in (1.0, -1.0))
        hessian[:, k] = -(plus - minus).ravel() / 2e-3
    weights = np.repeat(torus.masses, 3) ** -0.5
    values = np.linalg.eigvalsh(weights[:, None] * (hessian + hessian.T) / 2 * weights)
    return np.sort(np.sign(values) * np.sqrt(np.abs(values))) * get_physical_units().DefaultToTHz


def commensurate_frequencies(phonon: Phonopy, torus: Torus) -> np.ndarray:
    """The same from a loaded phonopy object, at all q-points that the supercell can hold."""
    box = np.array(list(np.ndindex(7, 7, 7))) - 3
    q = box @ np.linalg.inv(torus.matrix).T
    q = q[((q > -1e-9) & (q < 1 - 1e-9)).all(axis=1)]
    assert len(q) == torus.n_cells
    return np.sort(frequencies(phonon, q.tolist()).ravel())


@pytest.mark.parametrize(
    ("atoms", "supercell"),
    [
        (bulk("NaCl", "rocksalt", a=5.6, cubic=True), (1, 1, 1)),
        (bulk("NaCl", "rocksalt", a=5.6), (2, 2, 2)),
        (bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1)),
    ],
    ids=["conventional", "primitive", "wurtzite"],
)
def test_frequencies_are_those_of_our_own_forces(
    atoms: Atoms, supercell: tuple[int, int, int], tmp_path: Path
) -> None:
    force_field, torus = random_force_field(atoms, supercell, {2: "full", 3: 2.5})
    names = write_phonopy(force_field, torus, tmp_path)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    found = commensurate_frequencies(load(tmp_path), torus)
    np.testing.assert_allclose(found, supercell_frequencies(force_field, torus), atol=2e-4)


def test_a_larger_supercell_gives_the_same_dispersion(tmp_path: Path) -> None:
    """Pairs of the training cell keep their weights in any larger one, so nothing changes at any q-point."""
    force_field, torus = random_force_field(bulk("NaCl", "rocksalt", a=5.6), (2, 2, 2), {2: "full"})
    larger = input_supercell(force_field.basis.crystal, (4, 4, 4))
    results = []
    for name, cell in (("small", torus), ("large", larger)):
        (tmp_path / name).mkdir()
        write_phonopy(force_field, cell, tmp_path / name)
        results.append(frequencies(load(tmp_path / name)))
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)


def test_full_and_compact_arrays_agree_and_name_their_unit(tmp_path: Path) -> None:
    force_field, torus = random_force_field(
        bulk("NaCl", "rocksalt", a=5.6, cubic=True), (1, 1, 1), {2: "full"}
    )
    write_phonopy(force_field, torus, tmp_path)
    full = parse_FORCE_CONSTANTS(tmp_path / "FORCE_CONSTANTS")
    with h5py.File(tmp_path / "force_constants.hdf5") as file:
        compact, p2s_map = file["force_constants"][()], file["p2s_map"][()]
        assert file["physical_unit"][()] == b"eV/angstrom^2"
    assert full.shape == (torus.n_atoms, torus.n_atoms, 3, 3)
    np.testing.assert_allclose(full[p2s_map], compact, atol=1e-14)


def test_phonopy_load_works_on_the_directory(tmp_path: Path) -> None:
    force_field, torus = random_force_field(bulk("NaCl", "rocksalt", a=5.6), (2, 2, 2), {2: "full"})
    write_phonopy(force_field, torus, tmp_path)
    expected = frequencies(load(tmp_path), [[0.5, 0.5, 0.0]])[0]
    command = Path(sys.executable).with_name("phonopy-load")
    result = subprocess.run(
        [command, "phonopy_params.yaml", "--qpoints", "0.5 0.5 0", "--no-sym-fc"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = (tmp_path / "qpoints.yaml").read_text().splitlines()
    found = [float(line.split(":")[1]) for line in lines if line.strip().startswith("frequency:")]
    np.testing.assert_allclose(np.sort(found), np.sort(expected), atol=1e-6)


def test_a_known_harmonic_crystal_is_recovered(tmp_path: Path) -> None:
    """Noise-free forces of springs: frequencies as phonopy has them from the springs, to 1e-6 THz."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, (2, 2, 2))
    hessian = spring_hessian(torus, {2.8: (3.0, -0.1), 5.6 / np.sqrt(2): (0.5, 0.05)})
    force_field = fitted_to_harmonic(build_basis(crystal, {2: "full"}, torus), torus, hessian)
    write_phonopy(force_field, torus, tmp_path)
    reference = Phonopy(**phonopy_cells(torus), log_level=0)
    atoms_of_phonopy, _ = torus.match(reference.supercell.positions)
    blocks = hessian.reshape(torus.n_atoms, 3, torus.n_atoms, 3).transpose(0, 2, 1, 3)
    reference.force_constants = blocks[atoms_of_phonopy][:, atoms_of_phonopy]
    expected = frequencies(reference)
    assert expected[1:].min() > 0.5
    np.testing.assert_allclose(frequencies(load(tmp_path)), expected, atol=1e-6)


def test_a_supercell_that_the_input_cell_cannot_build_is_refused() -> None:
    crystal = crystal_of(bulk("NaCl", "rocksalt", a=5.6, cubic=True))
    with pytest.raises(UsageError, match="no repetition of the input cell"):
        phonopy_cells(Torus(crystal, 3 * np.eye(3, dtype=np.int64)))


def test_compact_rows_start_at_the_primitive_atoms_of_phonopy() -> None:
    force_field, torus = random_force_field(bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1), {2: "full"})
    phonon = Phonopy(**phonopy_cells(torus), log_level=0)
    constants = force_constants(force_field.basis, force_field.posterior.mean, 2, torus)
    first = phonon.primitive.p2s_map
    full = compact_array(constants, phonon.supercell, np.arange(torus.n_atoms))
    np.testing.assert_array_equal(compact_array(constants, phonon.supercell, first), full[first])


def test_magnetic_moments_are_exported_and_read_back(tmp_path: Path) -> None:
    """phonopy keeps the magnetic cell, and a prior from its files the magnetic species."""
    force_field, torus = random_force_field(antiferromagnet(), (1, 1, 1), {2: "full"})
    write_phonopy(force_field, torus, tmp_path)
    phonon = load(tmp_path)
    crystal = torus.crystal
    np.testing.assert_array_equal(phonon.unitcell.magnetic_moments, crystal.input_magnetic_moments)
    assert len(phonon.primitive) == crystal.n_sites
    (tensor,) = read_phonopy_tensors(tmp_path / "phonopy_params.yaml")
    assert tensor.torus.crystal.space_group == crystal.space_group
    found = project_forces(force_field.expansion, TensorSource(tensor, torus))
    np.testing.assert_allclose(found, force_field.posterior.mean, atol=1e-6)
