"""The data set reads back bit by bit, ASE reads the same file, and damage is refused by file and frame."""

from __future__ import annotations

import dataclasses

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from mlff_dyn.errors import DataError
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.store.provenance import Provenance

INFO = {
    "name": "0001",
    "criterion": "trajectory",
    "temperature_kelvin": 300.0,
    "step": 12,
    "emergency": True,
    "text": "a \"quoted\" text\nof two lines with \\ and = {x} [y], 'z'",
    "truth": "T",
    "number_text": "1e5",
    "empty": "",
    "nothing": None,
    "list": [1.5, 2.5],
    "one": [1.5],
    "words": ["a", "b"],
    "nested": {"engine": {"kind": "ase", "n": 3}},
    "seed": 2**40 + 1,
}


def random_snapshot(seed: int, **changes) -> Snapshot:
    rng = np.random.default_rng(seed)
    n_atoms = 7
    values = {
        "numbers": rng.integers(1, 90, n_atoms),
        "positions": rng.normal(size=(n_atoms, 3)) * 10.0 ** rng.integers(-12, 3, (n_atoms, 3)),
        "cell": rng.normal(size=(3, 3)) * 7,
        "energy_ev": float(rng.normal() * 1e5),
        "forces_ev_per_angstrom": rng.normal(size=(n_atoms, 3)) * 10.0 ** rng.integers(-300, 3, (n_atoms, 3)),
        "stress_ev_per_angstrom3": rng.normal(size=6),
        "magnetic_moments": np.array([2.0, -1.9, 0.3, 0.0, 1 / 3, 5.0, -0.7]),
        "provenance": Provenance.from_info(INFO),
    }
    return Snapshot(**{**values, **changes})


def assert_identical(first: Snapshot, second: Snapshot) -> None:
    for field in dataclasses.fields(Snapshot):
        one, two = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, np.ndarray):
            assert one.tobytes() == two.tobytes(), field.name
        else:
            assert one == two, field.name


def test_round_trip_is_exact_to_the_bit(tmp_path):
    path = tmp_path / "dataset.extxyz"
    snapshots = [random_snapshot(seed) for seed in range(20)]
    snapshots.append(
        random_snapshot(20, energy_ev=None, stress_ev_per_angstrom3=None, provenance=Provenance())
    )
    snapshots.append(random_snapshot(21, forces_ev_per_angstrom=np.full((7, 3), -0.0)))
    write_snapshots(path, snapshots)
    read = read_snapshots(path)
    assert len(read) == len(snapshots)
    for first, second in zip(snapshots, read, strict=True):
        assert_identical(first, second)
    before = path.read_bytes()
    write_snapshots(path, read)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["dataset.extxyz"]


def test_ase_reads_our_file(tmp_path):
    snapshot = random_snapshot(3)
    write_snapshots(tmp_path / "a.extxyz", [snapshot])
    atoms = ase.io.read(tmp_path / "a.extxyz")
    assert atoms.positions.tobytes() == snapshot.positions.tobytes()
    assert atoms.get_forces().tobytes() == snapshot.forces_ev_per_angstrom.tobytes()
    assert atoms.get_potential_energy() == snapshot.energy_ev
    assert np.array_equal(atoms.get_stress(), snapshot.stress_ev_per_angstrom3)
    assert atoms.pbc.all()


def test_we_read_the_file_of_ase(tmp_path):
    images = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        images.append(atoms)
    ase.io.write(tmp_path / "ase.extxyz", images)
    for atoms, snapshot in zip(images, read_snapshots(tmp_path / "ase.extxyz"), strict=True):
        assert snapshot.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
        assert snapshot.forces_ev_per_angstrom == pytest.approx(atoms.get_forces(), abs=1e-8)
        assert snapshot.stress_ev_per_angstrom3 == pytest.approx(atoms.get_stress(), abs=1e-12)


def test_forces_on_constrained_atoms_are_read_as_they_are(tmp_path):
    from ase.constraints import FixAtoms

    atoms = bulk("Cu", cubic=True)
    forces = np.arange(12.0).reshape(4, 3)
    atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=forces)
    atoms.set_constraint(FixAtoms([0, 1]))
    ase.io.write(tmp_path / "fixed.extxyz", atoms)
    (snapshot,) = read_snapshots(tmp_path / "fixed.extxyz")
    assert np.array_equal(snapshot.forces_ev_per_angstrom, forces)


@pytest.fixture
def good_text(tmp_path) -> str:
    write_snapshots(
        tmp_path / "good.extxyz", [random_snapshot(seed, provenance=Provenance()) for seed in range(3)]
    )
    return (tmp_path / "good.extxyz").read_text()


def refused(tmp_path, text: str) -> str:
    path = tmp_path / "bad.extxyz"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_snapshots(path)
    assert "bad.extxyz" in str(caught.value)
    return str(caught.value)


