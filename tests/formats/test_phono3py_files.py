"""Files for phono3py: what it reads back are the second and third derivatives of our energy."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.formats import phono3py_files
from mlff_dyn.formats.phono3py_files import write_phono3py
from mlff_dyn.formats.phonopy_cells import compact_array
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.force_constants import force_constants_of
from tests.models import random_force_field, with_local_part

phono3py = pytest.importorskip("phono3py")


@pytest.mark.parametrize(
    ("atoms", "supercell"),
    [
        (bulk("ZnS", "zincblende", a=5.4, cubic=True), (1, 1, 1)),
        (bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1)),
    ],
    ids=["zincblende", "wurtzite"],
)
def test_it_reads_back_the_derivatives_of_our_forces(
    atoms: Atoms, supercell: tuple[int, int, int], tmp_path: Path
) -> None:
    force_field, torus = random_force_field(atoms, supercell, {2: "full", 3: 2.5})
    names = write_phono3py(force_field, torus, tmp_path)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    loaded = phono3py.load(
        tmp_path / "phono3py_params.yaml",
        fc2_filename=tmp_path / "fc2.hdf5",
        fc3_filename=tmp_path / "fc3.hdf5",
        symmetrize_fc=False,
        log_level=0,
    )
    to_torus, _ = torus.match(loaded.supercell.positions)
    p2s_map = loaded.primitive.p2s_map
    step, n_atoms = 1e-3, torus.n_atoms
    on_torus = force_field.on(torus)

    def forces_at(displacements: np.ndarray) -> np.ndarray:
        in_order = np.empty((n_atoms, 3))
        in_order[to_torus] = displacements
        return on_torus.energy_forces(in_order)[1][to_torus]

    generator = np.random.default_rng(0)
    for row, atom in enumerate(p2s_map):
        first, second = np.zeros((n_atoms, 3)), np.zeros((n_atoms, 3))
        first[atom] = generator.standard_normal(3)
        second[generator.integers(n_atoms)] = generator.standard_normal(3)
        signs = [(a, b) for a in (1, -1) for b in (1, -1)]
        cubic = sum(a * b * forces_at(step * (a * first + b * second)) for a, b in signs) / (4 * step**2)
        expected = -np.einsum("jkabc,a,jb->kc", loaded.fc3[row], first[atom], second)
        np.testing.assert_allclose(cubic, expected, atol=1e-6)
        harmonic = (forces_at(step * first) - forces_at(-step * first)) / (2 * step)
        np.testing.assert_allclose(harmonic, -np.einsum("jab,a->jb", loaded.fc2[row], first[atom]), atol=1e-6)


def test_order_3_may_come_from_the_local_part_alone(tmp_path: Path) -> None:
    force_field, torus = random_force_field(bulk("ZnS", "wurtzite", a=3.8, c=6.2), (2, 2, 1), {2: "full"})
    force_field = with_local_part(force_field, LocalSettings(4.3, 2, 1))
    write_phono3py(force_field, torus, tmp_path)
    loaded = phono3py.load(
        tmp_path / "phono3py_params.yaml",
        fc2_filename=tmp_path / "fc2.hdf5",
        fc3_filename=tmp_path / "fc3.hdf5",
        symmetrize_fc=False,
        log_level=0,
    )
    for order, read in ((2, loaded.fc2), (3, loaded.fc3)):
        constants = force_constants_of(force_field, order, torus)
        expected = compact_array(constants, loaded.supercell, loaded.primitive.p2s_map)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(read, expected, atol=1e-12)


def test_an_expansion_without_order_3_is_refused(tmp_path: Path) -> None:
    force_field, torus = random_force_field(bulk("NaCl", "rocksalt", a=5.6), (2, 2, 2), {2: "full"})
    with pytest.raises(DataError, match="no order 3"):
        write_phono3py(force_field, torus, tmp_path)


def test_an_array_that_cannot_fit_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    force_field, torus = random_force_field(bulk("NaCl", "rocksalt", a=5.6), (2, 2, 2), {2: "full", 3: 2.9})
    monkeypatch.setattr(phono3py_files, "_LARGEST_BYTES", 1000)
    with pytest.raises(UsageError, match="smaller supercell"):
        write_phono3py(force_field, torus, tmp_path)
