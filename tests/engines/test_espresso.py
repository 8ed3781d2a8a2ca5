"""The pw.x adapter: what it writes, what it refuses before running, and a real calculation."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms

from mlff_dyn.engines.base import engine_identity
from mlff_dyn.engines.espresso import EspressoEngine
from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import ConfigError, EngineError

PSEUDO_DIR = Path("/usr/share/espresso/pseudo")


def parameters(**changes) -> dict:
    given = {
        "input_data": {"system": {"ecutwfc": 20, "occupations": "fixed"}, "electrons": {"conv_thr": 1e-9}},
        "pseudopotentials": {"Si": "Si.pz-vbc.UPF"},
        "kpoints": [4, 4, 4],
    }
    return {**given, **changes}


@pytest.fixture
def profile(tmp_path) -> dict:
    folder = tmp_path / "pseudo"
    folder.mkdir()
    (folder / "Si.pz-vbc.UPF").write_text("")
    return {"command": "true", "pseudo_dir": str(folder), "environment": {"OMP_NUM_THREADS": 1}}


@pytest.fixture
def directory(tmp_path) -> Path:
    (tmp_path / "calculation").mkdir()
    return tmp_path / "calculation"


def fake_program(tmp_path: Path, script: str) -> str:
    path = tmp_path / "fake_pw.sh"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_input_holds_the_structure_and_the_parameters(directory, profile):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.set_constraint(FixAtoms([0, 1]))
    engine = create_engine("espresso", parameters(kpoints={"grid": [2, 2, 1], "shift": [1, 1, 0]}), profile)
    engine.write_input(directory, atoms)
    text = (directory / "espresso.pwi").read_text()
    read = ase.io.read(directory / "espresso.pwi")
    assert read.positions == pytest.approx(atoms.positions, abs=1e-9)
    assert read.cell.array == pytest.approx(atoms.cell.array, abs=1e-12)
    assert not read.constraints
    flat = " ".join(text.split())
    for entry in (
        "calculation = 'scf'",
        "tprnfor = .true.",
        "tstress = .true.",
        "disk_io = 'none'",
        f"pseudo_dir = '{profile['pseudo_dir']}'",
        "ecutwfc = 20",
        "nat = 8",
        "Si 28.085 Si.pz-vbc.UPF",
        "K_POINTS automatic 2 2 1 1 1 0",
    ):
        assert entry in flat


def test_gamma_and_numbers_that_yaml_takes_for_text(directory, profile):
    data = {"SYSTEM": {"ECUTWFC": "2d1"}, "electrons": {"conv_thr": "1e-9"}, "control": {"disk_io": "low"}}
    EspressoEngine(parameters(input_data=data, kpoints="gamma"), profile).write_input(directory, bulk("Si"))
    flat = " ".join((directory / "espresso.pwi").read_text().split())
    for entry in ("K_POINTS gamma", "ecutwfc = 20.0", "conv_thr = 1e-09", "disk_io = 'low'"):
        assert entry in flat


def test_starting_magnetization_by_element(directory, profile):
    system = {"ecutwfc": 20, "nspin": 2}
    magnetic = parameters(input_data={"system": system}, starting_magnetization={"Si": 0.25})
    EspressoEngine(magnetic, profile).write_input(directory, bulk("Si"))
    assert "starting_magnetization(1) = 0.25" in (directory / "espresso.pwi").read_text()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pseudopotential": {}}, "pseudopotential: unknown key; did you mean pseudopotentials"),
        ({"input_data": {}}, "ecutwfc: is required"),
        ({"input_data": {"sytem": {}}}, "sytem: unknown key; did you mean system"),
        ({"input_data": {"system": {"ecutwfcc": 1}}}, "ecutwfcc: unknown key; did you mean ecutwfc"),
        ({"input_data": {"system": 3}}, "names and values expected"),
        ({"input_data": {"system": {"ecutwfc": [1]}}}, "a number, text, true or false expected"),
        ({"input_data": {"control": {"calculation": "relax"}}}, "is always 'scf'"),
        ({"input_data": {"control": {"tprnfor": False}}}, "is always True"),
        ({"input_data": {"control": {"pseudo_dir": "."}}}, "set engine.profile.pseudo_dir"),
        ({"input_data": {"system": {"celldm(1)": 1.0}}}, "the cell follows"),
        ({"input_data": {"system": {"starting_magnetization(1)": 1.0}}}, "starting_magnetization: {Fe"),
        ({"kpoints": [4, 4]}, "not three integers"),
        ({"kpoints": [4, 4, 0]}, "not three integers"),
        ({"kpoints": "auto"}, "not three integers"),
        ({"kpoints": {"gird": [1, 1, 1]}}, "did you mean grid"),
        ({"pseudopotentials": ["Si.UPF"]}, "names and values expected"),
    ],
)
def test_wrong_parameters_are_refused_by_key(profile, changes, reason):
    with pytest.raises(ConfigError, match=reason):
        EspressoEngine(parameters(**changes), profile)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"comand": "pw.x"}, "did you mean command"),
        ({"command": ""}, "a command expected"),
        ({"command": 'pw.x "'}, "command"),
        ({"pseudo_dir": None}, "pseudo_dir: is required"),
        ({"timeout_minutes": 0}, "a positive number"),
        ({"timeout_minutes": "long"}, "a positive number"),
    ],
)
def test_wrong_profile_is_refused_by_key(profile, monkeypatch, changes, reason):
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    with pytest.raises(ConfigError, match=reason):
        EspressoEngine(parameters(), {**profile, **changes})


def test_what_is_missing_is_named_before_anything_runs(directory, profile):
    atoms = bulk("Si")
    with pytest.raises(EngineError, match=r"program no-such-pw\.x cannot be found"):
        EspressoEngine(parameters(), {**profile, "command": "no-such-pw.x"}).write_input(directory, atoms)
    with pytest.raises(ConfigError, match="no pseudopotential for Ge"):
        EspressoEngine(parameters(), profile).write_input(directory, bulk("Ge"))
    missing = parameters(pseudopotentials={"Si": "none.UPF"})
    with pytest.raises(EngineError, match=r"pseudo/none\.UPF of Si does not exist"):
        EspressoEngine(missing, profile).write_input(directory, atoms)
    with pytest.raises(EngineError, match=r"espresso\.pwo: No such file"):
        EspressoEngine(parameters(), profile).read_result(directory)


def test_physics_and_machine_are_told_apart(profile):
    first = engine_identity(EspressoEngine(parameters(), profile))
    assert engine_identity(EspressoEngine(parameters(), {**profile, "command": "false"})) == first
    assert engine_identity(EspressoEngine(parameters(kpoints="gamma"), profile)) != first


def test_failed_program_shows_status_and_its_last_words(tmp_path, directory, profile):
    command = fake_program(tmp_path, 'echo "Out of memory" >&2; exit 137')
    engine = EspressoEngine(parameters(), {**profile, "command": command})
    engine.write_input(directory, bulk("Si"))
    with pytest.raises(EngineError, match=r"espresso\.pwo: .*exit status 137; espresso\.err: Out of memory"):
        engine.run(directory)


def test_crash_file_is_quoted(directory, profile):
    box = " %%%%%%\n task # 0\n from cdiaghg : error # 162\n S matrix not positive definite\n %%%%%%\n"
    (directory / "CRASH").write_text(box)
    with pytest.raises(EngineError, match=r"CRASH: .*cdiaghg.*S matrix not positive definite"):
        EspressoEngine(parameters(), profile).read_result(directory)


def test_time_limit_ends_the_program_and_its_children(tmp_path, directory, profile):
    command = fake_program(tmp_path, "sleep 57 & echo $! > child; wait")
    engine = EspressoEngine(parameters(), {**profile, "command": command, "timeout_minutes": 0.005})
    engine.write_input(directory, bulk("Si"))
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"did not end within 0\.005 minutes"):
        engine.run(directory)
    assert time.monotonic() - start < 5
    time.sleep(0.1)
    child = int((directory / "child").read_text())
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]


def test_environment_reaches_the_program(tmp_path, directory, profile):
    command = fake_program(tmp_path, 'echo "$OMP_NUM_THREADS $@" > seen; exit 1')
    engine = EspressoEngine(parameters(), {**profile, "command": f"{command} -nk 2"})
    engine.write_input(directory, bulk("Si"))
    with pytest.raises(EngineError):
        engine.run(directory)
    assert (directory / "seen").read_text() == "1 -nk 2 -in espresso.pwi\n"


needs_pw = pytest.mark.skipif(
    shutil.which("pw.x") is None or not (PSEUDO_DIR / "Si.pz-vbc.UPF").exists(),
    reason="pw.x or its silicon pseudopotential is not installed",
)


@pytest.fixture
def real_profile() -> dict:
    environment = {"OMP_NUM_THREADS": 1}
    return {"command": "pw.x", "pseudo_dir": PSEUDO_DIR, "environment": environment, "timeout_minutes": 2}


@needs_pw
@pytest.mark.engine
def test_real_silicon_forces_and_stress_are_derivatives_of_the_energy(directory, real_profile):
    """Central differences of pw.x energies; a shear hardly changes the plane waves below the cutoff."""
    engine = EspressoEngine(parameters(kpoints=[2, 2, 2]), real_profile)
    atoms = bulk("Si", a=5.43)
    atoms.positions[1] += [0.05, -0.08, 0.03]

    def label(name, structure):
        (directory / name).mkdir()
        engine.write_input(directory / name, structure)
        engine.run(directory / name)
        return engine.read_result(directory / name)

    result = label("center", atoms)
    assert np.abs(result.forces_ev_per_angstrom.sum(axis=0)).max() < 1e-5
    assert result.energy_ev == pytest.approx(-214, abs=2)
    assert not (directory / "center" / "scratch").exists()
    step = 0.01
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[1, 1] += sign * step
        energies.append(label(f"moved{sign}", moved).energy_ev)
    slope = -(energies[0] - energies[1]) / (2 * step)
    assert result.forces_ev_per_angstrom[1, 1] == pytest.approx(slope, abs=2e-3)
    assert result.forces_ev_per_angstrom[1, 1] > 0.3
    sheared = atoms.copy()
    energies = []
    for sign in (1, -1):
        strain = np.eye(3)
        strain[0, 1] = strain[1, 0] = 0.5 * sign * step
        sheared = atoms.copy()
        sheared.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        energies.append(label(f"sheared{sign}", sheared).energy_ev)
    slope = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
    assert result.stress_ev_per_angstrom3[5] == pytest.approx(slope, abs=2e-4)


@needs_pw
@pytest.mark.engine
def test_real_failures_of_pw(directory, real_profile):
    short = parameters(
        input_data={"system": {"ecutwfc": 20}, "electrons": {"electron_maxstep": 2}}, kpoints="gamma"
    )
    engine = EspressoEngine(short, real_profile)
    engine.write_input(directory, bulk("Si"))
    with pytest.raises(EngineError, match=r"espresso\.pwo: the self-consistent cycle did not converge"):
        engine.run(directory)
    broken = parameters(input_data={"system": {"ecutwfc": 20, "occupations": "nonsense"}})
    engine = EspressoEngine(broken, real_profile)
    engine.write_input(directory, bulk("Si"))
    with pytest.raises(EngineError, match=r"pw\.x stopped with an error: .*nonsense"):
        engine.run(directory)


def test_pseudopotential_folder_from_the_environment(directory, profile, monkeypatch):
    monkeypatch.setenv("ESPRESSO_PSEUDO", profile["pseudo_dir"])
    engine = EspressoEngine(parameters(), {"command": "true"})
    engine.write_input(directory, bulk("Si"))
    assert os.fspath(profile["pseudo_dir"]) in (directory / "espresso.pwi").read_text()


def test_a_grid_across_the_vacuum_of_a_sheet_is_refused(directory, profile):
    atoms = bulk("Si", cubic=True)
    atoms.pbc = [True, True, False]
    for given in ([4, 4, 2], {"grid": [4, 4, 1], "shift": [0, 0, 1]}):
        with pytest.raises(ConfigError, match="along axis 3, which is vacuum"):
            create_engine("espresso", parameters(kpoints=given), profile).write_input(directory, atoms)
    for given in ([4, 4, 1], "gamma"):
        create_engine("espresso", parameters(kpoints=given), profile).write_input(directory, atoms)
        assert (directory / "espresso.pwi").exists()
