"""What runs inside a block: one calculation, as on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import DataError, MlffError
from mlff_dyn.execution.local import run_one

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

    from mlff_dyn.engines.base import Engine

NOT_STARTED = "not started"
_PAUSE_SECONDS = 2.0

_recipes: dict[str, Mapping[str, Any]] = {}


def calculate_in_block(
    recipe: Mapping[str, Any],
    directory: Path,
    atoms: Atoms,
    *,
    max_retries: int,
    working_directory: str,
    stop_file: str,
) -> tuple[str, str, str] | None:
    """Calculate, and leave the result in the directory.

    Parameters
    ----------
    recipe : mapping
        Arguments of `mlff_dyn.engines.registry.create_engine`.
    directory, atoms, max_retries
        See `mlff_dyn.execution.calculation.calculate`.
    working_directory : str
        In which relative paths of the recipe have their meaning.
    stop_file : str
        No calculation is started where this file is.

    Returns
    -------
    tuple of str, or None
        Name of the error class, message and fix; None where there is a result.
    """
    if Path(stop_file).exists():
        return NOT_STARTED, "", ""
    if threading.current_thread() is threading.main_thread():
        # The programs of a block that is cancelled end with it, as those of an interrupted command do.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.chdir(working_directory)
    try:
        run_one(_engine(recipe), atoms, directory, max_retries=max_retries, is_stopped=_is_cancelled)
    except MlffError as error:
        return type(error).__name__, error.message, error.fix
    except MemoryError as error:
        return DataError.__name__, f"{directory}: {error or 'out of memory'}", "ask for more memory"
    return None


def _is_cancelled() -> bool:
    """Whether the block is being cancelled: then this process ends within the pause, as the program has."""
    time.sleep(_PAUSE_SECONDS)
    return False


def _engine(recipe: Mapping[str, Any]) -> Engine:
    """Engine of a recipe; made once in a process, since it may import much."""
    key = repr(recipe)
    _recipes[key] = recipe
    return _engine_of(key)


@cache
def _engine_of(key: str) -> Engine:
    return create_engine(**_recipes[key])
