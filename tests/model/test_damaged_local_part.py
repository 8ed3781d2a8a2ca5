"""Model files with a local part whose contents do not belong together: refused before a kernel sees them."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.store.model_file import read_model, write_model
from tests.models import random_force_field, with_local_part

UNSEALED = 2
N_DRAWS = 8
HUGE = (1 << 31) - 1, 1 << 31, 1 << 40, -(1 << 40), -2, -1

Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def force_field() -> ForceField:
    force_field, torus = random_force_field(bulk("ZnS", "zincblende", 5.4), (2, 2, 2), {2: "full"})
    settings = LocalSettings(cutoff_angstrom=4.2, n_radial=3, l_max=2)
    return with_local_part(force_field, settings, training=torus)


@pytest.fixture
def path(tmp_path: Path, force_field: ForceField) -> Path:
    write_model(tmp_path / "model.h5", force_field, {})
    return tmp_path / "model.h5"


def spoil(path: Path, name: str, change: Change) -> None:
    """Replace an array or a value of the local part; a file without digest hides it."""
    with h5py.File(path, "a") as file:
        file.attrs["version"] = UNSEALED
        place, _, last = f"local/{name}".rpartition("/")
        if last not in file[place]:
            file[place].attrs[last] = change(file[place].attrs[last])
            return
        changed = change(file[place][last][()])
        del file[place][last]
        file[place][last] = changed


def to(value: object) -> Change:
    return lambda _: value


def one_is(value: float) -> Change:
    def change(array: np.ndarray) -> np.ndarray:
        changed = array.astype(np.int64 if isinstance(value, int) else float)
        changed.flat[changed.size // 2] = value
        return changed

    return change


ARRAYS = (
    "tables/kinds",
    "tables/starts",
    "tables/slots",
    "tables/vectors",
    "tables/radial",
    "tables/pair_functions",
    "tables/triple_functions",
    "tables/quadruples",
    "numbers",
    "bodies",
    "radial_indices",
    "degrees",
    "shared_on",
)
INDICES = tuple(name for name in ARRAYS if name not in ("tables/vectors", "tables/radial"))
VALUES = (
    "largest_displacement",
    "tables/cutoff",
    "tables/l_max",
    "tables/n_functions",
    "settings/cutoff_angstrom",
    "settings/n_radial",
    "settings/l_max",
    "settings/n_bodies",
)


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_model(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[:-1],
        lambda array: np.concatenate([array, array[-1:]]),
        lambda array: array[None],
        lambda array: array.ravel()[0],
        lambda array: array[:0],
        lambda array: array.astype("S8"),
        lambda array: np.full(array.shape, np.nan),
    ],
    ids=["shorter", "longer", "deeper", "scalar", "empty", "text", "nan"],
)
def test_arrays_of_other_shapes_are_refused(path: Path, name: str, change: Change) -> None:
    spoil(path, name, change)
    refused(path)


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("value", [*HUGE, 0.5])
def test_numbers_out_of_range_are_refused(path: Path, name: str, value: float) -> None:
    offsets = ("tables/pair_functions", "tables/triple_functions", "tables/slots", "shared_on")
    if (value == -1 and name in offsets) or (value == -2 and name == "shared_on"):
        pytest.skip("stands for none, or is an offset")
    spoil(path, name, one_is(value))
    refused(path)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("value", [99, -1, 0, 1 << 40, 2.5, np.nan, np.inf, -np.inf, 1e300, "warm"])
def test_values_out_of_range_are_refused(path: Path, name: str, value: object) -> None:
    if name == "largest_displacement" and value in (99, 0, 1 << 40, 2.5, 1e300):
        pytest.skip("a length")
    spoil(path, name, to(value))
    refused(path)


def test_neighbors_must_be_those_of_the_crystal(path: Path) -> None:
    spoil(path, "tables/vectors", lambda array: array * 1.001)
    assert "another crystal" in refused(path)


def test_a_supercell_that_shares_must_span_one(path: Path) -> None:
    spoil(path, "shared_on", lambda array: array[[0, 0, 1]])
    assert "spans no supercell" in refused(path)


def test_starts_must_ascend(path: Path) -> None:
    spoil(path, "tables/starts", lambda array: array[::-1])
    assert "starts" in refused(path)


def test_neighbors_must_be_sorted_by_kind(path: Path) -> None:
    spoil(path, "tables/slots", lambda array: array[::-1])
    assert "sorted by kind" in refused(path)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_read_can_be_run(path: Path, seed: int) -> None:
    """Numbers drawn at random into the arrays: a refusal, or forces and errors without a crash."""
    generator = np.random.default_rng(seed)

    def change(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        places = generator.integers(changed.size, size=int(generator.integers(1, N_DRAWS)))
        changed.flat[places] = generator.integers(-3, changed.max() + 3, size=len(places))
        return changed

    spoil(path, ARRAYS[seed % len(ARRAYS)], change)
    try:
        model, _ = read_model(path)
    except DataError:
        return
    torus = input_supercell(model.basis.crystal, (2, 2, 2))
    u = 0.05 * generator.standard_normal((torus.n_atoms, 3))
    model.on(torus).energy_forces(u)
    model.on(torus).force_errors(u)


@pytest.mark.parametrize("version", [-1, 0, 3, 5, 6, 9, 99])
def test_versions_without_digest_or_of_later_programs_are_refused(path: Path, version: int) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["version"] = version
    refused(path)
