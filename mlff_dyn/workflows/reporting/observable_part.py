"""The observable that a training is for, as a part of the page of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.report.html_page import Part, Table, Text
from mlff_dyn.report.numbers import format_percent
from mlff_dyn.report.training_plots import plot_observable

if TYPE_CHECKING:
    from mlff_dyn.regression.planning.forecast import Forecast
    from mlff_dyn.report.html_page import Block, Draw
    from mlff_dyn.workflows.reporting.history import TrainingHistory
    from mlff_dyn.workflows.reporting.run_status import ObservableStatus

_HEADER = ("labelled frames", "expected error", "more data remove", "the expansion leaves out")


def observable_part(
    status: ObservableStatus | None, history: TrainingHistory, ahead: Forecast | None, draw: Draw
) -> list[Part]:
    """Error of the observable after each refit; nothing of a training that is for the forces.

    Parameters
    ----------
    status : ObservableStatus or None
    history : TrainingHistory
    ahead : Forecast or None
    draw : callable
        Takes name, caption and plot of a picture.
    """
    if status is None or not history.observed:
        return []
    name = status.observable
    errors = {
        each.n_snapshots: each.error_relative for each in history.observed if each.error_relative is not None
    }
    blocks: list[Block] = [Text(f"Expected error of the {name}: {status.told}.")]
    if errors:
        caption = f"Expected error of the {name} after each refit."
        if ahead is not None:
            caption += " Dashed: to the limit, by the forecast; the bar is its range."
        known, limit = sorted(errors.items()), status.limit_relative
        blocks.append(
            draw("observable", caption, lambda p: plot_observable(p, name, known, limit=limit, ahead=ahead))
        )
    rows = [
        (
            str(each.n_snapshots),
            *(
                "not stable yet" if value is None else format_percent(value)
                for value in (each.error_relative, each.epistemic_relative, each.truncation_relative)
            ),
        )
        for each in history.observed
    ]
    return [Part(name.capitalize(), [*blocks, Table(_HEADER, rows, numbers=range(4))])]
