"""Trajectories read back exactly, in any number of pieces, and at any moment of a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.store.trajectory import (
    TrajectoryWriter,
    check_trajectory,
    part_path,
    read_blocks,
    read_trajectory,
)
from mlff_dyn.store.trajectory_layout import Storage

N_ATOMS = 5
HEADER = {
    "numbers": np.arange(1, N_ATOMS + 1),
    "lattice": np.diag([3.0, 4.0, 5.0]),
    "ideal_positions": np.random.default_rng(0).normal(size=(N_ATOMS, 3)),
    "attributes": {"seed": 3, "temperature_kelvin": 300.0, "backend": "compiled"},
}


def samples(first: int, n_samples: int, every: int = 10) -> dict:
    rng = np.random.default_rng(first)
    return {
        "displacements": rng.normal(size=(n_samples, N_ATOMS, 3)),
        "velocities": rng.normal(size=(n_samples, N_ATOMS, 3)),
        "potential_energies": rng.normal(size=n_samples),
        "kinetic_energies": rng.normal(size=n_samples),
        "steps": np.arange(first, first + n_samples) * every,
    }


def joined(*pieces: dict) -> dict:
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def assert_holds(path, expected: dict, rows: slice = slice(None)) -> None:
    trajectory = read_trajectory(path)
    for name, values in expected.items():
        assert getattr(trajectory, name).tobytes() == values[rows].tobytes(), name
    assert trajectory.attributes == HEADER["attributes"]
    assert trajectory.ideal_positions.tobytes() == HEADER["ideal_positions"].tobytes()


def test_pieces_read_back_exactly(tmp_path):
    path = tmp_path / "md" / "trajectory.h5"
    pieces = [samples(0, 3), samples(3, 1), samples(4, 600)]
    with TrajectoryWriter.create(path, **HEADER) as writer:
        for piece in pieces:
            writer.append(**piece)
            assert not path.exists()
        assert_holds(part_path(path), joined(*pieces))
        writer.finish()
    assert [file.name for file in path.parent.iterdir()] == ["trajectory.h5"]
    assert_holds(path, joined(*pieces))
    some = read_trajectory(path, samples=slice(-10, None, 3))
    assert np.array_equal(some.steps, joined(*pieces)["steps"][-10::3])


def strained(first: int, n_samples: int) -> dict:
    upper = np.triu(np.random.default_rng(first + 1).normal(scale=0.02, size=(n_samples, 3, 3)))
    return {**samples(first, n_samples), "strains": upper + np.triu(upper, 1).swapaxes(1, 2)}


def test_strained_samples_have_their_cells_and_positions(tmp_path):
    path = tmp_path / "trajectory.h5"
    first, second = strained(0, 20), strained(15, 7)
    writer = TrajectoryWriter.create(path, **HEADER)
    writer.append(**first)
    writer.close()
    with TrajectoryWriter.resume(path, last_step=149) as writer:
        writer.append(**second)
        writer.finish()
    expected = joined({name: values[:15] for name, values in first.items()}, second)
    assert_holds(path, expected)
    found = read_trajectory(path)
    for k in (0, 21):
        stretch = np.eye(3) + expected["strains"][k]
        np.testing.assert_allclose(found.lattices[k], HEADER["lattice"] @ stretch, atol=1e-14)
        sites = HEADER["ideal_positions"] @ stretch
        np.testing.assert_allclose(found.positions[k] - sites, expected["displacements"][k], atol=1e-14)


def test_files_from_before_there_were_strains(tmp_path):
    """Version 1 is read, and continued."""
    path = tmp_path / "trajectory.h5"
    first = samples(0, 12)
    with TrajectoryWriter.create(path, **HEADER) as writer:
        writer.append(**first)
        writer.finish()
    with h5py.File(path, "r+") as file:
        del file["strains"]
        file.attrs["version"] = 1
    assert_holds(path, {**first, "strains": np.zeros((12, 3, 3))})
    with TrajectoryWriter.resume(path, last_step=59) as writer:
        writer.append(**strained(6, 2))
        writer.finish()
    kept = {name: values[:6] for name, values in {**first, "strains": np.zeros((12, 3, 3))}.items()}
    assert_holds(path, joined(kept, strained(6, 2)))


@pytest.mark.parametrize("finished", [False, True])
def test_resume_truncates_to_the_checkpoint(tmp_path, finished):
    path = tmp_path / "trajectory.h5"
    first, second = samples(0, 20), samples(15, 7)
    writer = TrajectoryWriter.create(path, **HEADER)
    writer.append(**first)
    writer.finish() if finished else writer.close()
    with TrajectoryWriter.resume(path, last_step=149) as writer:
        writer.append(**second)
        writer.finish()
    kept = {name: values[:15] for name, values in first.items()}
    assert_holds(path, joined(kept, second))


KILLED = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_trajectory import HEADER, samples
from mlff_dyn.store.trajectory import TrajectoryWriter
writer = TrajectoryWriter.create(Path(sys.argv[1]), **HEADER)
print("open", flush=True)
for first in range(0, 100000, 8):
    writer.append(**samples(first, 8))
"""


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.13, 0.31])
def test_killed_writer_leaves_whole_samples_and_can_be_resumed(tmp_path, wait):
    path = tmp_path / "trajectory.h5"
    folder = str(Path(__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path), folder], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"open\n"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
    n_samples = len(read_trajectory(part_path(path)).steps)
    expected = joined(*[samples(first, 8) for first in range(0, n_samples + 8, 8)])
    assert_holds(part_path(path), expected, slice(n_samples))
    n_keep = n_samples // 2
    writer = TrajectoryWriter.resume(path, last_step=10 * n_keep - 10)
    writer.append(**samples(n_keep, 4))
    writer.finish()
    assert_holds(
        path, joined({name: values[:n_keep] for name, values in expected.items()}, samples(n_keep, 4))
    )


