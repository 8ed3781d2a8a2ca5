"""`export` of trajectories: the right one, whole or not at all, and never over another file."""

import json
import os
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest

import mlff_dyn.store.trajectory_layout
from mlff_dyn.config.load import load_config
from mlff_dyn.errors import SimulationError
from mlff_dyn.formats.registry import TRAJECTORY_FORMATS
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.store.lock import RunLock
from mlff_dyn.store.trajectory import read_trajectory
from mlff_dyn.workflows.export_trajectory import export_trajectory
from mlff_dyn.workflows.md.run_md import run_md
from tests.workflows.conftest import invoke

SHORT = ("md.n_steps=60", "md.temperatures_kelvin=[300]")


@pytest.fixture
def moved(project: Path) -> Path:
    """The project with one trajectory, of 12 frames."""
    run_one(project)
    return project


def run_one(project: Path, *overrides: str) -> None:
    config = load_config(project / "CONFIG.yaml", [*SHORT, *overrides])
    run_md(config, dry_run=False, force=False, progress=NullProgress())


def refused(*arguments: object, code: int) -> str:
    """What standard error says; nothing is left behind."""
    output = Path(str(arguments[-1]))
    before = sorted(output.parent.iterdir())
    result = invoke("export", *arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    assert sorted(output.parent.iterdir()) == before
    lines = [line for line in result.stderr.splitlines() if not line.startswith("frames:")]
    assert len(lines) == 1, result.stderr
    assert "; fix: " in lines[0]
    return lines[0]


@pytest.mark.parametrize("name", list(TRAJECTORY_FORMATS))
def test_every_source_gives_the_same_file(moved: Path, name: str) -> None:
    path = moved / "run/md/300K-7/trajectory.h5"
    out = moved / "out"
    sources = (moved / "CONFIG.yaml", moved / "run", path.parent, path)
    for k, source in enumerate(sources):
        result = invoke("export", source, "-f", name, "-o", out / str(k), "--json", "-q")
        assert result.exit_code == 0, result.stderr
        answer = json.loads(result.stdout)
        assert answer["files"] == [str(out / str(k))]
        assert (answer["format"], answer["n_frames"], answer["n_atoms"]) == (name, 12, 32)
    assert len({(out / str(k)).read_bytes() for k in range(len(sources))}) == 1
    assert len(list(out.iterdir())) == len(sources)


def test_frames_have_the_atoms_of_the_supercell(moved: Path) -> None:
    """In the order in which `init` writes them; every third frame of the stored ones."""
    assert invoke("init", moved / "CONFIG.yaml").exit_code == 0
    out = moved / "moved.extxyz"
    assert invoke("export", moved / "run", "-f", "extxyz", "-o", out, "--stride", 3).exit_code == 0
    found, expected = ase.io.read(out, index=":"), read_trajectory(moved / "run/md/300K-7/trajectory.h5")
    assert [atoms.info["step"] for atoms in found] == [5, 20, 35, 50]
    assert [atoms.info["time_femtoseconds"] for atoms in found] == [10.0, 40.0, 70.0, 100.0]
    assert np.array([atoms.positions for atoms in found]).tobytes() == expected.positions[::3].tobytes()
    supercell = ase.io.read(moved / "run/structure/supercell.vasp")
    np.testing.assert_allclose(found[0].cell.array, supercell.cell.array, atol=1e-10)
    assert found[0].numbers.tolist() == supercell.numbers.tolist()
    assert np.linalg.norm(found[0].positions - supercell.positions, axis=1).max() < 0.3


def test_the_same_again_touches_nothing_and_other_files_are_kept(moved: Path) -> None:
    command = ("export", moved / "run", "-f", "xdatcar", "-o", moved / "XDATCAR", "-q")
    assert invoke(*command).exit_code == 0
    content, changed = (moved / "XDATCAR").read_bytes(), (moved / "XDATCAR").stat().st_mtime_ns
    again = invoke(*command)
    assert (again.exit_code, "done (up to date)" in again.stdout) == (0, True)
    assert (moved / "XDATCAR").stat().st_mtime_ns == changed
    for other in (content + b"\n", content[:-9], b""):
        (moved / "XDATCAR").write_bytes(other)
        assert "another content" in refused(*command[1:4], "-o", moved / "XDATCAR", code=2)
        assert (moved / "XDATCAR").read_bytes() == other
    assert invoke(*command, "--force").exit_code == 0
    assert (moved / "XDATCAR").read_bytes() == content


@pytest.mark.parametrize("name", ["model.h5", "md/300K-7/trajectory.h5", "md/300K-7/md.json"])
def test_files_of_the_run_directory_are_kept(moved: Path, name: str) -> None:
    output = moved / "run" / name
    content = output.read_bytes()
    for source in (moved / "run", moved / "CONFIG.yaml"):
        assert "run directory" in refused(source, "-f", "xdatcar", "--force", "-o", output, code=2)
        assert output.read_bytes() == content


def test_places_that_no_file_can_have_are_refused(moved: Path) -> None:
    os.mkfifo(moved / "pipe")
    for output in (moved / "pipe", moved / ("a" * 300)):
        for more in ((), ("--force",)):
            refused(moved / "run", "-f", "extxyz", *more, "-o", output, code=3)
    assert (moved / "pipe").is_fifo()


def test_a_dry_run_reads_and_writes_nothing(moved: Path) -> None:
    before = sorted(moved.rglob("*"))
    result = invoke("export", moved / "run", "-f", "extxyz", "-o", moved / "a.xyz", "-n", "--json")
    assert (result.exit_code, json.loads(result.stdout)["n_frames"]) == (0, 12)
    assert sorted(moved.rglob("*")) == before


def test_one_of_several_is_chosen(moved: Path) -> None:
    run_one(moved, "md.temperatures_kelvin=[200]")
    out = moved / "XDATCAR"
    line = refused(moved / "run", "-f", "xdatcar", "-o", out, code=2)
    assert "several trajectories: 200K-7, 300K-7" in line
    assert "--trajectory 200K-7" in line
    both = ("--set", "md.temperatures_kelvin=[200, 300]")
    assert "200K-7, 300K-7" in refused(moved / "CONFIG.yaml", *both, "-f", "xdatcar", "-o", out, code=2)
    line = refused(moved / "run", "-f", "xdatcar", "--trajectory", "400K-7", "-o", out, code=3)
    assert "holds no trajectory 400K-7" in line
    assert "200K-7, 300K-7" in line
    assert "400K-7" in refused(
        moved / "CONFIG.yaml", "--set", "md.temperatures_kelvin=[400]", "-f", "xdatcar", "-o", out, code=3
    )
    report = export_trajectory(
        moved / "run", format="xdatcar", output=out, name="200K-7", progress=NullProgress()
    )
    assert report.trajectory == moved / "run/md/200K-7/trajectory.h5"
    chosen = load_config(moved / "CONFIG.yaml", [])
    report = export_trajectory(chosen, format="xdatcar", output=out, force=True, progress=NullProgress())
    assert report.trajectory.parent.name == "300K-7"


def test_what_has_no_trajectory_says_what_to_do(project: Path) -> None:
    out = project / "XDATCAR"
    for source in (project / "run", project / "CONFIG.yaml"):
        assert "run mlff-dyn run-md first" in refused(source, "-f", "xdatcar", "-o", out, code=3)
    assert "does not exist" in refused(project / "none.h5", "-f", "xdatcar", "-o", out, code=3)
    line = refused(project / "run/model.h5", "-f", "xdatcar", "-o", out, code=3)
    assert "give a trajectory.h5" in line
    run_one(project, "md.n_steps=4")
    assert "holds no frame" in refused(project / "run", "-f", "xdatcar", "-o", out, code=3)


def test_options_and_places_without_meaning_are_refused(moved: Path) -> None:
    run, out = moved / "run", moved / "XDATCAR"
    assert "--supercell" in refused(run, "-f", "xdatcar", "--supercell", "2 2 2", "-o", out, code=2)
    assert "--stride" in refused(run, "-f", "phonopy", "--stride", "2", "-o", out, code=2)
    assert "--trajectory" in refused(run, "-f", "phonopy", "--trajectory", "300K-7", "-o", out, code=2)
    line = refused(run / "md/300K-7/trajectory.h5", "-f", "xdatcar", "--trajectory", "a", "-o", out, code=2)
    assert "leave out --trajectory" in line
    assert "is a folder" in refused(run, "-f", "xdatcar", "-o", run, code=2)
    assert "lammps-dump" in refused(run, "-f", "lammps-dmp", "-o", out, code=2)
    with RunLock(run):
        assert "in use" in refused(run, "-f", "xdatcar", "-o", out, code=2)


def test_a_stopped_trajectory_can_be_looked_at(project: Path) -> None:
    """By the name of its file; the run directory says which that is."""
    hot = ("md.displacement_limit_angstrom=0.2", "md.temperatures_kelvin=[900]", "md.n_steps=400")
    with pytest.raises(SimulationError):
        run_one(project, *hot)
    line = refused(project / "run", "-f", "xdatcar", "-o", project / "XDATCAR", code=3)
    part = project / "run/md/900K-7/trajectory.part.h5"
    assert f"mlff-dyn export {part}" in line
    result = invoke("export", part, "-f", "extxyz", "-o", project / "a.xyz")
    assert result.exit_code == 0, result.stderr
    assert len(ase.io.read(project / "a.xyz", index=":")) == len(read_trajectory(part).steps) > 0


def test_a_damaged_sample_leaves_no_file(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that comes after others which were written."""
    monkeypatch.setattr(mlff_dyn.store.trajectory_layout, "_COPY_BYTES", 48 * 32)
    path = moved / "run/md/300K-7/trajectory.h5"
    with h5py.File(path, "r+") as file:
        file["displacements"][9, 0, 0] += 1e-9
    line = refused(moved / "run", "-f", "extxyz", "-o", moved / "a.xyz", code=3)
    assert f"{path} is damaged: the sample of step 50 is not what was written" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_one_line(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def full(self: Path, mode: str = "r", **options: object) -> object:
        return real(Path("/dev/full") if mode == "wb" else self, mode, **options)

    monkeypatch.setattr(Path, "open", full)
    line = refused(moved / "run", "-f", "extxyz", "-o", moved / "a.xyz", code=3)
    assert "No space left on device; fix: free some disk space" in line


def test_a_configuration_gives_only_its_own_trajectory(moved: Path) -> None:
    """One of other settings is in the run directory, where it can be had by its name."""
    command = (moved / "CONFIG.yaml", "-f", "xdatcar", "-o", moved / "XDATCAR")
    line = refused(moved / "CONFIG.yaml", "--set", "md.friction_per_picosecond=2", *command[1:], code=2)
    path = moved / "run/md/300K-7/trajectory.h5"
    assert f"{path} is of another model or other settings" in line
    assert f"mlff-dyn export {path}" in line
    for option in (("--set", "md.n_steps=400"), ("--trajectory", "300K-7", "--set", "md.ensemble=nve")):
        assert invoke("export", command[0], *option, *command[1:]).exit_code == 0
