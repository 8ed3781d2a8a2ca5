"""A calculation that contradicts its prediction is made once more.

It is believed if it agrees then, or if both results are the same and their energy speaks for their forces: it
is off by the work of what those are off, or is their work where they are off everywhere. Then the crystal is
more anharmonic than anything known of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import EngineError
from mlff_dyn.store.provenance import AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlff_dyn.report.progress import Progress
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.workflows.training.learner import Learner


_SAME_RESULT = 0.01


def confirmed(
    learner: Learner,
    snapshots: Sequence[Snapshot],
    calculate: Callable[[Sequence[int], Sequence[str]], list[Snapshot]],
    progress: Progress,
) -> list[Snapshot]:
    """Snapshots that may be trained on; the results of those replaced stay in their directories.

    Parameters
    ----------
    learner : Learner
    snapshots : sequence of Snapshot
        Just calculated.
    calculate : callable
        Calculates some of them, by number, again, under given names.
    progress : Progress
        Is told of what is calculated again.

    Raises
    ------
    EngineError
        If a second result contradicts the prediction as well; with both.
    """
    doubtful = learner.contradictions(snapshots)
    if not doubtful:
        return list(snapshots)
    names = {k: str(snapshots[k].provenance.calculation) for k in doubtful}
    for k, found in doubtful.items():
        progress.log(f"warning: calculation {names[k]} is set aside and made again: {found.text}")
    again = calculate(list(doubtful), [names[k] + AGAIN for k in doubtful])
    second = learner.contradictions(again)
    kept = list(snapshots)
    for place, (k, found) in enumerate(doubtful.items()):
        new = again[place]
        if place in second and not (second[place].is_supported and _agree(snapshots[k], new)):
            folder = learner.workspace.calculations_path / names[k]
            raise EngineError(
                f"{folder} contradicts all earlier calculations: {found.text}; so does {folder.name}{AGAIN}: "
                f"{second[place].text}",
                fix="compare their outputs with those of earlier calculations; remove the directories of "
                "those that are wrong and run the same command again",
            )
        reason = f"{new.provenance.reason}; in {names[k]}, {found.text}"
        kept[k] = replace(new, provenance=replace(new.provenance, reason=reason))
    return kept


def _agree(first: Snapshot, second: Snapshot) -> bool:
    """Whether two calculations of one structure gave the same forces."""
    gap = first.forces_ev_per_angstrom - second.forces_ev_per_angstrom
    size = np.sqrt(np.mean(first.forces_ev_per_angstrom**2))
    return bool(np.abs(gap).max() < _SAME_RESULT * size)
