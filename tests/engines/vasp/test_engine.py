"""The VASP adapter with a stand-in for VASP: what it writes, refuses, reads back, and says of failures."""

from __future__ import annotations

import os
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar
from pymatgen.io.vasp.outputs import Vasprun

from mlff_dyn.engines.base import engine_identity, label_identities
from mlff_dyn.engines.registry import configured_identity, create_engine
from mlff_dyn.engines.vasp.engine import VaspEngine
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from mlff_dyn.errors import ConfigError, EngineError
from mlff_dyn.execution.calculation import calculate
from mlff_dyn.store.calculated_steps import ReadOptions
from mlff_dyn.store.source import Source
from tests.engines.vasp.vasp_library import potcar, write_library, write_programs


@pytest.fixture
def profile(tmp_path) -> dict:
    programs = write_programs(tmp_path / "bin")
    return {
        "pseudo_dir": str(write_library(tmp_path / "library")),
        "environment": {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        "timeout_minutes": 1,
    }


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "calculations" / "one"


def parameters(**changes) -> dict:
    incar = {"ENCUT": 400, **changes.pop("incar", {})}
    names = {"Cu": "Cu", "Au": "Au"}
    return {"incar": incar, "kpoints": [2, 2, 2], "pseudopotentials": names, **changes}


def alloy() -> Atoms:
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.symbols[[1, 4, 6]] = "Au"
    atoms.rattle(0.05, seed=1)
    return atoms


def nickel_oxide() -> Atoms:
    atoms = bulk("NiO", "rocksalt", a=4.18, cubic=True)
    atoms.set_initial_magnetic_moments([2.0, 0.0, 2.0, 0.0, -2.0, 0.0, -2.0, 0.0])
    atoms.rattle(0.02, seed=2)
    return atoms


def failing(profile: dict, kind: str) -> dict:
    return {**profile, "environment": {**profile["environment"], "STAND_IN_FAILURE": kind}}


def test_forces_come_back_in_the_order_of_the_atoms(directory, profile):
    atoms = alloy()
    result = calculate(VaspEngine(parameters(), profile), atoms, directory)
    atoms.calc = EMT()
    assert result.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
    assert result.forces_ev_per_angstrom == pytest.approx(atoms.get_forces(), abs=2e-8)
    assert result.stress_ev_per_angstrom3 == pytest.approx(atoms.get_stress(), abs=1e-8)


def test_moments_come_back_in_the_order_of_the_atoms(directory, profile):
    atoms = nickel_oxide()
    given = parameters(pseudopotentials={"Ni": "Ni", "O": "O"})
    state = calculate(VaspEngine(given, profile), atoms, directory).magnetic_state
    assert state is not None
    assert state.moments == pytest.approx(atoms.get_initial_magnetic_moments())


def test_two_files_that_differ_are_refused(directory, profile):
    engine = VaspEngine(parameters(), profile)
    result = calculate(engine, alloy(), directory)
    path = directory / "OUTCAR"
    text = path.read_text()
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if "TOTAL-FORCE" in line) + 2
    values = lines[first].split()
    values[3] = f"{float(values[3]) + 0.5:.6f}"
    path.write_text("\n".join([*lines[:first], "  ".join(values), *lines[first + 1 :]]))
    with pytest.raises(EngineError):
        engine.read_result(directory)
    path.unlink()
    read = engine.read_result(directory)
    assert np.array_equal(read.forces_ev_per_angstrom, result.forces_ev_per_angstrom)


def test_the_kernel_of_a_van_der_waals_functional_is_lent(directory, profile):
    kernel = Path(profile["pseudo_dir"]) / "vdw_kernel.bindat"
    kernel.write_text("kernel")
    engine = VaspEngine(parameters(incar={"LUSE_VDW": True, "GGA": "BO"}), profile)
    directory.mkdir(parents=True)
    engine.write_input(directory, alloy())
    assert (directory / "vdw_kernel.bindat").read_text() == "kernel"
    engine.run(directory)
    assert not (directory / "vdw_kernel.bindat").exists()
    assert kernel.exists()


def test_files_that_the_user_wants_are_kept(directory, profile):
    calculate(VaspEngine(parameters(incar={"LCHARG": True}), profile), alloy(), directory)
    assert (directory / "CHGCAR").exists()


def test_pseudopotentials_are_told_and_not_kept(directory, profile):
    result = calculate(VaspEngine(parameters(), profile), alloy(), directory)
    told = result.origin["pseudopotentials"].split(", ")
    assert [each.split(" sha256:")[0] for each in told] == ["PAW_PBE Cu 22Jun2005", "PAW_PBE Au 04Oct2007"]
    assert not {"POTCAR", "CHGCAR", "WAVECAR"} & {path.name for path in directory.iterdir()}
    assert all("EATOM" not in path.read_text() for path in directory.iterdir())


