"""Any ASE calculator is an engine, and its troubles get names."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlff_dyn.engines.ase.engine import AseEngine
from mlff_dyn.engines.ase.machine_arguments import with_absolute_paths
from mlff_dyn.engines.base import EngineResult, engine_identity
from mlff_dyn.engines.registry import configured_identity, create_engine
from mlff_dyn.errors import ConfigError, DataError, EngineError


@pytest.fixture
def module() -> str:
    return "tests.engines.ase.calculators"


def run(engine, directory, atoms) -> EngineResult:
    directory.mkdir(exist_ok=True)
    engine.write_input(directory, atoms)
    engine.run(directory)
    return engine.read_result(directory)


def rattled():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=2)
    return atoms


def test_result_is_that_of_the_calculator_bit_by_bit(tmp_path):
    atoms = rattled()
    engine = create_engine("ase", {"calculator": "ase.calculators.emt:EMT"}, {})
    result = run(engine, tmp_path / "a", atoms)
    atoms.calc = EMT()
    assert result.forces_ev_per_angstrom.tobytes() == atoms.get_forces().tobytes()
    assert result.energy_ev == atoms.get_potential_energy(force_consistent=True)
    assert np.array_equal(result.stress_ev_per_angstrom3, atoms.get_stress())


def test_result_does_not_depend_on_what_came_before(tmp_path):
    engine = AseEngine({"calculator": "ase.calculators.emt:EMT"}, {})
    first = run(engine, tmp_path / "a", rattled())
    run(engine, tmp_path / "b", bulk("Al", cubic=True))
    second = run(engine, tmp_path / "c", rattled())
    assert first.forces_ev_per_angstrom.tobytes() == second.forces_ev_per_angstrom.tobytes()


def test_arguments_reach_the_calculator_and_stress_may_be_missing(tmp_path, module):
    atoms = rattled()
    engine = AseEngine({"calculator": f"{module}:Wrong", "arguments": {"factor": 2.0}}, {})
    result = run(engine, tmp_path / "a", atoms)
    assert result.forces_ev_per_angstrom.tobytes() == (2.0 * atoms.positions).tobytes()
    assert result.stress_ev_per_angstrom3 is None
    assert result.energy_ev == 2.0


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (
            "raise",
            "RuntimeError: SCF not converged in 250 cycles; fix: .*calculator.log has the whole output",
        ),
        ("exit", "SystemExit: no license"),
        ("nan", "not finite"),
        ("crash", r"ended the process that it ran in \(signal SIGSEGV.*0007/calculator\.log"),
        ("relax", "does not belong to its input: .* atom 3 is 0.02 Å from where it should be"),
        ("sort", "does not belong to its input: .* atom 1 is 2.5 Å from where it should be"),
        ("other cell", "does not belong to its input: .* its cell differs by 0.036 Å"),
    ],
)
def test_failures_name_directory_and_reason(tmp_path, module, trouble, reason):
    engine = AseEngine({"calculator": f"{module}:Wrong", "arguments": {"trouble": trouble}}, {})
    with pytest.raises(EngineError, match=reason) as caught:
        run(engine, tmp_path / "0007", rattled())
    assert str(tmp_path / "0007") in str(caught.value)
    with pytest.raises(EngineError, match=r"0007/output\.json: no finished calculation"):
        engine.read_result(tmp_path / "0007")


@pytest.mark.parametrize("text", ["", "{", '{"format": "mlff-dyn ase output", "version": 1}'])
def test_damaged_output_is_refused_by_name(tmp_path, text):
    engine = AseEngine({"calculator": "ase.calculators.emt:EMT"}, {})
    (tmp_path / "output.json").write_text(text)
    with pytest.raises(EngineError, match=r"output\.json: no finished calculation"):
        engine.read_result(tmp_path)


@pytest.mark.parametrize(
    ("calculator", "error", "reason"),
    [
        ("no_such_module.ase:Thing", EngineError, r"No module named 'no_such_module'; .*PYTHONPATH=FOLDER"),
        (
            "ase.calculators.emt:Emt",
            ConfigError,
            "has no class Emt; fix: did you mean ase.calculators.emt:EMT",
        ),
        ("tests.engines.ase.calculators:number", ConfigError, "has no class number"),
        ("ase.calculators.emt", ConfigError, "is not module:Class"),
        (":EMT", ConfigError, "is not module:Class"),
        (None, ConfigError, "module:Class is required"),
    ],
)
def test_calculators_that_are_not_there(calculator, error, reason):
    with pytest.raises(error, match=reason):
        AseEngine({"calculator": calculator}, {})


def test_missing_modules_say_where_they_come_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("import tblite_of_nobody")
    with pytest.raises(EngineError, match=rf"'mine'; fix: .*export PYTHONPATH={tmp_path}$") as caught:
        AseEngine({"calculator": "mine:Mine"}, {})
    assert "pip" not in str(caught.value)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        EngineError, match=r"mine cannot be imported: .*tblite_of_nobody'; fix: put the folder"
    ):
        AseEngine({"calculator": "mine:Mine"}, {})
    (tmp_path / "mine.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tblite'\", name='tblite.ase')"
    )
    with pytest.raises(EngineError, match=r"pip install 'mlff-dyn\[tblite\]'"):
        AseEngine({"calculator": "mine:Mine"}, {})
    (tmp_path / "mine.py").write_text("def broken(:")
    with pytest.raises(EngineError, match=r"mine cannot be imported: SyntaxError: .*fix: correct the module"):
        AseEngine({"calculator": "mine:Mine"}, {})
    (tmp_path / "mine.py").write_text(
        "import os, sys; print('last words', file=sys.stderr, flush=True); os._exit(3)"
    )
    with pytest.raises(EngineError, match=r"imports mine ends: exit status 3: last words"):
        AseEngine({"calculator": "mine:Mine"}, {})


def test_wrong_arguments_and_unknown_keys(tmp_path, module):
    engine = AseEngine({"calculator": f"{module}:Wrong", "arguments": {"factr": 2.0}}, {})
    with pytest.raises(ConfigError, match=r"does not take .*factr"):
        run(engine, tmp_path / "a", rattled())
    with pytest.raises(
        ConfigError, match=r"engine\.parameters\.argument: unknown key; did you mean arguments"
    ):
        AseEngine({"calculator": "ase.calculators.emt:EMT", "argument": {}}, {})
    with pytest.raises(ConfigError, match=r"engine\.profile\.command: unknown key"):
        AseEngine({"calculator": "ase.calculators.emt:EMT"}, {"command": "x"})
    with pytest.raises(ConfigError, match="names and values expected"):
        AseEngine({"calculator": "ase.calculators.emt:EMT", "arguments": [1]}, {})


def test_what_calculators_print_goes_to_their_own_log(tmp_path, module, capfd):
    profile = {"arguments": {"verbosity": 2}, "environment": {"SEEN_BY_CALCULATOR": "yes"}}
    engine = AseEngine({"calculator": f"{module}:Wrong"}, profile)
    run(engine, tmp_path / "a", rattled())
    run(engine, tmp_path / "b", rattled())
    lines = (tmp_path / "a" / "calculator.log").read_text().splitlines()
    expected = ["error by Python", "printed by C", "printed by Python yes", "printed by a program"]
    assert sorted(lines) == expected
    assert sorted((tmp_path / "b" / "calculator.log").read_text().splitlines()) == expected
    assert capfd.readouterr() == ("", "")
    quiet = AseEngine({"calculator": f"{module}:Wrong"}, {})
    run(quiet, tmp_path / "c", rattled())
    assert not (tmp_path / "c" / "calculator.log").exists()


def test_calculators_of_files_do_not_meet(tmp_path, module, monkeypatch):
    """Four at a time; the directories are those of the calculations, whatever the author wrote down."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME_OF_THE_CALCULATOR", str(home))
    structures = []
    for seed in range(8):
        structures.append(rattled())
        structures[-1].rattle(0.05, seed=seed)
    for name in ("FileEMT", "at_home"):
        engine = AseEngine({"calculator": f"{module}:{name}"}, {})
        folders = [tmp_path / f"{name}{number}" for number in range(8)]
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(run, [engine] * 8, folders, structures))
        for atoms, result, folder in zip(structures, results, folders, strict=True):
            atoms.calc = EMT()
            assert result.forces_ev_per_angstrom.tobytes() == atoms.get_forces().tobytes()
            assert (folder / "POSCAR.npy").exists()
    assert not list(home.iterdir())


