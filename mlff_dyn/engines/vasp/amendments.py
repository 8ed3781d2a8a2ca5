"""Another way to the same ground state where electronic steps did not converge: algorithm, mixing, steps.

The steps follow those of custodian: a more stable algorithm first, then a smaller mixing. EDIFF, cutoff,
k-points and smearing stay, so that the converged result is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.engines.vasp.incar import format_incar, parse_incar
from mlff_dyn.store.atomic import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST_STEPS = 300
_FAST = ("f", "v")
_MIXING = {"AMIX": "0.1", "BMIX": "0.01"}
_SPIN_MIXING = {"AMIX_MAG": "0.4", "BMIX_MAG": "0.01"}
_START_FILES = ("CHGCAR", "CHG", "WAVECAR")


def amend(directory: Path, incar: Path, attempt: int) -> str | None:
    """Change the INCAR of a calculation that did not converge; start from atoms again.

    Parameters
    ----------
    directory : Path
    incar : Path
    attempt : int
        Number of failed attempts, from 1.

    Returns
    -------
    str or None
        What was changed; None if nothing is left to try.
    """
    tags = parse_incar(incar.read_text(encoding="utf-8"))
    ways = _ways(tags)
    if attempt > len(ways):
        return None
    changes = ways[attempt - 1]
    for name in _START_FILES:
        (directory / name).unlink(missing_ok=True)
    if tags.pop("ICHARG", None) is not None:
        changes = {**changes, "ICHARG": "2"}
    atomic_write_text(incar, format_incar({**tags, **changes}))
    return ", ".join(f"{tag} = {value}" for tag, value in changes.items())


def _ways(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Changes of the tags of the last attempt, one set an attempt, in their order."""
    steps = {"NELM": str(max(_MOST_STEPS, int(tags.get("NELM", "0"))))}
    mixing = {**_MIXING, **(_SPIN_MIXING if tags.get("ISPIN") == "2" else {})}
    hybrid = tags.get("LHFCALC", "").strip(".").upper().startswith("T")
    is_fast = tags.get("ALGO", "Normal")[:1].lower() in _FAST
    if hybrid:
        return [{"ALGO": "All", **steps}, {"ALGO": "Damped", "TIME": "0.4", **steps}]
    first = {"ALGO": "Normal" if is_fast else "All", **steps}
    return [first, {"ALGO": "Normal", **mixing, **steps}, {"ALGO": "All", **steps}]