@pytest.mark.parametrize("finished", [False, True])
def test_a_cut_file_is_refused_at_once(tmp_path, finished):
    """Wherever it is cut: HDF5 would wait for ever for an index that is gone."""
    path = tmp_path / "trajectory.h5"
    writer = TrajectoryWriter.create(path, **HEADER)
    for first in range(0, 3000, 500):
        writer.append(**samples(first, 500))
    if finished:
        writer.finish()
    content = (path if finished else part_path(path)).read_bytes()
    cut = tmp_path / "cut.h5"
    for size in np.linspace(0, len(content) - 1, 150).astype(int).tolist():
        cut.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"cut\.h5 is damaged"):
            check_trajectory(cut)
    writer.close()


def test_what_cannot_be_read_is_not_called_damaged(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*: Is a directory; fix: give a file"):
        read_trajectory(tmp_path)


def test_refusals_name_the_file(tmp_path):
    path = tmp_path / "trajectory.h5"
    with pytest.raises(DataError, match="does not exist"):
        read_trajectory(path)
    with pytest.raises(DataError, match="does not exist"):
        TrajectoryWriter.resume(path, last_step=0)
    writer = TrajectoryWriter.create(path, **HEADER)
    with pytest.raises(DataError, match="velocities has shape"):
        writer.append(**{**samples(0, 3), "velocities": np.zeros((3, N_ATOMS + 1, 3))})
    writer.append(**samples(0, 300))
    writer.finish()
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"trajectory\.h5 is damaged"):
            read_trajectory(path)
    part = tmp_path / "cut.part.h5"
    writer = TrajectoryWriter.create(tmp_path / "cut.h5", **HEADER)
    writer.append(**samples(0, 300))
    content = part.read_bytes()
    cut = tmp_path / "copy.h5"
    for size in (0, 10, len(content) // 2, len(content) - 5000):
        cut.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"copy\.h5 is damaged"):
            read_trajectory(cut)
    cut.write_bytes(content)
    assert_holds(cut, samples(0, 300))
    writer.close()
    path.unlink()
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "other"
    with pytest.raises(DataError, match="has format 'other'"):
        read_trajectory(path)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "mlff-dyn trajectory"
        file.attrs["version"] = 99
    with pytest.raises(DataError, match="version 99"):
        read_trajectory(path)


def finished(path: Path) -> dict:
    piece = samples(0, 300)
    with TrajectoryWriter.create(path, **HEADER) as writer:
        writer.append(**piece)
        writer.finish()
    return piece


def test_a_changed_byte_is_noticed_or_changes_nothing(tmp_path):
    """Nothing is read from the unused parts of the file."""
    path = tmp_path / "trajectory.h5"
    written, content = finished(path), path.read_bytes()
    n_noticed = 0
    for place in np.random.default_rng(4).choice(len(content), 150, replace=False).tolist():
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :])
        try:
            check_trajectory(path)
        except DataError:
            n_noticed += 1
        else:
            assert_holds(path, written)
    assert n_noticed > 50


def test_zeroed_samples_are_noticed_and_not_resumed(tmp_path):
    path = tmp_path / "trajectory.h5"
    finished(path)
    with h5py.File(path, "r+") as file:
        file["velocities"][120] = 0.0
    content = path.read_bytes()
    with pytest.raises(DataError, match="step 1200 is not what was written"):
        read_trajectory(path)
    assert read_trajectory(path, samples=slice(0, 120)).steps[-1] == 1190
    with pytest.raises(DataError, match=r"step 1200.*--force"):
        TrajectoryWriter.resume(path, last_step=2990)
    assert path.read_bytes() == content


def chunk_of(path: Path, name: str, row: int) -> tuple[int, int]:
    """Where the compressed chunk of a sample begins, and how long it is."""
    with h5py.File(path, "r") as file:
        dataset = file[name]
        info = dataset.id.get_chunk_info_by_coord((row - row % dataset.chunks[0], 0, 0))
    return info.byte_offset, info.size