def test_a_file_cut_at_any_byte_is_refused_or_keeps_whole_frames(tmp_path, good_text):
    frame_ends = {len("".join(good_text.splitlines(keepends=True)[: 9 * n])) for n in (1, 2, 3)}
    for cut in range(0, len(good_text), 7):
        if cut not in frame_ends:
            refused(tmp_path, good_text[:cut])
    for cut in frame_ends:
        refused(tmp_path, good_text[: cut - 1])
        refused(
            tmp_path,
            good_text[: cut - 2] + "\n" if good_text[cut - 2] == " " else good_text[: cut - 40] + "\n",
        )


def test_damage_is_named_with_its_frame(tmp_path, good_text):
    lines = good_text.splitlines()
    row = lines[12].split()
    frame_two = "frame 2"
    for damaged in (
        " ".join(row[:-1]),
        " ".join([*row[:-1], "nan"]),
        " ".join([*row[:-1], "inf"]),
        " ".join([*row[:-1], "****"]),
        " ".join(["Qq", *row[1:]]),
    ):
        assert frame_two in refused(tmp_path, "\n".join([*lines[:12], damaged, *lines[13:]]) + "\n")
    header = lines[10]
    for old, new in (
        ("forces:R:3", "other:R:3"),
        ('pbc="T T T"', 'pbc="F F F"'),
        ("energy=", "energy=nan dummy="),
        ("energy=", "energy=word dummy="),
        ("Lattice=", "Other="),
        ("Properties=", "Nothing="),
        ("forces:R:3", "forces:R:2"),
    ):
        assert old in header
        changed = "\n".join([*lines[:10], header.replace(old, new), *lines[11:]]) + "\n"
        assert frame_two in refused(tmp_path, changed)


def test_missing_forces_name_the_columns(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_array("push", np.ones((4, 3)))
    ase.io.write(tmp_path / "bad.extxyz", atoms)
    message = refused(tmp_path, (tmp_path / "bad.extxyz").read_text())
    assert "frame 1" in message
    assert "push" in message
    assert "--columns" in message


@pytest.mark.parametrize("text", ["", "\n\n", "hello\n", "0\n\n", "-3\nx\n", "2\n", "\x00\x01"])
def test_other_content_is_refused(tmp_path, text):
    refused(tmp_path, text)


def test_a_blank_line_between_frames_does_not_hide_the_rest(tmp_path, good_text):
    lines = good_text.splitlines()
    refused(tmp_path, "\n".join([*lines[:9], "", *lines[9:]]) + "\n")
    path = tmp_path / "trailing.extxyz"
    path.write_text(good_text + "\n\n")
    assert len(read_snapshots(path)) == 3


def test_missing_file_binary_file_and_folder(tmp_path):
    (tmp_path / "binary.extxyz").write_bytes(bytes(range(256)))
    for name in ("none.extxyz", "binary.extxyz", "."):
        with pytest.raises(DataError):
            read_snapshots(tmp_path / name)


def test_what_cannot_be_stored_is_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "dataset.extxyz"
    for info in ({"energy": 3}, {"pbc": 1}, {"a b": 1}, {"ragged": [[1], [1, 2]]}):
        with pytest.raises(DataError, match="info key"):
            write_snapshots(path, [random_snapshot(0, provenance=Provenance.from_info(info))])
    with pytest.raises(DataError, match="no snapshots"):
        write_snapshots(path, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": np.zeros((6, 3))},
        {"forces_ev_per_angstrom": np.full((7, 3), np.nan)},
        {"stress_ev_per_angstrom3": np.zeros((3, 3))},
        {"energy_ev": np.inf},
        {"cell": np.zeros((3, 3))},
        {"numbers": np.zeros(7, dtype=int)},
    ],
)
def test_snapshot_checks_itself(changes):
    with pytest.raises(DataError):
        random_snapshot(0, **changes)


def test_info_values_of_another_type_are_refused_with_their_frame(tmp_path, good_text):
    lines = good_text.splitlines()
    for entry in ("temperature_kelvin=warm", "temperature_kelvin=T", 'score="1 2"', "score=abc", "engine=5"):
        message = refused(tmp_path, "\n".join([*lines[:10], f"{lines[10]} {entry}", *lines[11:]]) + "\n")
        assert "frame 2" in message
        assert entry.split("=")[0] in message


def test_what_is_known_of_a_frame_has_fields_and_the_rest_is_kept():
    """An old name is read; a calculation that another run was given is none of its own."""
    found = Provenance.from_info({"mine": [1], "temperature_k": 300, "score": 1.5, "engine": "a"})
    assert found == Provenance(temperature_kelvin=300, score=1.5, engine="a", others={"mine": [1]})
    assert list(found.to_info()) == ["engine", "temperature_kelvin", "score", "mine"]
    assert found.is_calculation
    given = found.as_given()
    assert given == Provenance(label_engine="a", temperature_kelvin=300)
    assert (given.is_calculation, given.labelled_by, given.as_given()) == (False, "a", given)


def test_a_frame_of_endless_columns_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "dataset.extxyz"
    header = 'Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:forces:R:300000000000 pbc="T T T"'
    path.write_text(f"1\n{header}\nH 0 0 0 0 0 0\n")
    with pytest.raises(DataError, match="frame 1: there are more than 1000 columns"):
        read_snapshots(path)
