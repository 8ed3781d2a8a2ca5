"""A calculation that ends in another magnetic state than its structure is refused by name."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from ase import Atoms

from mlff_dyn.engines import magnetic_state
from mlff_dyn.engines.base import EngineResult
from mlff_dyn.engines.espresso.output import parse_pw_output
from mlff_dyn.engines.magnetic_state import MagneticState, check_magnetic_state, state_of_results
from mlff_dyn.errors import EngineError
from mlff_dyn.store.json_file import to_plain
from tests.engines.espresso.test_output import OUTPUT

TOTALS = """
     total magnetization       =    -0.30 Bohr mag/cell
     absolute magnetization    =     3.10 Bohr mag/cell
     total magnetization       =     0.00 Bohr mag/cell
     absolute magnetization    =     3.66 Bohr mag/cell
"""
SITES = {
    "6": """
     Magnetic moment per site:
     atom:    1    charge:    0.8907    magn:    1.6603    constr:    0.0000
     atom:    2    charge:    0.8907    magn:   -1.6603    constr:    0.0000

""",
    "7": """
     Magnetic moment per site  (integrated on atomic sphere of radius R)
     atom   1 (R=0.357)  charge= 13.9110  magn=  1.6603
     atom   2 (R=0.357)  charge= 13.9110  magn= -1.6603

""",
}


def pair(first: float, second: float) -> Atoms:
    return Atoms("Ni2", [[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True, magmoms=[first, second])


@pytest.mark.parametrize("version", SITES)
def test_moments_of_pw(version: str) -> None:
    text = OUTPUT.replace("!    total energy", TOTALS + SITES[version] + "!    total energy")
    state = parse_pw_output(text, "a.pwo").magnetic_state
    assert state is not None
    np.testing.assert_allclose(state.moments, [1.6603, -1.6603])
    assert (state.total, state.absolute) == (0.0, 3.66)
    without = parse_pw_output(re.sub("(?m)^ *atom.*magn.*$", "", text), "a.pwo").magnetic_state
    assert without is not None
    assert without.moments is None
    assert parse_pw_output(OUTPUT, "a.pwo").magnetic_state is None


def test_results_come_back_from_json() -> None:
    state = MagneticState(np.array([1.5, -1.5]), 0.0, None)
    result = EngineResult(-1.0, np.zeros((2, 3)), None, state)
    back = EngineResult.from_json(json.loads(json.dumps(to_plain(result.to_json()))))
    assert back.magnetic_state is not None
    np.testing.assert_array_equal(back.magnetic_state.moments, [1.5, -1.5])
    assert (back.magnetic_state.total, back.magnetic_state.absolute) == (0.0, None)
    plain = EngineResult(-1.0, np.zeros((2, 3)), None)
    assert set(plain.to_json()) == {"energy_ev", "forces_ev_per_angstrom", "stress_ev_per_angstrom3"}
    assert EngineResult.from_json(plain.to_json()).magnetic_state is None


@pytest.mark.parametrize(
    "state",
    [
        None,
        MagneticState(np.array([1.6, -1.6]), 0.0, 3.6),
        MagneticState(np.array([-1.6, 1.6]), 0.0, 3.6),
        MagneticState(None, 0.0, 3.6),
        MagneticState(None, -0.1, None),
        MagneticState(np.array([1.6, 1.6]), None, None),
    ],
    ids=["no spins", "as given", "reversed", "totals", "total alone", "sizes alone"],
)
def test_the_state_of_the_reference_is_accepted(state: MagneticState | None) -> None:
    check_magnetic_state(pair(2.0, -2.0), state)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (MagneticState(np.array([1.6, 1.6]), 3.2, 3.6), "Ni atom 2 has a moment of 1.60"),
        (MagneticState(np.array([0.0, 0.0]), 0.0, 0.0), "Ni atom 1 .and 1 more. has a moment of 0.00"),
        (MagneticState(np.array([1.6, 0.1]), None, None), "Ni atom 2 has a moment of 0.10"),
        (MagneticState(None, 3.4, 3.6), "total magnetization 3.40, in the reference 0.00"),
        (MagneticState(None, 0.0, 0.3), "absolute magnetization 0.30, in the reference 4.00"),
        (MagneticState(None, 3.4, None), "total magnetization 3.40"),
    ],
    ids=["ferromagnetic", "lost", "size lost", "totals", "absolute lost", "total alone"],
)
def test_another_state_is_refused(state: MagneticState, reason: str) -> None:
    with pytest.raises(EngineError, match=f"another magnetic state than the reference: {reason}"):
        check_magnetic_state(pair(2.0, -2.0), state)


def test_antiparallel_moments_of_a_structure_without_any_are_refused() -> None:
    check_magnetic_state(pair(0.0, 0.0), MagneticState(np.array([1.6, 1.6]), 3.2, 3.6))
    with pytest.raises(EngineError, match="the reference structure has none"):
        check_magnetic_state(pair(0.0, 0.0), MagneticState(np.array([1.6, -1.6]), 0.0, 3.6))


def test_results_of_ase() -> None:
    assert state_of_results({"energy": 1.0}) is None
    state = state_of_results({"magmoms": [1.0, -1.0], "magmom": np.float64(0.0)})
    assert state is not None
    assert state.total == 0.0
    noncollinear = state_of_results({"magmom": np.zeros(3), "magmoms": [[0, 0, 1.0], [0, 0, -1.0]]})
    assert noncollinear is not None
    assert noncollinear.total is None
    np.testing.assert_array_equal(noncollinear.moments, [1.0, -1.0])


def test_engines_that_know_no_spins_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    magnetic_state._warn_that_nothing_is_known.cache_clear()
    for _ in range(3):
        check_magnetic_state(pair(2.0, -2.0), None)
        check_magnetic_state(pair(0.0, 0.0), None)
    (record,) = caplog.records
    assert "has magnetic moments, of which the engine tells nothing" in record.message
