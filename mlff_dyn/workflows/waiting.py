"""Progress while calculations run: how long they have taken, and how long earlier ones took."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlff_dyn.execution.states import calculation_states, seconds_since_start, typical_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mlff_dyn.report.progress import Progress

_LOOK_SECONDS = 1.0
_MOST_NAMES = 3


@contextmanager
def shown_while_waiting(
    progress: Progress, folder: Path, names: Sequence[str], since_seconds: float | None = None
) -> Iterator[None]:
    """Show once a second what of some calculations runs; from a thread, as the engine may hold this one.

    Parameters
    ----------
    progress : Progress
    folder : Path
        Of all calculations.
    names : sequence of str
        That are waited for.
    since_seconds : float, optional
        When they were submitted, by `time.monotonic`; now if left out. What an earlier command has left
        does not count.
    """
    submitted = time.monotonic() if since_seconds is None else since_seconds
    is_done = threading.Event()

    def watch() -> None:
        expected = None
        while not is_done.wait(_LOOK_SECONDS):
            expected = expected or typical_seconds(calculation_states(folder))
            age = time.monotonic() - submitted
            found = {name: seconds_since_start(folder / name) for name in names}
            running = {name: min(age, seconds) for name, seconds in found.items() if seconds is not None}
            if running and not is_done.is_set():
                progress.wait(_describe(list(running)), max(running.values()), expected)

    thread = threading.Thread(target=watch, name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


def _describe(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"calculation {names[0]}"
    if len(names) > _MOST_NAMES:
        return f"{len(names)} calculations from {names[0]} on"
    return f"calculations {', '.join(names)}"
