"""Model files: every bit comes back, and whatever is not a sound model file is refused."""

import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.store.model_file import read_basis, read_model, write_basis, write_model
from tests.models import dipoles_of, random_force_field, with_local_part

UNSEALED = 2


@pytest.fixture(scope="module")
def force_field() -> ForceField:
    atoms = bulk("ZnS", "wurtzite", a=3.8, c=6.2)
    found = random_force_field(atoms, (2, 2, 1), {2: "full", 3: 2.9, 4: {2: 2.9}})[0]
    return replace(found, site_scales=np.array([1.2, 1.2, 0.7, 0.7]))


@pytest.fixture
def model_path(tmp_path: Path, force_field: ForceField) -> Path:
    path = tmp_path / "model.h5"
    write_model(path, force_field, {"identity": "abc", "n_snapshots": 5})
    return path


def check_equal(first: object, second: object, where: str = "model") -> None:
    """Equal in every field, bit by bit, with the same types of arrays."""
    assert type(first) is type(second), where
    if is_dataclass(first):
        for field in fields(first):
            check_equal(getattr(first, field.name), getattr(second, field.name), f"{where}.{field.name}")
    elif isinstance(first, tuple):
        assert len(first) == len(second), where
        for k, (a, b) in enumerate(zip(first, second, strict=True)):
            check_equal(a, b, f"{where}[{k}]")
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype, where
        np.testing.assert_array_equal(first, second, err_msg=where)
    else:
        assert first == second or first != first, where  # noqa: PLR0124


def test_models_come_back_exactly(model_path: Path, force_field: ForceField) -> None:
    found, metadata = read_model(model_path)
    check_equal(force_field, found)
    assert metadata == {"identity": "abc", "n_snapshots": 5}


def test_magnetic_moments_come_back(tmp_path: Path) -> None:
    atoms = bulk("FeO", "rocksalt", a=4.3, cubic=True)
    atoms.set_initial_magnetic_moments([4.0, 0.0, 4.0, 0.0, -4.0, 0.0, -4.0, 0.0])
    magnetic, _ = random_force_field(atoms, (2, 2, 2), {2: 3.1})
    write_model(tmp_path / "model.h5", magnetic, {})
    check_equal(magnetic, read_model(tmp_path / "model.h5")[0])


def test_the_weights_of_the_fit_come_back(force_field: ForceField, tmp_path: Path) -> None:
    path, posterior = tmp_path / "model.h5", force_field.posterior
    known = replace(posterior.hyperparameters, weight_power=0.35)
    other = replace(force_field, posterior=replace(posterior, hyperparameters=known))
    write_model(path, other, {})
    check_equal(other, read_model(path)[0])
    with h5py.File(path, "a") as file:
        file.attrs["version"] = UNSEALED
        del file["posterior"].attrs["weight_power"]
    assert read_model(path)[0].posterior.hyperparameters.weight_power == pytest.approx(0.2, rel=1e-15)


def test_a_long_range_part_comes_back(force_field: ForceField, tmp_path: Path) -> None:
    both = replace(force_field, long_range=dipoles_of(force_field.basis.crystal))
    write_model(tmp_path / "both.h5", both, {})
    check_equal(both, read_model(tmp_path / "both.h5")[0])


def test_bases_come_back_exactly(tmp_path: Path, force_field: ForceField) -> None:
    write_basis(tmp_path / "basis.h5", force_field.basis, {"identity": "x"})
    found, metadata = read_basis(tmp_path / "basis.h5")
    check_equal(force_field.basis, found)
    assert metadata == {"identity": "x"}


def test_a_read_model_predicts_the_same_bits(model_path: Path, force_field: ForceField) -> None:
    from mlff_dyn.lattice.torus import input_supercell

    found, _ = read_model(model_path)
    predictions = []
    for model in (force_field, found):
        torus = input_supercell(model.basis.crystal, (2, 2, 2))
        u = 0.05 * np.random.default_rng(1).standard_normal((torus.n_atoms, 3))
        supercell = model.on(torus)
        predictions.append((*supercell.energy_forces(u), supercell.force_errors(u).predictive))
    for first, second in zip(*predictions, strict=True):
        np.testing.assert_array_equal(first, second)


def refuse(path: Path, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_model(path)
    for word in (path.name, *words):
        assert word in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.99])
def test_cut_files_are_refused(model_path: Path, share: float) -> None:
    content = model_path.read_bytes()
    model_path.write_bytes(content[: int(share * len(content))])
    refuse(model_path, "damaged")