def test_a_zeroed_chunk_is_noticed_and_the_others_are_read(tmp_path):
    path = tmp_path / "trajectory.h5"
    written, content = finished(path), path.read_bytes()
    start, length = chunk_of(path, "displacements", 250)
    path.write_bytes(content[:start] + bytes(length) + content[start + length :])
    with pytest.raises(DataError, match=r"trajectory\.h5 is damaged"):
        read_trajectory(path)
    some = read_trajectory(path, samples=slice(0, 100))
    assert some.displacements.tobytes() == written["displacements"][:100].tobytes()
    blocks = read_blocks(path)
    with pytest.raises(DataError, match=r"trajectory\.h5 is damaged"):
        list(blocks)


@pytest.mark.parametrize("velocities", [True, False])
@pytest.mark.parametrize("precision", ["double", "single"])
def test_what_is_stored(tmp_path, velocities, precision):
    """Resumed files keep it, and single precision is the nearest number."""
    path = tmp_path / "trajectory.h5"
    first, second = samples(0, 20), samples(15, 300)
    storage = Storage(velocities=velocities, precision=precision)
    crystal = {"masses": np.linspace(1.0, 2.0, N_ATOMS), "periodic": np.array([True, True, False])}
    writer = TrajectoryWriter.create(path, **HEADER, **crystal, storage=storage)
    writer.append(**first)
    writer.close()
    with TrajectoryWriter.resume(path, last_step=149) as writer:
        writer.append(**second)
        writer.finish()
    expected = joined({name: values[:15] for name, values in first.items()}, second)
    if precision == "single":
        for name in ("displacements", "velocities"):
            expected[name] = expected[name].astype(np.float32).astype(float)
    if not velocities:
        del expected["velocities"]
    assert_holds(path, expected)
    found = read_trajectory(path)
    assert (found.velocities is None) == (not velocities)
    for name, values in crystal.items():
        np.testing.assert_array_equal(getattr(found, name), values)
    assert len(check_trajectory(path)) == 315


def test_a_trajectory_without_its_velocities_is_damaged(tmp_path):
    path = tmp_path / "trajectory.h5"
    finished(path)
    with h5py.File(path, "r+") as file:
        del file["velocities"]
    with pytest.raises(DataError, match="step 0 is not what was written"):
        read_trajectory(path)


def vibrations(n_samples: int, n_atoms: int) -> dict:
    """Samples with magnitudes as in a crystal, whose last digits are random."""
    rng = np.random.default_rng(1)
    return {
        "displacements": 0.1 * rng.normal(size=(n_samples, n_atoms, 3)),
        "velocities": 0.002 * rng.normal(size=(n_samples, n_atoms, 3)),
        "potential_energies": np.ones(n_samples),
        "kinetic_energies": np.ones(n_samples),
        "steps": np.arange(n_samples),
    }


def size_of(path: Path, n_atoms: int, piece: int, **storage: object) -> int:
    """Size of a file of 200 samples that come in pieces."""
    crystal = (np.ones(n_atoms, int), np.eye(3), np.zeros((n_atoms, 3)))
    written = vibrations(200, n_atoms)
    with TrajectoryWriter.create(path, *crystal, {}, storage=Storage(**storage)) as writer:
        for start in range(0, 200, piece):
            writer.append(**{name: values[start : start + piece] for name, values in written.items()})
        writer.finish()
    return path.stat().st_size


@pytest.mark.parametrize(
    ("storage", "least", "most"),
    [
        ({}, 0.85, 0.97),
        ({"precision": "single"}, 0.40, 0.48),
        ({"velocities": False, "precision": "single"}, 0.20, 0.25),
    ],
)
def test_files_are_smaller_than_their_numbers(tmp_path, storage, least, most):
    assert least < size_of(tmp_path / "a.h5", 400, 200, **storage) / (200 * 48 * 400) < most


def test_samples_that_come_one_by_one_take_little_more_space(tmp_path):
    """Chunks are written again while they fill; large cells have a chunk for each sample."""
    together, alone = (size_of(tmp_path / f"{piece}.h5", 700, piece) for piece in (200, 1))
    assert alone < 1.02 * together
    assert size_of(tmp_path / "few.h5", 64, 20) < 1.5 * size_of(tmp_path / "all.h5", 64, 200)


def test_blocks_are_the_trajectory(tmp_path, monkeypatch):
    monkeypatch.setattr("mlff_dyn.store.trajectory_layout._COPY_BYTES", 7 * 48 * N_ATOMS)
    path = tmp_path / "trajectory.h5"
    written = finished(path)
    for stride in (1, 4):
        blocks = list(read_blocks(path, stride=stride))
        assert max(len(block.steps) for block in blocks) == 7
        for name in ("steps", "velocities"):
            found = np.concatenate([getattr(block, name) for block in blocks])
            assert found.tobytes() == written[name][::stride].tobytes()


def test_files_from_before_the_checksums_are_read(tmp_path):
    path = tmp_path / "trajectory.h5"
    written = finished(path)
    with h5py.File(path, "r+") as file:
        del file["crc32"]
        file.attrs["version"] = 2
    assert_holds(path, written)