def test_files_in_arguments_are_those_of_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "potentials").mkdir()
    (tmp_path / "PBE").mkdir()
    (tmp_path / "potentials/Cu.pot").write_text("")
    given = {"model": ["potentials/Cu.pot", 3], "pp": "./potentials", "xc": "PBE", "txt": "potentials/Cu.pot"}
    assert with_absolute_paths(given) == {
        **given,
        "model": [str(tmp_path / "potentials/Cu.pot"), 3],
        "pp": str(tmp_path / "potentials"),
    }


@pytest.mark.parametrize("arguments", [{"directory": "/scratch"}, {"label": "../vasp"}])
def test_one_directory_for_all_is_refused(module, arguments):
    with pytest.raises(ConfigError, match="would be shared by all calculations"):
        AseEngine({"calculator": f"{module}:FileEMT"}, {"arguments": arguments})


def test_a_process_lives_through_many_calculations(tmp_path, module):
    engine = AseEngine({"calculator": f"{module}:Wrong"}, {})
    for number in range(3):
        run(engine, tmp_path / str(number), rattled())
    (process,) = {int((tmp_path / str(number) / "process").read_text()) for number in range(3)}
    assert is_running(process)
    del engine
    assert not is_running(process)


def test_arguments_without_physics_make_no_other_engine(module):
    def identity(arguments: dict, profile: dict) -> str:
        parameters = {"calculator": f"{module}:Wrong", "arguments": arguments}
        found = engine_identity(AseEngine(parameters, profile))
        assert found == configured_identity("ase", parameters)
        return found

    first = identity({}, {})
    assert identity({"verbosity": 3}, {}) == first
    assert (
        identity({}, {"arguments": {"verbosity": 3}, "environment": {"A": "b"}, "timeout_minutes": 3})
        == first
    )
    assert identity({"factor": 3}, {}) != first
    with pytest.raises(ConfigError, match=r"profile\.arguments\.verbosity: given in engine\.parameters"):
        identity({"verbosity": 1}, {"arguments": {"verbosity": 1}})


