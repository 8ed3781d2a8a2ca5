"""Extended XYZ of other programs: keys in any case, virials, displacements beside ideal positions."""

import lzma
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.extxyz_frames import EXTXYZ
from mlff_dyn.store.calculated_steps import ReadOptions, StepChoice
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source


def read(path: Path, steps: str = "all", **columns: str) -> list[Snapshot]:
    source = Source(path)
    assert EXTXYZ.recognizes(source, source.head())
    found = list(EXTXYZ.read(source, ReadOptions(StepChoice.parse(steps), columns)))
    return [each for each in found if isinstance(each, Snapshot)]


def ideal_copper() -> Atoms:
    return bulk("Cu", "fcc", a=3.7, cubic=True).repeat(3)


def rattled(seed: int) -> Atoms:
    atoms = ideal_copper()
    atoms.rattle(0.05, seed=seed)
    atoms.calc = EMT()
    return atoms


def test_training_files_of_gpumd(tmp_path: Path) -> None:
    """Its keys are in small letters, its virial is -stress times volume, its forces are called force."""
    atoms = rattled(1)
    virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
    numbers = lambda values: " ".join(map(str, np.ravel(values)))  # noqa: E731
    rows = [f"Cu {numbers(p)} {numbers(f)}" for p, f in zip(atoms.positions, atoms.get_forces(), strict=True)]
    cell = numbers(atoms.cell.array)
    header = (
        f'energy={atoms.get_potential_energy()} virial="{numbers(virial)}" lattice="{cell}"'
        ' properties=species:S:1:pos:R:3:force:R:3 pbc="T T T"'
    )
    (tmp_path / "train.xyz").write_text("\n".join([str(len(atoms)), header, *rows, ""]))
    (found,) = read(tmp_path / "train.xyz")
    assert np.allclose(found.stress_ev_per_angstrom3, atoms.get_stress())
    assert np.allclose(found.forces_ev_per_angstrom, atoms.get_forces())
    assert found.energy_ev == pytest.approx(atoms.get_potential_energy())
    assert (found.provenance.file, found.provenance.step) == (str(tmp_path / "train.xyz"), 1)


def containers(folder: Path, n_frames: int, *, ideal: bool) -> list[Atoms]:
    """Structures as hiPhive keeps them: ideal positions with displacements and forces beside."""
    frames, written = [rattled(seed) for seed in range(n_frames)], []
    for frame in frames:
        at_rest = ideal_copper()
        each = at_rest.copy() if ideal else Atoms(frame)
        each.calc = None
        each.set_array("displacements", frame.positions - at_rest.positions)
        each.set_array("forces", frame.get_forces())
        written.append(each)
    ase.io.write(folder / "container.extxyz", written, format="extxyz")
    return frames


@pytest.mark.parametrize("ideal", [True, False])
def test_displacements_are_added_where_positions_are_ideal(tmp_path: Path, ideal: bool) -> None:
    frames = containers(tmp_path, 3, ideal=ideal)
    found = read(tmp_path / "container.extxyz")
    for each, frame in zip(found, frames, strict=True):
        assert np.allclose(each.positions, frame.positions, atol=1e-7)
        assert np.allclose(each.forces_ev_per_angstrom, frame.get_forces(), atol=1e-7)


def test_one_frame_does_not_tell_what_its_displacements_are(tmp_path: Path) -> None:
    containers(tmp_path, 1, ideal=True)
    with pytest.raises(DataError, match="one cannot tell"):
        read(tmp_path / "container.extxyz")


def test_compressed_frames_steps_and_columns(tmp_path: Path, shared_data: Path) -> None:
    path = tmp_path / "frames.xyz.xz"
    path.write_bytes(lzma.compress((shared_data / "SnSe-sevennet/train.extxyz").read_bytes()))
    assert [each.provenance.step for each in read(path, "::10")] == [1, 11]
    with pytest.raises(DataError, match="there are no forces"):
        read(path, forces="other")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_hiphive_container_is_read_as_it_was_built(tmp_path: Path) -> None:
    from hiphive import ClusterSpace, StructureContainer

    container = StructureContainer(ClusterSpace(bulk("Cu", "fcc", a=3.7), [2.7]))
    frames = containers(tmp_path, 2, ideal=True)
    for structure in ase.io.read(tmp_path / "container.extxyz", ":"):
        structure.set_array("forces", structure.get_forces())
        container.add_structure(structure)
    ase.io.write(tmp_path / "again.extxyz", [each.atoms for each in container], format="extxyz")
    for each, frame in zip(read(tmp_path / "again.extxyz"), frames, strict=True):
        assert np.allclose(each.positions, frame.positions, atol=1e-7)
        assert np.allclose(each.forces_ev_per_angstrom, frame.get_forces(), atol=1e-7)
