"""What is changed in the input of a pw.x that did not converge, so that it converges to the same density."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlff_dyn.store.atomic import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

STEPS: tuple[Mapping[str, Any], ...] = (
    {"mixing_beta": 0.3, "electron_maxstep": 300},
    {"mixing_beta": 0.15, "mixing_mode": "local-TF", "mixing_ndim": 12, "electron_maxstep": 500},
    {"diagonalization": "cg", "mixing_beta": 0.1, "mixing_ndim": 16, "electron_maxstep": 800},
)
"""Values of &ELECTRONS after one, two, ... failures; none of them moves the density that is converged to."""

_MORE_CAREFUL: Mapping[str, Callable[..., float]] = {"mixing_beta": min, "electron_maxstep": max}
_NOT_CONVERGED = re.compile(r"convergence NOT achieved")
_DIAGONALIZATION = re.compile(r"too many bands are not converged|S matrix not positive definite")
_ELECTRONS = re.compile(r"(?ims)^\s*&electrons\s*$(.*?)^\s*/\s*$")


def amend_input(path: Path, output: Path, attempt: int) -> str | None:
    """Change the way to self-consistency in a pw.x input, if that is what failed.

    Parameters
    ----------
    path : Path
        The input, which is replaced.
    output : Path
        Of the attempt that failed.
    attempt : int
        Number of attempts that have failed.

    Returns
    -------
    str or None
        What was changed.
    """
    if attempt > len(STEPS) or not output.exists():
        return None
    text = output.read_text(errors="replace")
    if _DIAGONALIZATION.search(text):
        steps = STEPS[-1:]
    elif _NOT_CONVERGED.search(text):
        steps = STEPS[attempt - 1 :]
    else:
        return None
    before = path.read_text(encoding="utf-8")
    for step in steps:
        values = _changes(before, step)
        after = with_electrons(before, values)
        if after != before:
            atomic_write_text(path, after)
            return ", ".join(f"{name} = {value}" for name, value in values.items())
    return None


def _changes(text: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that differ from those of an input and neither mix more nor make fewer steps."""
    changes = {}
    for name, value in values.items():
        found = re.search(rf"(?im)^\s*{name}\s*=\s*(\S+)", text)
        given = None if found is None else found.group(1).strip("',")
        chosen = value
        if given is not None and name in _MORE_CAREFUL:
            chosen = type(value)(_MORE_CAREFUL[name](float(re.sub("[dD]", "e", given)), value))
        if given is None or str(chosen) != given:
            changes[name] = chosen
    return changes


def with_electrons(text: str, values: Mapping[str, Any]) -> str:
    """Return a pw.x input with other values in its namelist &ELECTRONS."""
    found = _ELECTRONS.search(text)
    if found is None:
        return text
    kept = [
        line
        for line in found.group(1).splitlines()
        if line.strip() and line.partition("=")[0].strip().lower() not in values
    ]
    new = [f"   {name} = {value!r}" for name, value in values.items()]
    body = "\n".join(["", *kept, *new, ""])
    return text[: found.start(1)] + body + text[found.end(1) :]