@pytest.mark.filterwarnings("ignore")
def test_other_programs_read_the_input_and_the_output(directory, profile):
    atoms = nickel_oxide()
    hubbard = {"LDAUL": {"Ni": 2}, "LDAUU": {"Ni": 6.0}}
    given = parameters(incar=hubbard, pseudopotentials={"Ni": "Ni", "O": "O"})
    calculate(VaspEngine(given, profile), atoms, directory)
    incar, poscar = (
        Incar.from_file(directory / "INCAR"),
        Poscar.from_file(directory / "POSCAR", check_for_potcar=False),
    )
    assert poscar.site_symbols == ["Ni", "O"]
    assert incar["MAGMOM"] == [2.0, 2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 0.0]
    assert (incar["ISPIN"], incar["LORBIT"]) == (2, 10)
    assert (incar["LDAUL"], incar["LDAUU"], incar["LMAXMIX"]) == ([2, -1], [6.0, 0.0], 4)
    assert tuple(Kpoints.from_file(directory / "KPOINTS").kpts[0]) == (2, 2, 2)
    run = Vasprun(directory / "vasprun.xml", parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    assert run.converged_electronic
    assert run.final_structure.symbol_set == ("Ni", "O")
    assert ase.io.read(directory / "OUTCAR").get_potential_energy() == pytest.approx(run.final_energy)


@pytest.mark.parametrize(
    ("kpoints", "incar", "program"),
    [("gamma", {}, "vasp_gam"), ([2, 2, 2], {}, "vasp_std"), ("gamma", {"LSORBIT": True}, "vasp_ncl")],
)
def test_the_build_follows_from_the_calculation(directory, profile, kpoints, incar, program):
    directory.mkdir(parents=True)
    engine = VaspEngine(parameters(kpoints=kpoints, incar=incar), profile)
    engine.write_input(directory, alloy())
    assert Path(engine.check(directory)["program"]).name == program
    launched = VaspEngine(parameters(kpoints=kpoints, incar=incar), {**profile, "command": "env {program}"})
    launched.write_input(directory, alloy())
    assert [Path(word).name for word in launched.check(directory)["program"].split()] == ["env", program]
    assert f" env {program} > vasp.out 2> vasp.err" in launched.command_line()


def test_a_script_beside_the_configuration_is_found_in_every_folder(
    directory, profile, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "run_vasp.sh"
    script.write_text("#!/bin/sh\nexec vasp_std > vasp.log\n")
    script.chmod(0o755)
    calculate(VaspEngine(parameters(), {**profile, "command": "./run_vasp.sh vasp.log"}), alloy(), directory)
    assert (directory / "result.json").exists()


def test_what_a_calculation_would_work_with(directory, profile):
    directory.mkdir(parents=True)
    engine = create_engine("vasp", parameters(kpoints={"spacing_per_angstrom": 0.5}), profile)
    engine.write_input(directory, alloy())
    found = engine.check(directory)
    assert found["pseudopotentials"] == "PAW_PBE Cu 22Jun2005, PAW_PBE Au 04Oct2007"
    assert found["cutoff"] == "400 eV, ENMAX 295.446 eV"
    assert found["electrons"] == "88"
    assert found["k-points"] == "2 4 4, not more than 0.44 1/Å apart"
    read = engine.read_input(directory)
    assert (read.numbers == alloy().numbers).all()
    assert read.positions == pytest.approx(alloy().positions, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"incar": {"ENCUT": 200}}, "below ENMIN"),
        ({"incar": {"ENCUT": None}}, "ENCUT: one number expected"),
        ({"pseudopotentials": {"Cu": "Cu"}}, "no pseudopotential for Au"),
        ({"pseudopotentials": {"Cu": "Cu_sv", "Au": "Au"}}, "of Cu it has Cu, Cu_pv"),
        ({"potcar_folder": "potpaw_LDA"}, "it has potpaw_PBE"),
        ({"kpoints": [2, 2]}, "kpoints"),
        ({"kpoints": None}, "kpoints: is required"),
        ({"kpoints": "gamma", "incar": {"ISMEAR": -5}}, "4 k-points"),
        ({"incar": {"RWIGS": {"Cu": 1.0}}}, "RWIGS: no value for Au"),
        ({"incar_tags": {}}, "incar_tags: unknown key; did you mean incar"),
    ],
)
def test_bad_settings_are_one_line_before_anything_runs(directory, profile, changes, message):
    directory.mkdir(parents=True)
    with pytest.raises((ConfigError, EngineError)) as raised:
        VaspEngine(parameters(**changes), profile).write_input(directory, alloy())
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": "srun vasp_missing"}, "cannot be found"),
        ({"command": "nosuchlauncher {program}"}, "program nosuchlauncher cannot be found"),
        ({"command": "vasp_gam"}, "vasp_gam cannot calculate this"),
        ({"command": "'"}, "close the quotes"),
        ({"pseudo_dir": "/nowhere"}, "which is no folder"),
        ({"reuse": "wave-functions"}, "use none or charge-density"),
        ({"timeout_minutes": 0}, "timeout_minutes"),
        ({"ranks": 4}, "ranks: unknown key"),
    ],
)
def test_a_bad_profile_is_one_line(directory, profile, changes, message):
    directory.mkdir(parents=True)
    with pytest.raises((ConfigError, EngineError)) as raised:
        VaspEngine(parameters(), {**profile, **changes}).write_input(directory, alloy())
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_cutoff_below_enmax_is_a_warning(profile, caplog):
    VaspEngine(parameters(incar={"ENCUT": 250}), profile)
    assert "asks for ENMAX = 295.446 eV" in caplog.text
    with pytest.raises(ConfigError, match=r"ENCUT: is required.*ENMAX = 295.446 eV.*add ENCUT: 384"):
        VaspEngine({**parameters(), "incar": {}}, profile)


