"""A calculation that contradicts its prediction is made once more, and believed only if it agrees then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlff_dyn.errors import EngineError
from mlff_dyn.store.provenance import AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlff_dyn.report.progress import Progress
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.workflows.training.learner import Learner


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
    for k, text in doubtful.items():
        progress.log(f"warning: calculation {names[k]} is set aside and made again: {text}")
    again = calculate(list(doubtful), [names[k] + AGAIN for k in doubtful])
    second = learner.contradictions(again)
    for place, (k, text) in enumerate(doubtful.items()):
        if place in second:
            folder = learner.workspace.calculations_path / names[k]
            raise EngineError(
                f"{folder} contradicts all earlier calculations: {text}; so does {folder.name}{AGAIN}: "
                f"{second[place]}",
                fix="compare their outputs with those of earlier calculations; remove the directories of "
                "those that are wrong and run the same command again",
            )
    found = list(snapshots)
    for new, (k, text) in zip(again, doubtful.items(), strict=True):
        label = new.provenance
        found[k] = replace(new, provenance=replace(label, reason=f"{label.reason}; {names[k]} had {text}"))
    return found
