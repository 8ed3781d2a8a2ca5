"""The one exception family of mlff_dyn, and the shape check that raises from it.

::

    MlffError                    1   anything below; on its own only for a fault of the program
     ├─ UsageError               2   the command line, a busy run directory, a file in the way
     ├─ ConfigError              2   the configuration file
     ├─ BasisError               2   an expansion that the structure cannot carry
     ├─ DataError                3   a file, or an array, with the wrong content
     ├─ FitError                 3   data that do not determine the parameters
     ├─ NotConverged             4   a target error that was not reached
     ├─ EngineError              5   a reference calculation that failed
     ├─ SimulationError          6   molecular dynamics that left the trusted region
     ├─ Waiting                 75   calculations that run elsewhere; the same command collects them
     └─ Interrupted            130   SIGINT, SIGTERM, SIGHUP; the same command resumes

The number is the exit code of the command line.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np


class MlffError(Exception):
    """Base of every error that mlff_dyn raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, and where.
    fix : str
        The next step for the user, in the imperative.

    Examples
    --------
    >>> error = DataError("model.h5 does not exist", fix="run the command that writes it first")
    >>> print(error)
    model.h5 does not exist; fix: run the command that writes it first
    >>> error.exit_code
    3
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}; fix: {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        return (partial(type(self), fix=self.fix), (self.message,))


def reason_of(error: BaseException) -> str:
    """Return the text of an error that becomes part of another one, without its fix, in one line."""
    return " ".join((error.message if isinstance(error, MlffError) else str(error)).split())


@contextmanager
def located(where: object) -> Iterator[None]:
    """Say where in the message of an error that does not."""
    try:
        yield
    except MlffError as error:
        if str(where) not in error.message:
            raise type(error)(f"{where}: {error.message}", fix=error.fix) from error
        raise


class UsageError(MlffError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class ConfigError(MlffError):
    """The configuration cannot be read or does not make sense."""

    exit_code = 2


class BasisError(MlffError):
    """The expansion asked for does not fit the structure or the supercell."""

    exit_code = 2


class DataError(MlffError):
    """A file or an array has the wrong content."""

    exit_code = 3


class FitError(MlffError):
    """The data do not determine the parameters."""

    exit_code = 3


class NotConverged(MlffError):  # noqa: N818
    """A target error was not reached."""

    exit_code = 4


class EngineError(MlffError):
    """A reference calculation failed."""

    exit_code = 5


class SimulationError(MlffError):
    """Molecular dynamics left the trusted region."""

    exit_code = 6


class Waiting(MlffError):  # noqa: N818
    """Calculations run elsewhere and are not done; the same command goes on when they are."""

    exit_code = 75


class Interrupted(MlffError):  # noqa: N818
    """The user or the system stopped the command; the same command resumes it."""

    exit_code = 130


def check_shape(name: str, array: np.ndarray, expected: tuple[int | None, ...]) -> None:
    """Refuse an array of the wrong shape.

    Parameters
    ----------
    name : str
        What the array is, for the message.
    array : ndarray
    expected : tuple of int or None
        Wanted length of every axis; None allows any length.

    Raises
    ------
    DataError
        If the number of axes or a length differs.
    """
    shape = array.shape
    matches = len(shape) == len(expected) and all(
        want is None or got == want for got, want in zip(shape, expected, strict=True)
    )
    if not matches:
        raise DataError(
            f"{name} has shape {_shape_text(shape)}, expected {_shape_text(expected)}",
            fix=f"give {name} of that shape",
        )


def _shape_text(shape: tuple[int | None, ...]) -> str:
    lengths = ["any" if length is None else str(length) for length in shape]
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"
