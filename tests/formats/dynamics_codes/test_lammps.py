"""LAMMPS with the force field: the same energy, forces and pressure in its own axes, and its own dynamics."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError, SimulationError, UsageError
from mlff_dyn.formats.dynamics_codes.lammps_files import write_lammps
from mlff_dyn.formats.dynamics_codes.lammps_forces import lammps_forces
from mlff_dyn.formats.dynamics_codes.start import DynamicsSettings, start_of
from mlff_dyn.lattice.deformation import from_voigt
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.followed_atoms import Evaluation, FollowedAtoms
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.store.model_file import write_model
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA
from mlff_dyn.workflows.snapshots import displaced_atoms
from tests.formats.exported_force_fields import force_fields, harmonic_springs
from tests.models import random_force_field

BAR = 1e4 * EV_PER_ANGSTROM3_GPA


@pytest.fixture
def program() -> Iterator[Any]:
    package = pytest.importorskip("lammps")
    from benchmarks.lammps_peer import load_mpi

    load_mpi()
    try:
        made = package.lammps(cmdargs=["-screen", "none", "-log", "none"])
    except OSError:
        pytest.skip("the library of LAMMPS does not load")
    yield made
    made.close()


def written(
    force_field: ForceField, torus: Torus, folder: Path, settings: DynamicsSettings | None = None
) -> dict[str, Any]:
    """Write files and model; arguments of `lammps_forces`."""
    write_lammps(force_field, torus, folder, settings=settings)
    write_model(folder / "model.h5", force_field, {})
    start = start_of(torus)
    return {"model": folder / "model.h5", "elements": start.elements, "supercell": start.torus.matrix}


CELLS = {
    "cubic": ("zincblende", np.eye(3)),
    "hexagonal": ("wurtzite", np.diag([2, 2, 1])),
    "local": ("local", np.diag([2, 2, 1])),
    "turned": ("zincblende", np.array([[0, 2, 1], [2, 0, 0], [0, 1, 3]])),
    "left-handed": ("zincblende", np.array([[2, 0, 0], [0, 0, 2], [0, 2, 1]])),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("strain", [0.0, 0.01])
def test_energy_forces_and_pressure(program: Any, name: str, strain: float, tmp_path: Path) -> None:
    """Equal to those of the ASE calculator, in cells that LAMMPS turns and in strained ones."""
    kind, matrix = CELLS[name]
    force_field, known = force_fields()[kind]
    primitive = np.rint(matrix @ known.crystal.input_matrix).astype(int)
    torus = start_of(Torus(known.crystal, primitive)).torus
    arguments = written(force_field, torus, tmp_path)
    generator = np.random.default_rng(2)
    atoms = displaced_atoms(torus, 0.04 * generator.standard_normal((torus.n_atoms, 3)))
    start = start_of(torus)
    turn = np.linalg.solve(torus.lattice, start.box)
    gradient = np.eye(3) + strain * np.tril(generator.standard_normal((3, 3)))
    program.command(f"shell cd {tmp_path}")
    program.file("setup.in")
    moved = atoms.positions @ turn @ gradient
    box = start.box @ gradient
    program.command(
        f"change_box all x final 0 {box[0, 0]} y final 0 {box[1, 1]} z final 0 {box[2, 2]} "
        f"xy final {box[1, 0]} xz final {box[2, 0]} yz final {box[2, 1]} units box"
    )
    program.scatter_atoms("x", 1, 3, np.ctypeslib.as_ctypes(moved.ravel().copy()))
    with lammps_forces(program, **arguments):
        program.commands_string("thermo_modify norm no\nrun 0")
        energy = program.get_thermo("pe")
        ids = np.array(program.numpy.extract_atom("id")).ravel()[: len(moved)]
        forces = np.empty_like(moved)
        forces[ids - 1] = program.numpy.extract_atom("f")[: len(moved)]
        found = [program.get_thermo(f"p{axes}") for axes in ("xx", "yy", "zz", "yz", "xz", "xy")]
    atoms.set_cell(box @ turn.T, scale_atoms=False)
    atoms.positions = moved @ turn.T
    atoms.calc = ForceFieldCalculator(force_field)
    assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-9)
    np.testing.assert_allclose(forces, atoms.get_forces() @ turn, atol=1e-8)
    stress = turn.T @ atoms.get_stress(voigt=False) @ turn
    expected = -BAR * stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_dynamics_at_constant_energy(program: Any, tmp_path: Path) -> None:
    """The energy stays, and atoms that LAMMPS sorts and folds into the box stay on their sites."""
    settings = DynamicsSettings("nve", temperature_kelvin=600.0, n_steps=2000, sample_every=100)
    force_field, torus = harmonic_springs((2, 1, 1))
    arguments = written(force_field, torus, tmp_path, settings)
    program.command(f"shell cd {tmp_path}")
    program.file("setup.in")
    program.command("atom_modify sort 10 1.0")
    energies, pressures = [], []
    with lammps_forces(program, **arguments) as followed:
        program.file("run.in")
        for _ in range(20):
            energies.append(program.get_thermo("etotal"))
            program.command("run 50")
            pressures.append(program.get_thermo("press"))
        program.command("run 0")
        assert program.get_thermo("press") == pytest.approx(pressures[-1], rel=1e-9)
    kinetic = 1.5 * 8.617e-5 * 600.0 * torus.n_atoms
    assert np.ptp(energies) < 1e-3 * kinetic
    assert followed.n_evaluations > 3000
    assert 0.05 < followed.largest_displacement_angstrom < 0.8
    text = (tmp_path / "trajectory.dump").read_text(encoding="utf-8")
    assert text.count("ITEM: TIMESTEP") == 31


@pytest.mark.parametrize(
    "settings",
    [
        DynamicsSettings("nvt", n_steps=3000, thermostat_time_femtoseconds=50.0),
        DynamicsSettings("nvt", n_steps=3000, thermostat="bussi", thermostat_time_femtoseconds=50.0),
        DynamicsSettings("npt", n_steps=200),
        DynamicsSettings("npt", n_steps=200, barostat_shape="orthorhombic"),
        DynamicsSettings("npt", n_steps=200, barostat_shape="full", pressure=0.005),
    ],
    ids=lambda each: f"{each.ensemble}-{each.thermostat}-{each.barostat_shape}",
)
def test_thermostats_and_barostats(program: Any, settings: DynamicsSettings, tmp_path: Path) -> None:
    force_field, torus = harmonic_springs((2, 2, 2) if settings.ensemble == "nvt" else (1, 1, 1))
    arguments = written(force_field, torus, tmp_path, settings)
    program.command(f"shell cd {tmp_path}")
    program.file("setup.in")
    with lammps_forces(program, **arguments):
        program.command("fix mean all ave/time 1 1 1 c_thermo_temp ave running start 1000 file mean.txt")
        program.file("run.in")
    if settings.ensemble == "nvt":
        mean = float((tmp_path / "mean.txt").read_text(encoding="utf-8").split()[-1])
        assert mean == pytest.approx(300.0, abs=35.0)
    else:
        assert np.isfinite(program.get_thermo("press"))
        assert program.get_thermo("vol") == pytest.approx(torus.volume, rel=0.05)


def test_the_program_that_is_written_runs(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lammps

    force_field, torus = harmonic_springs()
    written(force_field, torus, tmp_path, DynamicsSettings("nve", n_steps=5, sample_every=1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lammps, "lammps", lambda: program)
    runpy.run_path("run.py")
    assert (tmp_path / "trajectory.dump").stat().st_size > 1000


def test_atoms_that_leave_end_the_run(program: Any, tmp_path: Path) -> None:
    """One line, and no step after it, though no exception passes through LAMMPS."""
    settings = DynamicsSettings("nve", temperature_kelvin=3000.0, n_steps=5000)
    force_field, torus = harmonic_springs()
    arguments = written(force_field, torus, tmp_path, settings)
    program.command(f"shell cd {tmp_path}")
    program.file("setup.in")
    message = r"LAMMPS, step \d+: atom \d+ \((Zn|S)\) is 0\.\d+ Å from its site; the limit is 0\.1 Å"
    with (
        pytest.raises(SimulationError, match=message),
        lammps_forces(program, **arguments, displacement_limit_angstrom=0.1),
    ):
        program.file("run.in")
    assert program.extract_global("ntimestep") < 100


def test_what_does_not_fit(program: Any, tmp_path: Path) -> None:
    force_field, torus = random_force_field(bulk("ZnS", "zincblende", a=5.4), (2, 2, 2), {2: 2.5})
    arguments = written(force_field, torus, tmp_path)
    with pytest.raises(UsageError, match="units lj"), lammps_forces(program, **arguments):
        pass
    program.command(f"shell cd {tmp_path}")
    program.file("setup.in")
    with (
        pytest.raises(DataError, match="16 atoms where the supercell of the crystal has 8"),
        lammps_forces(program, **{**arguments, "supercell": np.diag([2, 2, 1])}),
    ):
        program.command("run 0")
    with (
        pytest.raises(DataError, match="not one to one"),
        lammps_forces(program, **{**arguments, "elements": ("S", "S")}),
    ):
        program.command("run 0")
    with (
        pytest.raises(UsageError, match="2 atom types, and elements are Zn"),
        lammps_forces(program, **{**arguments, "elements": ("Zn",)}),
    ):
        pass
    with lammps_forces(program, **arguments):
        program.command("run 0")


def test_the_pressure_is_measured_from_the_crystal_at_rest(tmp_path: Path) -> None:
    force_field, torus = harmonic_springs()
    at_rest = from_voigt(force_field.on(torus).stress(np.zeros((torus.n_atoms, 3)))).trace() / 3.0
    settings = DynamicsSettings("npt", pressure=2.0 / EV_PER_ANGSTROM3_GPA)
    write_lammps(force_field, torus, tmp_path, settings=settings)
    words = (tmp_path / "run.in").read_text(encoding="utf-8").split()
    assert float(words[words.index("iso") + 1]) == pytest.approx(20000.0 - BAR * at_rest)


def test_the_pressure_is_computed_where_it_is_used(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    force_field, torus = harmonic_springs()
    arguments = written(force_field, torus, tmp_path, DynamicsSettings("nve", n_steps=20, sample_every=10))
    wanted = []
    plain = FollowedAtoms.evaluate

    def counted(followed: FollowedAtoms, *structure: Any, stress: bool) -> Evaluation:
        wanted.append(stress)
        return plain(followed, *structure, stress=stress)

    monkeypatch.setattr(FollowedAtoms, "evaluate", counted)
    program.command(f"shell cd {tmp_path}")
    program.file("setup.in")
    with lammps_forces(program, **arguments):
        program.file("run.in")
        assert np.flatnonzero(wanted).tolist() == [0, 10, 20]
        wanted.clear()
        program.commands_string("fix p all ave/time 2 1 2 c_thermo_press file p.txt\nrun 4")
        assert np.flatnonzero(wanted).tolist() == [0, 2, 4]
