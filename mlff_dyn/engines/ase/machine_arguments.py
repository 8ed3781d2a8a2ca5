"""Which arguments of a program are physics, and which only say how and where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

WITHOUT_PHYSICS = frozenset(
    {
        "command",
        "device",
        "directory",
        "kpar",
        "label",
        "log",
        "logfile",
        "n_threads",
        "ncore",
        "nproc",
        "npar",
        "nthreads",
        "num_threads",
        "threads",
        "txt",
        "verbose",
        "verbosity",
    }
)
"""Names of arguments that ASE calculators have for output, place and speed."""

_OF_THE_DIRECTORY = ("directory", "label")


def without_physics(name: str) -> bool:
    """Whether results do not depend on an argument of this name."""
    return name.lower() in WITHOUT_PHYSICS


def place_of_another(arguments: Mapping[str, Any]) -> str | None:
    """Name of an argument that would put all calculations into one directory; None if there is none."""
    for name in _OF_THE_DIRECTORY:
        value = arguments.get(name)
        if isinstance(value, str) and (Path(value).is_absolute() or ".." in Path(value).parts):
            return name
    return None


def with_absolute_paths(value: Any, name: str = "") -> Any:  # noqa: ANN401 (a value of YAML)
    """Return a value whose texts that name a file, or a folder with a slash in it, are absolute paths.

    A calculation works in a directory of its own; relative paths are those of the command.
    """
    if isinstance(value, Mapping):
        return {key: with_absolute_paths(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_absolute_paths(item, name) for item in value]
    if isinstance(value, str) and value and not without_physics(name) and "\0" not in value:
        path = Path(value)
        if path.is_file() or ("/" in value and path.is_dir()):
            return str(path.absolute())
    return value
