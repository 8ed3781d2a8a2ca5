"""vaspout.h5, written here as VASP's documentation and py4vasp lay it out."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest

from mlff_dyn.engines.vasp.vaspout import VASPOUT_H5
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from mlff_dyn.errors import DataError
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source
from tests.engines.vasp.vasp_outputs import read_all


def write_vaspout(path: Path, steps: list[Snapshot], converged: list[int] | None, **tags: object) -> None:
    """Write steps of one run; ``converged`` as VASP has it: 0 where it is."""
    kilobar = 1602.176634
    with h5py.File(path, "w") as file:
        file["version/major"], file["version/minor"], file["version/patch"] = 6, 5, 0
        for name, value in {"ENCUT": 300.0, "ISMEAR": 0, "LREAL": "Auto", **tags}.items():
            file[f"input/incar/{name}"] = value
        file["input/potcar/content"] = (
            "  PAW_PBE Si 05Jan2001\n   TITEL  = PAW_PBE Si 05Jan2001\n ENMAX  =  245.345;"
        )
        file["results/positions/ion_types"] = np.array([b"Si"])
        file["results/positions/number_ion_types"] = [steps[0].n_atoms]
        group = file.create_group("intermediate/ion_dynamics")
        group["scale"] = 1.0
        group["lattice_vectors"] = [each.cell for each in steps]
        group["position_ions"] = [each.positions @ np.linalg.inv(each.cell) for each in steps]
        group["forces"] = [each.forces_ev_per_angstrom for each in steps]
        group["energies_tags"] = np.array(
            [b"free energy    TOTEN   ", b"energy without entropy ", b"energy(sigma->0)"]
        )
        group["energies"] = [[each.energy_ev, each.energy_ev + 1.0, each.energy_ev + 0.5] for each in steps]
        xx, yy, zz, yz, xz, xy = np.array([each.stress_ev_per_angstrom3 for each in steps]).T
        stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]).transpose(2, 0, 1)
        group["stress"] = -kilobar * stress
        if converged is not None:
            group["electronic_step_converged"] = converged


@pytest.fixture
def dynamics(shared_data: Path) -> list[Snapshot]:
    return read_all(VASPRUN, shared_data / "vasp" / "vasprun.md.xml.gz")[0]


def test_converged_steps_are_those_of_the_run(dynamics: list[Snapshot], tmp_path: Path) -> None:
    path = tmp_path / "vaspout.h5"
    write_vaspout(path, dynamics, [0] * 9 + [1])
    source = Source(path)
    assert VASPOUT_H5.recognizes(source, source.head())
    snapshots, refused = read_all(VASPOUT_H5, source)
    assert len(snapshots) == 9
    assert [str(each).split(", ")[1] for each in refused] == ["step 10: not converged"]
    for found, stated in zip(snapshots, dynamics, strict=False):
        assert found.energy_ev == stated.energy_ev
        assert found.numbers.tolist() == [14] * 64
        np.testing.assert_allclose(found.positions, stated.positions, atol=1e-12)
        np.testing.assert_array_equal(found.forces_ev_per_angstrom, stated.forces_ev_per_angstrom)
        np.testing.assert_allclose(found.stress_ev_per_angstrom3, stated.stress_ev_per_angstrom3, rtol=1e-9)
    assert snapshots[0].provenance.program == "VASP 6.5.0"
    assert snapshots[0].provenance.pseudopotentials == "PAW_PBE Si 05Jan2001"


def test_without_flags_the_run_beside_it_tells(
    dynamics: list[Snapshot], shared_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "vaspout.h5"
    write_vaspout(path, dynamics, None)
    snapshots, (refused,) = read_all(VASPOUT_H5, path)
    assert not snapshots
    assert "does not tell" in str(refused)
    content = gzip.decompress((shared_data / "vasp" / "vasprun.md.xml.gz").read_bytes())
    (tmp_path / "vasprun.xml").write_bytes(content)
    snapshots, refused = read_all(VASPOUT_H5, path)
    assert (len(snapshots), refused) == (10, [])
    path.unlink()
    write_vaspout(path, [dynamics[0], dynamics[2]], None)
    snapshots, (refused,) = read_all(VASPOUT_H5, path)
    assert (len(snapshots), refused.step) == (1, 2)


def test_a_given_density_and_unfinished_arrays_are_refused(dynamics: list[Snapshot], tmp_path: Path) -> None:
    path = tmp_path / "vaspout.h5"
    write_vaspout(path, dynamics, [0] * 10, ICHARG=11)
    snapshots, refused = read_all(VASPOUT_H5, path)
    assert (len(snapshots), len(refused)) == (0, 10)
    write_vaspout(path, dynamics, [0] * 10)
    with h5py.File(path, "a") as file:
        forces = file["intermediate/ion_dynamics/forces"][:9]
        del file["intermediate/ion_dynamics/forces"]
        file["intermediate/ion_dynamics/forces"] = forces
    snapshots, refused = read_all(VASPOUT_H5, path)
    assert (len(snapshots), [each.step for each in refused]) == (9, [10])


def test_cut_files_and_wrong_bytes_end_in_a_refusal(dynamics: list[Snapshot], tmp_path: Path) -> None:
    path = tmp_path / "vaspout.h5"
    write_vaspout(path, dynamics[:2], [0, 0])
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content[: rng.integers(1, len(content))] if rng.random() < 0.3 else content)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_all(VASPOUT_H5, path)
        except DataError as error:
            assert str(path) in error.message  # noqa: PT017 (not every damage is an error)
