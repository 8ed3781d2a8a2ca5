"""The pw.x adapter: what it writes, what it refuses before running, and a real calculation."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms

from mlff_dyn.engines.base import engine_identity
from mlff_dyn.engines.espresso.engine import EspressoEngine
from mlff_dyn.engines.registry import configured_identity, create_engine
from mlff_dyn.errors import ConfigError, EngineError
from mlff_dyn.execution.calculation import calculate

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


def antiferromagnet() -> Atoms:
    atoms = bulk("NiO", "rocksalt", a=4.18, cubic=True)
    atoms.set_initial_magnetic_moments([2.0, 0.0, 2.0, 0.0, -2.0, 0.0, -2.0, 0.0])
    return atoms


def nickel_oxide(profile: dict, **system) -> EspressoEngine:
    folder = Path(profile["pseudo_dir"])
    (folder / "Ni.UPF").write_text('<PP_HEADER\n z_valence="1.000000000000E+001"\n/>')
    (folder / "O.UPF").write_text("    6.00000000000      Z valence\n")
    data = {"system": {"ecutwfc": 20, "occupations": "smearing", "degauss": 0.01, **system}}
    return EspressoEngine(
        parameters(input_data=data, pseudopotentials={"Ni": "Ni.UPF", "O": "O.UPF"}), profile
    )


def test_moments_of_the_structure_become_species(directory, profile):
    """A share of the valence electrons is what every version of pw.x takes."""
    atoms = antiferromagnet()
    nickel_oxide(profile).write_input(directory, atoms)
    flat = " ".join((directory / "espresso.pwi").read_text().split())
    for entry in (
        "nspin = 2",
        "ntyp = 3",
        "starting_magnetization(1) = 0.2",
        "starting_magnetization(2) = 0.0",
        "starting_magnetization(3) = -0.2",
        "Ni 58.6934 Ni.UPF O 15.999 O.UPF Ni1 58.6934 Ni.UPF",
    ):
        assert entry in flat
    names = [line.split()[0] for line in flat.split("ATOMIC_POSITIONS angstrom ")[1].split(" ")[::4]]
    assert names[:8] == ["Ni", "O", "Ni", "O", "Ni1", "O", "Ni1", "O"]


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ({"nspin": 1}, "nspin: is 1, but the structure has magnetic moments"),
        ({"nspin": 4}, "nspin: is 4"),
        ({"occupations": "fixed"}, "set occupations: smearing with degauss, or tot_magnetization"),
        ({"noncolin": True}, "noncolin: .* collinear"),
        ({"lspinorb": True}, "lspinorb: .* collinear"),
        (
            {"Hubbard_U(1)": 6.0},
            r"hubbard_u\(1\): Ni is also species 3, .* 1 Ni .*, 2 O .*, 3 Ni .*give hubbard_u\(3\)",
        ),
    ],
)
def test_what_contradicts_the_moments_is_refused(directory, profile, system, reason):
    with pytest.raises(ConfigError, match=reason):
        nickel_oxide(profile, **system).write_input(directory, antiferromagnet())
    nickel_oxide(profile, **{"Hubbard_U(1)": 6.0, "Hubbard_U(3)": 6.0}).write_input(
        directory, antiferromagnet()
    )


def test_values_by_element_reach_every_species_of_it(directory, profile):
    """The labels of the card are those of the species, whichever moments the structure has."""
    engine = nickel_oxide(profile, hubbard_u={"Ni": 6.0}, starting_charge={"O": -0.5})
    engine.write_input(directory, antiferromagnet())
    flat = " ".join((directory / "espresso.pwi").read_text().split())
    for entry in ("hubbard_u(1) = 6.0", "hubbard_u(3) = 6.0", "starting_charge(2) = -0.5"):
        assert entry in flat
    assert "hubbard_u(2)" not in flat
    card = {"projectors": "atomic", "lines": ["U Ni-3d 6.0", "U O-2p 1.5"]}
    with_card = {**nickel_oxide(profile).parameters, "hubbard": card}
    EspressoEngine(with_card, profile).write_input(directory, antiferromagnet())
    text = (directory / "espresso.pwi").read_text()
    assert text.endswith("HUBBARD (atomic)\nU Ni-3d 6.0\nU Ni1-3d 6.0\nU O-2p 1.5\n")
    flat = " ".join(text.split())
    assert "Ni 58.6934 Ni.UPF O 15.999 O.UPF Ni1 58.6934 Ni.UPF" in flat


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"lines": []}, "a list expected"),
        ({"lines": ["V Ni-3d O-2p 1 2 0.5"]}, "names atoms by number"),
        ({"lines": ["U Ni 4"]}, "cannot be used"),
        ({"projectors": "none", "lines": ["U Ni-3d 4"]}, "projectors: 'none' is unknown"),
        ({"line": ["U Ni-3d 4"]}, "did you mean lines"),
    ],
)
def test_cards_that_cannot_be_written_are_refused(profile, given, reason):
    with pytest.raises(ConfigError, match=reason):
        EspressoEngine(parameters(hubbard=given), profile)


@pytest.mark.parametrize("key", ["lfcp", "trism"])
def test_what_changes_the_number_of_electrons_is_refused(profile, key):
    with pytest.raises(ConfigError, match=f"control.{key}: not allowed"):
        EspressoEngine(parameters(input_data={"control": {key: True}, "system": {"ecutwfc": 20}}), profile)


def test_moments_twice_and_unknown_electrons_are_refused(directory, profile):
    magnetic = parameters(starting_magnetization={"Si": 0.25})
    atoms = bulk("Si")
    atoms.set_initial_magnetic_moments([1.0, -1.0])
    with pytest.raises(ConfigError, match="the structure has magnetic moments of its own"):
        EspressoEngine(magnetic, profile).write_input(directory, atoms)
    given = parameters(input_data={"system": {"ecutwfc": 20, "tot_magnetization": 0}})
    with pytest.raises(EngineError, match="does not tell its number of valence electrons"):
        EspressoEngine(given, profile).write_input(directory, atoms)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pseudopotential": {}}, "pseudopotential: unknown key; did you mean pseudopotentials"),
        ({"input_data": {}}, "ecutwfc: is required"),
        ({"input_data": {"sytem": {}}}, "sytem: unknown key; did you mean system"),
        ({"input_data": {"system": {"ecutwfcc": 1}}}, "ecutwfcc: unknown key; did you mean ecutwfc"),
        ({"input_data": {"system": 3}}, "names and values expected"),
        ({"input_data": {"system": {"ecutwfc": [1]}}}, "a number, text, true or false expected"),
        ({"input_data": {"system": {"ecutwfc": "abc"}}}, "system.ecutwfc: a number expected, got 'abc'"),
        ({"input_data": {"system": {"ecutwfc": True}}}, "system.ecutwfc: a number expected"),
        ({"input_data": {"system": {"ecutwfc": -20}}}, "system.ecutwfc: a number above 0 expected"),
        ({"input_data": {"system": {"nbnd": 3.5}}}, "system.nbnd: an integer expected"),
        ({"input_data": {"system": {"nosym": "maybe"}}}, "system.nosym: true or false expected"),
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


def test_values_of_fortran_are_those_of_yaml(directory, profile):
    given = {"system": {"ecutwfc": "2.0d1", "nosym": ".TRUE.", "nbnd": 8.0}}
    EspressoEngine(parameters(input_data=given), profile).write_input(directory, bulk("Si"))
    text = " ".join((directory / "espresso.pwi").read_text().split())
    for line in ("ecutwfc = 20.0", "nosym = .true.", "nbnd = 8 "):
        assert line in text


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
    wordy = {"CONTROL": {"verbosity": "high", "max_seconds": 3600}, **parameters()["input_data"]}
    assert engine_identity(EspressoEngine(parameters(input_data=wordy), profile)) == first
    assert configured_identity("espresso", parameters(input_data=wordy)) == first


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


@needs_pw
@pytest.mark.engine
def test_real_moments_may_be_reversed_with_a_translation(directory, real_profile):
    """Moving either sublattice costs the same: the translation between them, with all moments reversed."""
    given = parameters(
        input_data={
            "system": {"ecutwfc": 20, "occupations": "smearing", "degauss": 0.005},
            "electrons": {"conv_thr": 1e-9},
        },
        pseudopotentials={"H": "H.pz-vbc.UPF"},
        kpoints=[1, 2, 1],
    )
    engine = EspressoEngine(given, real_profile)
    results = []
    for moved in (0, 1):
        atoms = Atoms("H2", [[0, 0, 0], [0, 0, 3.2]], cell=[3.2, 3.2, 6.4], pbc=True) * (2, 1, 1)
        atoms.set_initial_magnetic_moments([1.0, -1.0, 1.0, -1.0])
        atoms.positions[moved] += [0.1, 0.05, 0.2]
        results.append(calculate(engine, atoms, directory / str(moved)))
    assert results[1].energy_ev == pytest.approx(results[0].energy_ev, abs=1e-5)
    forces = [result.forces_ev_per_angstrom for result in results]
    assert np.abs(forces[0]).max() > 0.05
    np.testing.assert_allclose(forces[1], forces[0][[1, 0, 3, 2]], atol=1e-3)


@needs_pw
@pytest.mark.engine
def test_real_antiferromagnet(directory, real_profile):
    """Spaced hydrogen keeps its antiparallel moments; where it is dense it loses them and is refused."""
    given = parameters(
        input_data={"system": {"ecutwfc": 20, "occupations": "smearing", "degauss": 0.005}},
        pseudopotentials={"H": "H.pz-vbc.UPF"},
        kpoints=[2, 2, 1],
    )
    engine = EspressoEngine(given, real_profile)
    for spacing in (3.2, 1.8):
        atoms = Atoms("H2", [[0, 0, 0], [0, 0, spacing]], cell=np.diag([1, 1, 2]) * spacing, pbc=True)
        atoms.set_initial_magnetic_moments([1.0, -1.0])
        if spacing == 3.2:
            state = calculate(engine, atoms, directory / "spaced").magnetic_state
            np.testing.assert_allclose(state.moments, [0.86, -0.86], atol=0.05)
            assert state.total == pytest.approx(0.0, abs=0.02)
        else:
            with pytest.raises(EngineError, match="another magnetic state than the reference: H atom 1"):
                calculate(engine, atoms, directory / "dense")
            assert not (directory / "dense" / "result.json").exists()


def test_a_grid_across_the_vacuum_of_a_sheet_is_refused(directory, profile):
    atoms = bulk("Si", cubic=True)
    atoms.pbc = [True, True, False]
    for given in ([4, 4, 2], {"grid": [4, 4, 1], "shift": [0, 0, 1]}):
        with pytest.raises(ConfigError, match="along axis 3, which is vacuum"):
            create_engine("espresso", parameters(kpoints=given), profile).write_input(directory, atoms)
    for given in ([4, 4, 1], "gamma"):
        create_engine("espresso", parameters(kpoints=given), profile).write_input(directory, atoms)
        assert (directory / "espresso.pwi").exists()


@needs_pw
@pytest.mark.engine
def test_a_card_that_pw_ignores_is_noticed(directory, real_profile):
    """Versions before 7.1 only warn of the card HUBBARD."""
    engine = EspressoEngine(parameters(kpoints="gamma", hubbard=["U Si-3p 1.0"]), real_profile)
    engine.write_input(directory, bulk("Si"))
    with pytest.raises(EngineError) as caught:
        engine.run(directory)
    if re.search(r"PWSCF v\.(\d\.\d)", (directory / "espresso.pwo").read_text())[1] < "7.1":
        assert "ignored the card HUBBARD" in str(caught.value)