def test_time_limit_ends_the_calculation_and_its_programs(tmp_path, module):
    parameters = {"calculator": f"{module}:Wrong", "arguments": {"trouble": "hang"}}
    engine = AseEngine(parameters, {"timeout_minutes": 0.05})
    with pytest.raises(
        EngineError, match=r"a: .*Wrong: not done within 0\.05 minutes; fix: raise engine\.profile"
    ):
        run(engine, tmp_path / "a", rattled())
    time.sleep(0.1)
    assert not is_running(int((tmp_path / "a" / "child").read_text()))


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_process_that_died_is_replaced(tmp_path, module):
    broken = AseEngine({"calculator": f"{module}:Wrong", "arguments": {"trouble": "crash"}}, {})
    for folder in ("a", "b"):
        with pytest.raises(EngineError, match="SIGSEGV"):
            run(broken, tmp_path / folder, rattled())


def test_programs_and_their_files_are_checked_without_a_calculation(tmp_path, module, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Cu.pot").write_text("potential")

    def check(**arguments: str) -> dict[str, str]:
        engine = AseEngine({"calculator": f"{module}:Program", "arguments": arguments}, {})
        engine.write_input(tmp_path, rattled())
        return engine.check(tmp_path)

    assert check(command="sh run.sh", potential="Cu.pot")["program"].endswith("/sh")
    assert (tmp_path / "input").read_text() == "potential"
    with pytest.raises(EngineError, match="program no-such-program cannot be found"):
        check(command="no-such-program > out", potential="Cu.pot")
    with pytest.raises(EngineError, match=r"No such file or directory: 'Au\.pot'"):
        check(command="sh run.sh", potential="Au.pot")


def test_unknown_engine_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'vsap' is unknown; fix: use one of ase, cp2k, espresso, vasp"):
        create_engine("vsap", {}, {})


def test_result_checks_itself():
    with pytest.raises(DataError):
        EngineResult(1.0, np.zeros((3, 2)), None)
    with pytest.raises(DataError):
        EngineResult(1.0, np.zeros((3, 3)), np.zeros(9))
    with pytest.raises(EngineError, match="energy is not finite"):
        EngineResult(float("nan"), np.zeros((3, 3)), None)


def test_tight_binding_forces_are_derivatives_of_its_energy(tmp_path):
    pytest.importorskip("tblite.ase")
    engine = AseEngine(
        {"calculator": "tblite.ase:TBLite", "arguments": {"method": "GFN1-xTB", "verbosity": 0}}, {}
    )
    atoms = bulk("BAs", "zincblende", a=4.75, cubic=True)
    atoms.rattle(0.05, seed=3)
    result = run(engine, tmp_path / "center", atoms)
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[3, 2] += sign * 0.005
        energies.append(run(engine, tmp_path / f"moved{sign}", moved).energy_ev)
    assert result.forces_ev_per_angstrom[3, 2] == pytest.approx(-(energies[0] - energies[1]) / 0.01, abs=1e-3)
