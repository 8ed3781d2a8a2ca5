"""Every real output of VASP beside the repository is read right, or refused for the right reason."""

import lzma
import re
import warnings
from pathlib import Path

import ase.io
import numpy as np
import pytest

from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from mlff_dyn.store.source import Source
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA
from tests.engines.vasp.vasp_outputs import ARCHIVES, REAL_OUTPUTS, RealOutput, read_all

by_path = pytest.mark.parametrize("output", REAL_OUTPUTS, ids=lambda output: output.path.split("/")[-1])


def test_the_table_has_every_file(shared_data: Path) -> None:
    found = {
        str(path.relative_to(shared_data))
        for path in shared_data.rglob("*")
        if re.match(r"(vasprun|OUTCAR|vaspout|ML_AB)", path.name) and path.is_file()
    }
    assert found == {output.path for output in REAL_OUTPUTS} | set(ARCHIVES)


@by_path
def test_it_is_recognized_and_read_or_refused(output: RealOutput, shared_data: Path) -> None:
    source = Source(shared_data / output.path)
    assert [kind for kind in (VASPRUN, OUTCAR) if kind.recognizes(source, source.head())] == [output.kind]
    snapshots, refused = read_all(output.kind, source)
    assert len(snapshots) == output.n_steps
    assert len(refused) == len(output.refused)
    assert all(reason in str(each) for reason, each in zip(output.refused, refused, strict=True))
    for snapshot in snapshots:
        assert snapshot.provenance.program == output.program
        assert snapshot.provenance.file == str(source)
        assert snapshot.provenance.pseudopotentials.startswith("PAW_PBE ")


@pytest.mark.parametrize("path", ARCHIVES)
def test_every_calculation_of_an_archive_is_read(path: str, shared_data: Path) -> None:
    members = [each for each in Source(shared_data / path).members() if "vasprun" in each.name]
    digests = set()
    for member in members:
        (snapshot,), refused = read_all(VASPRUN, member)
        assert not refused
        digests.add(snapshot.provenance.label_engine)
    assert len(members) == ARCHIVES[path]
    assert len(digests) == 1


@by_path
def test_ase_reads_the_same(output: RealOutput, shared_data: Path, tmp_path: Path) -> None:
    snapshots, _ = read_all(output.kind, shared_data / output.path)
    if not snapshots or "bad" in output.path or "ml_md" in output.path or output.path.endswith("OUTCAR.Al"):
        pytest.skip("ASE does not read it, or predicted steps too")
    with Source(shared_data / output.path).open() as file:
        (tmp_path / "output").write_bytes(file.read())
    kind = "vasp-xml" if output.kind is VASPRUN else "vasp-out"
    frames = ase.io.read(tmp_path / "output", index=":", format=kind)
    assert len(frames) == len(snapshots)
    tolerance = 1e-9 if output.kind is VASPRUN else 6e-6
    for frame, snapshot in zip(frames, snapshots, strict=True):
        assert frame.numbers.tolist() == snapshot.numbers.tolist()
        np.testing.assert_allclose(snapshot.cell, frame.cell.array, atol=1e-9)
        np.testing.assert_allclose(snapshot.positions, frame.positions, atol=tolerance)
        np.testing.assert_array_equal(
            snapshot.forces_ev_per_angstrom, frame.get_forces(apply_constraint=False)
        )
        assert snapshot.energy_ev == frame.get_potential_energy(force_consistent=True)
        if snapshot.stress_ev_per_angstrom3 is not None:
            np.testing.assert_allclose(
                snapshot.stress_ev_per_angstrom3, frame.get_stress(), rtol=1e-6, atol=1e-7
            )


@by_path
def test_pymatgen_reads_the_same(output: RealOutput, shared_data: Path) -> None:
    outputs = pytest.importorskip("pymatgen.io.vasp.outputs")
    snapshots, _ = read_all(output.kind, shared_data / output.path)
    if not snapshots or output.kind is not VASPRUN or "bad" in output.path:
        pytest.skip("nothing to compare")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = outputs.Vasprun(
            shared_data / output.path, parse_dos=False, parse_eigen=False, parse_potcar_file=False
        )
    steps = [step for step in run.ionic_steps if step.get("electronic_steps")]
    assert len(steps) == len(snapshots)
    for step, snapshot in zip(steps, snapshots, strict=True):
        np.testing.assert_allclose(snapshot.cell, step["structure"].lattice.matrix, atol=1e-9)
        np.testing.assert_allclose(snapshot.positions, step["structure"].cart_coords, atol=1e-9)
        np.testing.assert_array_equal(snapshot.forces_ev_per_angstrom, step["forces"])
        assert snapshot.energy_ev == step["electronic_steps"][-1]["e_fr_energy"]
        if snapshot.stress_ev_per_angstrom3 is not None:
            pressure = np.trace(step["stress"]) / 3.0
            mean = snapshot.stress_ev_per_angstrom3[:3].mean() * EV_PER_ANGSTROM3_GPA
            assert -10.0 * mean == pytest.approx(pressure, rel=1e-9, abs=1e-9)


