"""BORN files: what phonopy means by them, what is refused, and phonons of NaCl as phonopy has them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import phonopy
import pytest
from ase import Atoms
from ase.build import bulk
from phonopy import Phonopy
from phonopy.file_IO import parse_BORN

from mlff_dyn.errors import ConfigError
from mlff_dyn.formats.born_file import COULOMB_EV_ANGSTROM, read_born, sites_of_primitive, write_born
from mlff_dyn.formats.phonopy_cells import phonopy_cells
from mlff_dyn.formats.phonopy_files import write_phonopy
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.torus import input_supercell
from tests.models import crystal_of, dipoles_of, fitted_to_harmonic, random_force_field

QPOINTS = [
    [0.0, 0.0, 0.0],
    [0.5, 0.0, 0.5],
    [0.5, 0.5, 0.5],
    [1e-4, 0.0, 1e-4],
    [0.1, 0.2, 0.3],
    [0.37, -0.2, 0.05],
]
WELL_KNOWN = """\
14.4
2.43 0 0 0 2.43 0 0 0 2.43
1.0870 0 0 0 1.0870 0 0 0 1.0870
-1.0868 0 0 0 -1.0868 0 0 0 -1.0868
"""


def rocksalt() -> Atoms:
    return bulk("NaCl", "rocksalt", a=5.69, cubic=True)


def primitive_of(crystal: Crystal) -> object:
    cells = phonopy_cells(input_supercell(crystal, (1, 1, 1)))
    return Phonopy(**cells, log_level=0).primitive


def born_of(text: str, folder: Path, atoms: Atoms | None = None):
    (folder / "BORN").write_text(text, encoding="utf-8")
    return read_born(folder / "BORN", crystal_of(atoms or rocksalt()))


def test_charges_of_a_yaml_file_go_to_their_sites(shared_data: Path, tmp_path: Path) -> None:
    """Also where the crystal of the configuration is shifted, a little turned and in another order."""
    path = shared_data / "NaCl-vasp/phono3py_params_NaCl.yaml.xz"
    found = read_born(path, crystal_of(rocksalt()))
    sizes = {11: 1.09044426, 17: -1.09044426}
    for number, charge in zip(crystal_of(rocksalt()).numbers.tolist(), found.charges, strict=True):
        assert charge == pytest.approx(sizes[number] * np.eye(3))
    assert found.dielectric == pytest.approx(2.56345522 * np.eye(3))
    assert found.coulomb == 14.399652
    other = rocksalt()[::-1]
    other.rotate(3, "z", rotate_cell=True)
    other.positions += 0.7
    for number, charge in zip(
        crystal_of(other).numbers.tolist(), read_born(path, crystal_of(other)).charges, strict=True
    ):
        assert charge == pytest.approx(sizes[number] * np.eye(3))
    with pytest.raises(ConfigError, match="no Born charges in it"):
        read_born(shared_data / "NaCl-vasp-harmonic/phonopy_disp.yaml", crystal_of(rocksalt()))
    with pytest.raises(ConfigError, match=r"phono3py_params_NaCl.yaml.xz: "):
        read_born(path, crystal_of(bulk("Cu", "fcc", a=3.6)))


@pytest.mark.parametrize("folder", ["NaCl-vasp-harmonic", "NaCl-qe"])
def test_real_files(shared_data: Path, folder: str) -> None:
    """Charges of an ionic crystal: opposite, without the small sum of the file, damping as phonopy's."""
    crystal = crystal_of(rocksalt())
    found = read_born(shared_data / folder / "BORN", crystal)
    primitive = primitive_of(crystal)
    given = parse_BORN(primitive, filename=shared_data / folder / "BORN")
    sites = sites_of_primitive(primitive, crystal)
    np.testing.assert_allclose(found.charges[sites], given["born"], atol=2e-4)
    np.testing.assert_allclose(found.charges.sum(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(found.dielectric, given["dielectric"], atol=1e-12)
    assert found.coulomb == given.get("factor", COULOMB_EV_ANGSTROM)
    phonon = Phonopy(**phonopy_cells(input_supercell(crystal, (1, 1, 1))), log_level=0)
    phonon.force_constants = np.zeros((len(phonon.supercell), len(phonon.supercell), 3, 3))
    phonon.nac_params = {**given, "factor": found.coulomb}
    assert found.damping == pytest.approx(phonon.dynamical_matrix._Lambda, rel=1e-12)


def test_the_conversion_of_other_units_is_left_aside(tmp_path: Path) -> None:
    """2 is that of Ry and bohr; cutoffs beside it are in 1/bohr."""
    expected = born_of(WELL_KNOWN.replace("14.4", "default value"), tmp_path)
    found = born_of(WELL_KNOWN.replace("14.4", "2.0 0.6 0.1"), tmp_path)
    assert (found.coulomb, found.damping) == (COULOMB_EV_ANGSTROM, expected.damping)
    found = born_of(WELL_KNOWN.replace("14.4", "14.4 1.2 0.21"), tmp_path)
    assert (found.coulomb, found.damping) == (14.4, 0.21)


@pytest.mark.parametrize("atoms", [rocksalt(), bulk("ZnS", "wurtzite", a=3.8, c=6.2)], ids=["NaCl", "ZnS"])
def test_what_is_written_is_read_back(atoms: Atoms, tmp_path: Path) -> None:
    crystal = crystal_of(atoms)
    long_range = dipoles_of(crystal)
    primitive = primitive_of(crystal)
    write_born(tmp_path / "BORN", long_range, primitive, sites_of_primitive(primitive, crystal))
    found = read_born(tmp_path / "BORN", crystal)
    for name in ("charges", "dielectric", "damping", "coulomb"):
        np.testing.assert_allclose(getattr(found, name), getattr(long_range, name), atol=1e-11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        (WELL_KNOWN.rsplit("\n", 2)[0], "damaged: Number of lines"),
        (WELL_KNOWN.replace("2.43 0", "2.43 x", 1), "damaged"),
        (WELL_KNOWN + "1 0 0 0 1 0 0 0 1\n", "damaged: Too many atoms"),
        (WELL_KNOWN.replace("-1.0868", "1.0868"), "does not fit the crystal.*Born charges"),
        (WELL_KNOWN.replace("2.43 0 0 0 2.43 0 0 0 2.43", "2.43 0 0 0 2.43 0 0 0 4.0"), "dielectric tensor"),
        (WELL_KNOWN.replace("2.43", "-2.43"), "dielectric tensor is not positive"),
        (WELL_KNOWN.replace("1.0870", "nan"), "does not fit|not a finite number"),
    ],
    ids=["empty", "short", "letters", "long", "charged", "anisotropic", "negative", "nan"],
)
def test_files_that_do_not_serve_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        born_of(text, tmp_path)
    assert "BORN" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_born(tmp_path / "BORN", crystal_of(rocksalt()))


def frequencies(phonon: Phonopy) -> np.ndarray:
    phonon.run_qpoints(QPOINTS)
    return np.array(phonon.qpoints.frequencies)


def load(directory: Path, *, from_born: bool = False) -> Phonopy:
    """As phonopy-load does; the dipoles from phonopy_params.yaml, or from BORN."""
    phonon = phonopy.load(
        directory / "phonopy_params.yaml",
        force_constants_filename=directory / "FORCE_CONSTANTS",
        symmetrize_fc=False,
        is_nac=not from_born,
        log_level=0,
    )
    if from_born:
        phonon.nac_params = parse_BORN(phonon.primitive, filename=directory / "BORN")
    return phonon


def test_nacl_has_the_phonons_of_phonopy(shared_data: Path, tmp_path: Path) -> None:
    """Force constants that phonopy finds from FORCE_SETS, learnt from their forces, on two supercells."""
    folder = shared_data / "NaCl-vasp-harmonic"
    reference = phonopy.load(
        folder / "phonopy_disp.yaml",
        force_sets_filename=folder / "FORCE_SETS",
        is_nac=False,
        symmetrize_fc=True,
        is_compact_fc=False,
        log_level=0,
    )
    cell = reference.unitcell
    crystal = build_crystal(cell.cell, cell.positions, cell.numbers, cell.masses)
    long_range = read_born(folder / "BORN", crystal)
    torus = input_supercell(crystal, (2, 2, 2))
    reference.nac_params = {
        "born": long_range.charges[sites_of_primitive(reference.primitive, crystal)],
        "dielectric": long_range.dielectric,
        "factor": long_range.coulomb,
    }
    atoms, _ = torus.match(reference.supercell.positions)
    places = np.argsort(atoms)
    constants = reference.force_constants[places][:, places]
    hessian = constants.transpose(0, 2, 1, 3).reshape(3 * torus.n_atoms, -1)
    basis = build_basis(crystal, {2: "full"}, torus)
    force_field = fitted_to_harmonic(basis, torus, hessian, long_range=long_range)
    expected = frequencies(reference)
    assert np.ptp(expected[3, 3:]) > 2.0
    for name, supercell in (("trained", torus), ("larger", input_supercell(crystal, (3, 3, 3)))):
        (tmp_path / name).mkdir()
        names = write_phonopy(force_field, supercell, tmp_path / name)
        assert names[0] == "BORN"
        found = frequencies(load(tmp_path / name))
        np.testing.assert_allclose(found[1:], expected[1:], atol=1e-6)
        np.testing.assert_allclose(found[0], expected[0], atol=2e-3)
        again = frequencies(load(tmp_path / name, from_born=True))
        np.testing.assert_allclose(again[1:], found[1:], atol=1e-9)


def test_phono3py_gets_the_dipoles(tmp_path: Path) -> None:
    phono3py = pytest.importorskip("phono3py")
    from mlff_dyn.formats.phono3py_files import write_phono3py

    bare, torus = random_force_field(
        bulk("ZnS", "zincblende", a=5.4, cubic=True), (1, 1, 1), {2: "full", 3: 2.5}
    )
    force_field = replace(bare, long_range=dipoles_of(bare.basis.crystal))
    names = write_phono3py(force_field, torus, tmp_path)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    loaded = phono3py.load(tmp_path / "phono3py_params.yaml", produce_fc=False, log_level=0)
    sites = sites_of_primitive(loaded.primitive, torus.crystal)
    np.testing.assert_allclose(loaded.nac_params["born"], force_field.long_range.charges[sites], atol=1e-10)