def test_moments_that_the_tags_contradict(directory, profile):
    directory.mkdir(parents=True)
    names = {"Ni": "Ni", "O": "O"}
    for incar, message in (
        ({"ISPIN": 1}, "has magnetic moments"),
        ({"MAGMOM": {"Ni": 2.0}}, "moments of its own"),
        ({"LSORBIT": True}, "collinear"),
        ({"ISPIN": 1, "LSORBIT": True}, "has magnetic moments"),
    ):
        engine = VaspEngine(parameters(incar=incar, pseudopotentials=names), profile)
        with pytest.raises(ConfigError, match=message):
            engine.write_input(directory, nickel_oxide())
    plain = nickel_oxide()
    plain.set_initial_magnetic_moments(None)
    both = {"MAGMOM": {"Ni": 2}, "LSORBIT": True}
    with pytest.raises(ConfigError, match="vectors"):
        VaspEngine(parameters(incar=both, pseudopotentials=names), profile).write_input(directory, plain)
    VaspEngine(parameters(incar={"MAGMOM": {"Ni": 2}}, pseudopotentials=names), profile).write_input(
        directory, plain
    )
    assert Incar.from_file(directory / "INCAR")["MAGMOM"] == [2.0] * 4 + [0.0] * 4


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("unconverged", "not converged"),
        ("killed", "vasprun.xml"),
        ("disk", "the disk is full"),
        ("license", "license was refused"),
        ("eddav", "eigensolver failed"),
        ("permuted", "does not belong to the POSCAR beside it: atom"),
        ("units", "does not belong to the POSCAR beside it: its cell differs"),
    ],
)
def test_failures_are_named_and_nothing_wrong_is_taken(directory, profile, kind, message):
    engine = VaspEngine(parameters(), failing(profile, kind))
    with pytest.raises(EngineError) as raised:
        calculate(engine, alloy(), directory)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (directory / "result.json").exists()
    calculate(VaspEngine(parameters(), profile), alloy(), directory)


def test_an_attempt_that_did_not_converge_is_changed_and_said(directory, profile):
    engine = VaspEngine(parameters(incar={"ALGO": "Fast"}), failing(profile, "unconverged"))
    with pytest.raises(EngineError, match="not converged"):
        calculate(engine, alloy(), directory)
    said = []
    for attempt in (1, 2, 3):
        said.append(engine.amend_input(directory, attempt))
        try:
            engine.run(directory)
        except EngineError:
            continue
        break
    assert said == [
        "ALGO = Normal, NELM = 300",
        "ALGO = Normal, AMIX = 0.1, BMIX = 0.01, NELM = 300",
        "ALGO = All, NELM = 300",
    ]
    atoms = alloy()
    atoms.calc = EMT()
    assert engine.read_result(directory).forces_ev_per_angstrom == pytest.approx(atoms.get_forces(), abs=2e-8)
    assert engine.amend_input(directory, 4) is None


@pytest.mark.parametrize("kind", ["disk", "killed", "permuted"])
def test_other_failures_are_not_amended(directory, profile, kind):
    engine = VaspEngine(parameters(), failing(profile, kind))
    with pytest.raises(EngineError):
        calculate(engine, alloy(), directory)
    assert engine.amend_input(directory, 1) is None