def test_other_files_are_refused(tmp_path: Path, model_path: Path, force_field: ForceField) -> None:
    refuse(tmp_path / "none.h5", "does not exist")
    text = tmp_path / "text.h5"
    text.write_text("not a model\n")
    refuse(text, "not HDF5")
    with h5py.File(tmp_path / "strange.h5", "w") as file:
        file["numbers"] = np.arange(3)
    refuse(tmp_path / "strange.h5", "no format name")
    write_basis(tmp_path / "basis.h5", force_field.basis, {})
    refuse(tmp_path / "basis.h5", "mlff-dyn basis")
    with pytest.raises(DataError, match="mlff-dyn model"):
        read_basis(model_path)
    refuse(tmp_path, "Is a directory")


def test_pipes_are_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.h5")
    refuse(tmp_path / "model.h5", "pipe")


def test_other_versions_are_refused(model_path: Path) -> None:
    with h5py.File(model_path, "a") as file:
        file.attrs["version"] = 99
    refuse(model_path, "version 99")


@pytest.mark.parametrize("name", ["posterior/mean", "basis/slots", "basis/order_2/data", "crystal/lattice"])
def test_missing_parts_are_refused(model_path: Path, name: str) -> None:
    with h5py.File(model_path, "a") as file:
        del file[name]
    refuse(model_path)


def test_damaged_numbers_are_refused(model_path: Path) -> None:
    """Index arrays that cannot belong together never reach the kernels, in files without digest either."""
    with h5py.File(model_path, "a") as file:
        file.attrs["version"] = UNSEALED
        file["basis/order_2/monomials"][...] = 100_000
    with pytest.raises(DataError, match="slot"):
        read_model(model_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(model_path: Path, value: float) -> None:
    with h5py.File(model_path, "a") as file:
        file.attrs["version"] = UNSEALED
        file["posterior/mean"][0] = value
    refuse(model_path, "mean", "finite")


def test_arrays_larger_than_their_file_are_refused_before_they_are_read(model_path: Path) -> None:
    with h5py.File(model_path, "a") as file:
        file.attrs["version"] = UNSEALED
        del file["posterior/mean"]
        file.create_dataset("posterior/mean", shape=(10**13,), dtype=float, chunks=(1000,))
    refuse(model_path, "larger than the file")


def test_every_changed_byte_is_noticed(model_path: Path) -> None:
    content = model_path.read_bytes()
    for place in np.random.default_rng(3).choice(len(content), 60, replace=False).tolist():
        for changed in (content[place] ^ 1, content[place] ^ 0x80):
            model_path.write_bytes(content[:place] + bytes([changed]) + content[place + 1 :])
            refuse(model_path)


def test_zeros_at_the_end_are_noticed(model_path: Path) -> None:
    content = model_path.read_bytes()
    model_path.write_bytes(content[:-4096] + bytes(4096))
    refuse(model_path, "digest")


def test_files_from_before_the_digest_are_read(model_path: Path, force_field: ForceField) -> None:
    with h5py.File(model_path, "a") as file:
        file.attrs["version"] = UNSEALED
    check_equal(force_field, read_model(model_path)[0])


def test_files_from_before_four_bodies_are_read(model_path: Path, force_field: ForceField) -> None:
    settings = LocalSettings(cutoff_angstrom=4.2, n_radial=3, l_max=2, n_bodies=3)
    written = with_local_part(force_field, settings)
    write_model(model_path, written, {})
    with h5py.File(model_path, "a") as file:
        local = file["local"]
        del local["tables/quadruples"], local["settings"].attrs["n_bodies"]
        numbers = local["radial_indices"][()]
        del local["radial_indices"]
        local["radial_indices"] = np.where(numbers[:, 1:2] < 0, numbers[:, :1], numbers[:, :2])
        file.attrs["version"] = UNSEALED
    found = read_model(model_path)[0]
    assert found.local is not None
    assert found.local.settings == settings
    check_equal(written.local.tables, found.local.tables)
    np.testing.assert_array_equal(written.local.mean_radial_indices, found.local.mean_radial_indices)


def test_a_failed_write_leaves_the_old_file(model_path: Path, force_field: ForceField) -> None:
    before = model_path.read_bytes()
    with pytest.raises(TypeError):
        write_model(model_path, force_field, {"identity": object()})
    assert model_path.read_bytes() == before
    assert list(model_path.parent.iterdir()) == [model_path]
