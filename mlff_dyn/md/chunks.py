"""Long runs in pieces of about a second, so that they can be shown, saved and interrupted.

A run that is cut anywhere is the same run bit for bit, so the pieces may follow the clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.kernels.dynamics import SAMPLED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import Dynamics, MdKernel, MdRun, MdState
    from mlff_dyn.md.barostat import CellState

_LARGEST_BYTES = 1 << 24
"""Of the samples of a piece."""
_LARGEST_GROWTH = 8.0
"""Of the length from one piece to the next, which the first few may misjudge."""


@dataclass(frozen=True)
class Span:
    """Which steps to run, and in what pieces.

    Attributes
    ----------
    step, n_steps : int     steps made before, and in the end
    sample_every : int      samples are taken at the multiples of it
    seconds : float         wall time to aim at for a piece
    """

    step: int
    n_steps: int
    sample_every: int
    seconds: float = 1.0


@dataclass(frozen=True, eq=False)
class Chunk:
    """A piece of a run.

    Attributes
    ----------
    step : int                            steps of the whole run at its end
    n_steps : int                         steps of the piece
    sample_steps : ndarray of int         step of each sample
    run : MdRun
    seconds : float                       wall time
    cell : CellState or None              cell at the end, of a run at constant pressure
    strains : ndarray or None             of the samples, shape (n_samples, 3, 3)
    """

    step: int
    n_steps: int
    sample_steps: NDArray[np.int64]
    run: MdRun
    seconds: float
    cell: CellState | None = None
    strains: NDArray[np.float64] | None = None

    @property
    def state(self) -> MdState:
        """Where the piece ended."""
        return self.run.state


def run_in_chunks(
    kernel: MdKernel,
    dynamics: Dynamics,
    state: MdState,
    span: Span,
) -> Iterator[Chunk]:
    """Run piece by piece; the piece in which an atom leaves the limit is the last.

    Parameters
    ----------
    kernel : MdKernel
    dynamics : Dynamics
    state : MdState
        Where it begins.
    span : Span
    """
    for chunks in run_replicas_in_chunks(kernel, [dynamics], [state], span):
        yield chunks[0]


def run_replicas_in_chunks(
    kernel: MdKernel,
    dynamics: Sequence[Dynamics],
    states: Sequence[MdState],
    span: Span,
) -> Iterator[dict[int, Chunk]]:
    """Run independent trajectories together, piece by piece, as `run_in_chunks` runs one.

    Yields the chunk of each trajectory that ran, by its place among ``states``; one that leaves its limit is
    left out of the pieces that follow.

    Parameters
    ----------
    kernel : MdKernel
    dynamics : sequence of Dynamics
        One for each trajectory.
    states : sequence of MdState
        Where they begin.
    span : Span
    """
    running = dict(enumerate(states))
    step, length = span.step, 1
    while step < span.n_steps and running:
        piece = steps_ahead(step, span.n_steps, span.sample_every, length, kernel.n_atoms * len(running))
        started = time.perf_counter()
        own = [dynamics[place] for place in running]
        runs = kernel.run_replicas(list(running.values()), own, piece, min(piece, span.sample_every))
        elapsed = time.perf_counter() - started
        chunks = {
            place: _chunk(run, step, piece, span.sample_every, elapsed)
            for place, run in zip(running, runs, strict=True)
        }
        yield chunks
        running = {place: chunk.state for place, chunk in chunks.items() if chunk.run.stopped_step is None}
        step += piece
        length = max(1, int(piece * min(_LARGEST_GROWTH, span.seconds / max(elapsed, 1e-9))))


def steps_ahead(step: int, n_steps: int, sample_every: int, length: int, n_atoms: int) -> int:
    """Steps to make at once, at most ``length``: up to the next sample, or by whole sampling intervals."""
    missing = sample_every - step % sample_every
    piece = min(length, missing, n_steps - step)
    if missing == sample_every and length >= sample_every:
        most_samples = max(1, _LARGEST_BYTES // (48 * n_atoms))
        wanted = min(length // sample_every, most_samples) * sample_every
        piece = min(wanted, n_steps - step)
    return piece


def run_piece(kernel: MdKernel, dynamics: Dynamics, state: MdState, span: Span, piece: int) -> Chunk:
    """Make the first steps of a span, so many; see `steps_ahead`."""
    started = time.perf_counter()
    run = kernel.run(state, dynamics, piece, min(piece, span.sample_every))
    return _chunk(run, span.step, piece, span.sample_every, time.perf_counter() - started)


def join_runs(chunks: Sequence[Chunk], seconds: float) -> Chunk:
    """Make one of pieces that follow each other; it took ``seconds``."""
    last = chunks[-1]
    runs = [chunk.run for chunk in chunks]
    samples: dict[str, Any] = {
        name: np.concatenate([getattr(each, name) for each in runs]) for name in SAMPLED
    }
    strains = [chunk.strains for chunk in chunks if chunk.strains is not None]
    return replace(
        last,
        n_steps=sum(chunk.n_steps for chunk in chunks),
        sample_steps=np.concatenate([chunk.sample_steps for chunk in chunks]),
        run=replace(last.run, **samples),
        seconds=seconds,
        strains=np.concatenate(strains) if strains else None,
    )


def _chunk(run: MdRun, step: int, piece: int, sample_every: int, elapsed: float) -> Chunk:
    """Number the samples, and drop one that is there only because the piece ends between two samples."""
    stride = min(piece, sample_every)
    steps = step + stride * np.arange(1, len(run.displacements) + 1)
    kept = steps % sample_every == 0
    made = piece if run.stopped_step is None else run.stopped_step
    if not kept.all():
        run = replace(run, **{name: getattr(run, name)[kept] for name in SAMPLED})
    return Chunk(step + made, made, steps[kept], run, elapsed)