def test_a_charge_density_starts_the_next_calculation(tmp_path, profile):
    engine = VaspEngine(parameters(), {**profile, "reuse": "charge-density"})
    place = tmp_path / "calculations"
    first = calculate(engine, alloy(), place / "one")
    assert Incar.from_file(place / "one/INCAR")["ICHARG"] == 2
    other = alloy()
    other.rattle(0.01, seed=5)
    calculate(engine, other, place / "two")
    assert Incar.from_file(place / "two/INCAR")["ICHARG"] == 1
    (kept,) = (place / ".charge-density").iterdir()
    assert kept.read_text() == "density of two\n"
    pure = bulk("Cu", cubic=True)
    calculate(engine, pure, place / "three")
    assert Incar.from_file(place / "three/INCAR")["ICHARG"] == 2
    again = calculate(VaspEngine(parameters(), profile), alloy(), place / "four")
    assert np.array_equal(again.forces_ev_per_angstrom, first.forces_ev_per_angstrom)
    assert engine_identity(engine) == engine_identity(VaspEngine(parameters(), profile))


def test_identity_is_physics_and_titles(profile):
    one = VaspEngine(parameters(), profile)
    faster = VaspEngine(
        parameters(incar={"NCORE": 4, "ALGO": "Fast"}), {**profile, "command": "env {program}"}
    )
    assert engine_identity(one) == engine_identity(faster)
    assert engine_identity(one) != engine_identity(VaspEngine(parameters(incar={"ENCUT": 450}), profile))
    assert configured_identity("vasp", parameters()) == configured_identity("vasp", parameters())
    path = Path(profile["pseudo_dir"]) / "potpaw_PBE/Cu/POTCAR"
    path.write_text(potcar("Cu").replace("22Jun2005", "01Jan2030"))
    assert engine_identity(VaspEngine(parameters(), profile)) != engine_identity(one)


def test_old_runs_with_the_same_settings_go_together(directory, profile):
    """What a file says of its settings is what the engine would calculate with."""
    hubbard = {"LDAUL": {"Ni": 2}, "LDAUU": {"Ni": 6.0}, "GGA": "PS", "ISPIN": 2}
    given = parameters(incar=hubbard, pseudopotentials={"Ni": "Ni", "O": "O"})
    engine, atoms = VaspEngine(given, profile), nickel_oxide()
    calculate(engine, atoms, directory)
    (step,) = VASPRUN.read(Source(directory / "vasprun.xml"), ReadOptions())
    assert step.provenance.labelled_by in label_identities(engine, atoms)
    faster = VaspEngine({**given, "incar": {**given["incar"], "ALGO": "Fast", "NCORE": 4}}, profile)
    assert step.provenance.labelled_by in label_identities(faster, atoms)
    for change in ({"ENCUT": 450}, {"SIGMA": 0.1}, {"LDAUU": {"Ni": 5.0}}, {"NELECT": 70}):
        other = VaspEngine({**given, "incar": {**given["incar"], **change}}, profile)
        assert step.provenance.labelled_by not in label_identities(other, atoms)
    denser = VaspEngine({**given, "kpoints": [3, 3, 3]}, profile)
    assert step.provenance.labelled_by not in label_identities(denser, atoms)


def test_a_real_run_goes_together_with_its_settings(tmp_path, shared_data, profile):
    members = Source(shared_data / "Si-PBEsol-vasp/vasprun_xmls.tar.lzma").members()
    source = next(each for each in members if each.name == "vasprun.xml")
    (step,) = VASPRUN.read(source, ReadOptions())
    text = (
        potcar("O").replace("PAW_PBE O 08Apr2002", "PAW_PBE Si 05Jan2001").replace("VRHFIN =O", "VRHFIN =Si")
    )
    (tmp_path / "POTCAR").write_text(text.replace("ZVAL   =    6.000", "ZVAL   =    4.000"))
    incar = {"ENCUT": 300, "EDIFF": 1e-8, "ADDGRID": True, "NELMIN": 5, "GGA": "PS"}
    kpoints = {"grid": [2, 2, 2], "shift": [0.5, 0.5, 0.5]}
    given = {"incar": incar, "kpoints": kpoints, "pseudopotentials": {"Si": "Si"}}
    engine = VaspEngine(given, {**profile, "pseudo_dir": str(tmp_path)})
    atoms = Atoms(step.numbers, cell=step.cell, positions=step.positions, pbc=True)
    assert step.provenance.labelled_by in label_identities(engine, atoms)
