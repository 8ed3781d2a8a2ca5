"""The exception family and the shape check."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn import errors
from mlff_dyn.engines.ase.worker_pool import WorkerDied
from mlff_dyn.errors import BasisError, DataError, MlffError, check_shape

MEANINGLESS = (None, "check the input", "check the file", "correct the input", "fix it")
PACKAGE = Path(errors.__file__).parent
FAMILY = {WorkerDied.__name__} | {
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, MlffError)
}


def test_exit_codes_follow_the_contract() -> None:
    codes = {
        name: value.exit_code
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, MlffError)
    }
    assert codes == {
        "MlffError": 1,
        "UsageError": 2,
        "ConfigError": 2,
        "BasisError": 2,
        "DataError": 3,
        "FitError": 3,
        "NotConverged": 4,
        "EngineError": 5,
        "SimulationError": 6,
        "Waiting": 75,
        "Interrupted": 130,
    }


def test_an_error_says_what_and_how_to_mend() -> None:
    error = BasisError("cutoff 7.1 Å is too long", fix="reduce it")
    assert str(error) == "cutoff 7.1 Å is too long; fix: reduce it"


def test_an_error_without_a_fix_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="fix"):
        BasisError("cutoff 7.1 Å is too long")


def error_calls() -> Iterator[tuple[str, ast.expr | None]]:
    """Where the package makes an error of the family, and its fix."""
    for source in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if getattr(call.func, "id", None) in FAMILY:
                fixes = [keyword.value for keyword in call.keywords if keyword.arg == "fix"]
                yield f"{source.relative_to(PACKAGE)}:{call.lineno}", fixes[0] if fixes else None


def test_every_refusal_has_a_fix() -> None:
    """None is left out, may be None or says nothing."""
    calls = dict(error_calls())
    assert len(calls) > 200
    bad = [
        where
        for where, fix in calls.items()
        if fix is None
        or any(node.value in MEANINGLESS for node in ast.walk(fix) if isinstance(node, ast.Constant))
    ]
    assert not bad, "\n".join(bad)


def test_an_error_survives_another_process() -> None:
    error = pickle.loads(pickle.dumps(BasisError("what", fix="how")))
    assert (type(error), error.message, error.fix) == (BasisError, "what", "how")


def test_check_shape_names_array_shape_and_expectation() -> None:
    check_shape("forces", np.zeros((4, 8, 3)), (None, 8, 3))
    check_shape("energy", np.zeros(()), ())
    with pytest.raises(DataError, match=r"forces has shape \(4, 7, 3\), expected \(any, 8, 3\)"):
        check_shape("forces", np.zeros((4, 7, 3)), (None, 8, 3))
    with pytest.raises(DataError, match=r"forces has shape \(4,\), expected \(4, 3\)"):
        check_shape("forces", np.zeros(4), (4, 3))
