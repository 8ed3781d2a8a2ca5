"""The exception family and the shape check."""

import pickle

import numpy as np
import pytest

from mlff_dyn import errors
from mlff_dyn.errors import BasisError, DataError, MlffError, check_shape


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
        "Interrupted": 130,
    }


def test_an_error_says_what_and_how_to_mend() -> None:
    assert str(BasisError("cutoff 7.1 Å is too long")) == "cutoff 7.1 Å is too long"
    error = BasisError("cutoff 7.1 Å is too long", fix="reduce it")
    assert str(error) == "cutoff 7.1 Å is too long; fix: reduce it"


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