def test_forces_and_energies_are_those_of_an_independent_data_set(shared_data: Path) -> None:
    """ALAMODE made a list of displacements and forces of 80 calculations, in its own order of the atoms."""
    folder = shared_data / "BaTiO3-vasp"
    lines = (folder / "DFSET_AIMD_random").read_text(encoding="utf-8").splitlines()
    headers = [line for line in lines if line.startswith("#")]
    energies = [float(line.split(":")[-1]) for line in headers]
    names = [re.search(r"vasprun_\d+\.xml", line)[0] for line in headers]
    table = np.array([line.split() for line in lines if line and not line.startswith("#")], dtype=float)
    table = table.reshape(len(energies), -1, 6)
    reference = ase.io.read(folder / "POSCAR_ref_supercell", format="vasp")
    members = {each.name: each for each in Source(folder / "vasprun_xmls.tar.xz").members()}
    bohr, rydberg = 0.52917721067, 13.60569301
    for name, energy, rows in zip(names, energies, table, strict=True):
        (snapshot,), _ = read_all(VASPRUN, members[name])
        assert snapshot.energy_ev == energy
        shift = (snapshot.positions - reference.positions) @ np.linalg.inv(snapshot.cell)
        displacements = (shift - np.round(shift)) @ snapshot.cell
        found = np.hstack([displacements, snapshot.forces_ev_per_angstrom])
        stated = np.hstack([rows[:, :3] * bohr, rows[:, 3:] * rydberg / bohr])
        np.testing.assert_allclose(found[:, :3], stated[:, :3], atol=6e-8)
        np.testing.assert_allclose(found[:, 3:], stated[:, 3:], atol=2e-6)


def test_forces_of_silicon_are_those_that_phono3py_collected(shared_data: Path) -> None:
    folder = shared_data / "Si-PBEsol-vasp"
    members = sorted(Source(folder / "vasprun_xmls.tar.lzma").members(), key=str)
    found = [read_all(VASPRUN, each)[0][0] for each in members if "vasprun" in each.name]
    stated = np.loadtxt(folder / "FORCES_FC3").reshape(len(found), -1, 3)
    np.testing.assert_array_equal([each.forces_ev_per_angstrom for each in found], stated)


@pytest.mark.slow
def test_forces_and_energies_of_salt_are_those_that_phono3py_collected(
    shared_data: Path, tmp_path: Path
) -> None:
    phono3py = pytest.importorskip("phono3py")
    folder = shared_data / "NaCl-vasp"
    path = tmp_path / "phono3py_params.yaml"
    path.write_bytes(lzma.decompress((folder / "phono3py_params_NaCl.yaml.xz").read_bytes()))
    stated = phono3py.load(path, produce_fc=False, log_level=0)
    members = sorted(Source(folder / "vasprun_xmls.tar.xz").members(), key=str)
    found = [read_all(VASPRUN, each)[0][0] for each in members if "vasprun" in each.name]
    small = [each for each in found if each.n_atoms == 64]
    np.testing.assert_array_equal([each.forces_ev_per_angstrom for each in small], stated.forces)
    np.testing.assert_array_equal([each.energy_ev for each in small], stated.supercell_energies)
    large = [each.forces_ev_per_angstrom for each in found if each.n_atoms == 512]
    np.testing.assert_array_equal(large, stated.phonon_forces)


def test_forces_are_the_derivative_of_the_energy_along_dynamics(shared_data: Path) -> None:
    """Of the free energy, not of the one without entropy: its change is the work of the forces."""
    snapshots, _ = read_all(VASPRUN, shared_data / "vasp" / "vasprun.md.xml.gz")
    positions = np.array([each.positions for each in snapshots])
    forces = np.array([each.forces_ev_per_angstrom for each in snapshots])
    cell = snapshots[0].cell
    steps = np.diff(positions, axis=0) @ np.linalg.inv(cell)
    work = np.einsum("sia,sia->s", (steps - np.round(steps)) @ cell, (forces[1:] + forces[:-1]) / 2.0)
    energies = np.array([each.energy_ev for each in snapshots])
    assert np.std(np.diff(energies)) > 1.0
    np.testing.assert_allclose(np.diff(energies), -work, atol=0.01)


def test_a_compressed_cell_pushes_and_a_stretched_one_pulls(shared_data: Path) -> None:
    """Along a relaxation of the volume, the energy changes by the stress times the change of volume."""
    snapshots, _ = read_all(OUTCAR, shared_data / "vasp" / "OUTCAR.etest1.gz")
    volumes = np.array([abs(np.linalg.det(each.cell)) for each in snapshots])
    stress = np.array([each.stress_ev_per_angstrom3[:3].mean() for each in snapshots])
    assert stress[np.argmin(volumes)] < 0.0 < stress[np.argmax(volumes)]
    order = np.argsort(volumes)
    work = np.diff(volumes[order]) * (stress[order][1:] + stress[order][:-1]) / 2.0
    energies = np.array([each.energy_ev for each in snapshots])[order]
    near = np.diff(volumes[order]) < 0.1
    assert near.any()
    np.testing.assert_allclose(np.diff(energies)[near], work[near], rtol=0.05)


def test_settings_count_and_the_size_of_the_cell_does_not(shared_data: Path) -> None:
    """64 atoms with 2 x 2 x 2 k-points are as one point for 512 atoms."""
    folder = shared_data / "Si-PBEsol-vasp"
    small = Source(folder / "vasprun_xmls.tar.lzma", "vasprun_xmls/disp-00001/vasprun.xml")
    (of_64,), _ = read_all(VASPRUN, small)
    (of_512,), _ = read_all(VASPRUN, folder / "vasprun_xml_fc2" / "disp-fc2-00001" / "vasprun.xml")
    (salt,), _ = read_all(VASPRUN, shared_data / "NaCl-vasp-harmonic" / "vasprun.xml-001")
    assert (of_64.n_atoms, of_512.n_atoms) == (64, 512)
    assert of_64.provenance.label_engine == of_512.provenance.label_engine
    assert of_64.provenance.label_engine != salt.provenance.label_engine
