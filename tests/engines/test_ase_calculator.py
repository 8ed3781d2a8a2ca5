"""Any ASE calculator is an engine, and its troubles get names."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from mlff_dyn.engines.ase_calculator import AseEngine
from mlff_dyn.engines.base import EngineResult
from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import ConfigError, DataError, EngineError


class Wrong(Calculator):
    """Calculator with forces of its own making, no stress, and a switch for trouble."""

    implemented_properties = ("energy", "forces")

    def __init__(self, trouble: str = "none", factor: float = 1.0) -> None:
        super().__init__()
        self.trouble, self.factor = trouble, factor

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.trouble == "raise":
            raise RuntimeError("SCF not converged in 250 cycles")
        forces = self.factor * atoms.positions
        if self.trouble == "nan":
            forces[1, 1] = np.nan
        self.results = {"energy": 1.0, "free_energy": 2.0, "forces": forces}


@pytest.fixture(autouse=True)
def module(monkeypatch):
    module = types.ModuleType("calculators_of_this_test")
    module.Wrong = Wrong
    module.number = 3
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


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
    ("trouble", "reason"), [("raise", "SCF not converged in 250"), ("nan", "not finite")]
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
        ("no_such_module.ase:Thing", EngineError, r"no_such_module.*fix: pip install"),
        ("ase.calculators.emt:Emt", ConfigError, "has no class Emt"),
        ("calculators_of_this_test:number", ConfigError, "has no class number"),
        ("ase.calculators.emt", ConfigError, "is not module:Class"),
        (":EMT", ConfigError, "is not module:Class"),
        (None, ConfigError, "module:Class is required"),
    ],
)
def test_calculators_that_are_not_there(calculator, error, reason):
    with pytest.raises(error, match=reason):
        AseEngine({"calculator": calculator}, {})


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite", None)
    monkeypatch.setitem(sys.modules, "tblite.ase", None)
    with pytest.raises(EngineError, match=r"pip install 'mlff-dyn\[tblite\]'"):
        AseEngine({"calculator": "tblite.ase:TBLite"}, {})


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
    with pytest.raises(ConfigError, match="keywords and values expected"):
        AseEngine({"calculator": "ase.calculators.emt:EMT", "arguments": [1]}, {})


def test_unknown_engine_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'vsap' is unknown; fix: use one of ase, espresso"):
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
