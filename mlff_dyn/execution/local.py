"""Calculations on this machine, a few at a time, safe against a kill at any moment."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import DataError, EngineError, MlffError, located
from mlff_dyn.execution.base import OnFinished, check_names
from mlff_dyn.execution.calculation import calculate, read_finished
from mlff_dyn.store.atomic import fix_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from ase import Atoms
    from typing_extensions import Self

    from mlff_dyn.engines.base import Engine, EngineResult


_HEARTBEAT_SECONDS = 0.5
"""An interrupt in the moment in which a wait begins is seen when that ends."""


class LocalExecution:
    """Execution of kind ``local``.

    One at a time runs in the thread that waits for it; several run in threads that wait for programs, from
    the moment that they are submitted. After a failure none is started.

    Parameters
    ----------
    engine : Engine
    calculations_dir : Path
    max_parallel : int
    max_retries : int
        Further attempts at a calculation that fails, see `mlff_dyn.execution.attempts`.
    """

    def __init__(
        self, engine: Engine, calculations_dir: Path, *, max_parallel: int = 1, max_retries: int = 0
    ) -> None:
        self._engine = engine
        self._folder = Path(calculations_dir)
        self._max_retries = max_retries
        self._results: dict[str, EngineResult] = {}
        self._queue: dict[str, Atoms] = {}
        self._futures: dict[Future[EngineResult | None], str] = {}
        self._failed = threading.Event()
        self._stopped = threading.Event()
        self._pool = (
            ThreadPoolExecutor(max_parallel, thread_name_prefix="calculation") if max_parallel > 1 else None
        )

    @classmethod
    def configured(
        cls,
        engine: Engine,
        recipe: Mapping[str, Any],  # noqa: ARG003
        calculations_dir: Path,
        settings: Mapping[str, Any],
    ) -> LocalExecution:
        """Create one from the section ``execution``; see `mlff_dyn.execution.base.ExecutionClass`."""
        return cls(
            engine,
            calculations_dir,
            max_parallel=settings["max_parallel"],
            max_retries=settings["max_retries"],
        )

    def submit(self, names: Sequence[str], atoms_list: Sequence[Atoms]) -> None:
        """Start calculations, or put them into the queue; those that are finished are read, not run."""
        check_names(names, len(atoms_list))
        pending = {}
        for name, atoms in zip(names, atoms_list, strict=True):
            found = read_finished(self._engine, atoms, self._folder / name)
            if found is None:
                pending[name] = atoms
            else:
                self._results[name] = found
        if self._pool is None:
            self._queue.update(pending)
        else:
            for name, atoms in pending.items():
                self._futures[self._pool.submit(self._run_unless_failed, name, atoms)] = name

    def results(self, names: Sequence[str], on_finished: OnFinished | None = None) -> list[EngineResult]:
        """Wait for calculations; see `mlff_dyn.execution.base.Execution`."""
        for name in names:
            if name in self._queue:
                self._keep(name, self._run(name, self._queue.pop(name)), on_finished)
        errors: dict[str, BaseException] = {}
        while self._futures and (errors or not all(name in self._results for name in names)):
            done, _ = wait(self._futures, _HEARTBEAT_SECONDS, FIRST_COMPLETED)
            for future in sorted(done, key=self._futures.__getitem__):
                name, error = self._futures.pop(future), future.exception()
                result = None if error is not None else future.result()
                if error is not None:
                    errors[name] = error
                elif result is not None:
                    self._keep(name, result, on_finished)
        if errors:
            raise first_error(errors)
        return [self._results[name] for name in names]

    def _keep(self, name: str, result: EngineResult, on_finished: OnFinished | None) -> None:
        self._results[name] = result
        if on_finished is not None:
            on_finished(name, result)

    def _run_unless_failed(self, name: str, atoms: Atoms) -> EngineResult | None:
        if self._failed.is_set():
            return None
        try:
            return self._run(name, atoms)
        except BaseException:
            self._failed.set()
            raise

    def _run(self, name: str, atoms: Atoms) -> EngineResult:
        return run_one(
            self._engine,
            atoms,
            self._folder / name,
            max_retries=self._max_retries,
            is_stopped=self._stopped.is_set,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        if error is not None:
            self._failed.set()
        if error is not None and not isinstance(error, MlffError):
            self._stop()
        try:
            self._pool.shutdown(cancel_futures=error is not None)
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        self._stopped.set()
        self._engine.stop()


def label(
    engine: Engine,
    atoms_list: Sequence[Atoms],
    calculations_dir: Path,
    names: Sequence[str],
    *,
    max_parallel: int = 1,
    max_retries: int = 0,
    on_finished: OnFinished | None = None,
) -> list[EngineResult]:
    """Label structures on this machine, each in ``calculations_dir/name``.

    What is finished is read, not run again. After a failure no further calculation starts; those that are
    running end first and keep their results.

    Parameters
    ----------
    engine : Engine
    atoms_list : sequence of Atoms
    calculations_dir : Path
        Made when it is missing.
    names : sequence of str
        One directory name a structure, all different.
    max_parallel : int
        Calculations that run at the same time.
    max_retries : int
        Further attempts at a calculation that fails.
    on_finished : callable, optional
        Called in this thread with name and result after each calculation that was run now.

    Returns
    -------
    list of EngineResult
        In the order of the structures.

    Raises
    ------
    EngineError
        If a calculation fails; with its directory and reason.
    DataError
        If a finished result is damaged, or a directory cannot be written.
    """
    n_parallel = max(1, min(max_parallel, len(names)))
    with LocalExecution(
        engine, calculations_dir, max_parallel=n_parallel, max_retries=max_retries
    ) as execution:
        execution.submit(names, atoms_list)
        return execution.results(names, on_finished)


def run_one(engine: Engine, atoms: Atoms, directory: Path, **options: Any) -> EngineResult:  # noqa: ANN401
    """Calculate; a failure names its directory, an error of the file system becomes one of the family."""
    try:
        with located(directory):
            return calculate(engine, atoms, directory, **options)
    except OSError as error:
        raise DataError(f"{error.filename or directory}: {error.strerror}", fix=fix_of(error)) from error


def first_error(errors: Mapping[str, BaseException]) -> BaseException:
    """Return a bug if there is one, else the failure of the first calculation, which counts the others."""
    for error in errors.values():
        if not isinstance(error, MlffError):
            return error
    first = errors[min(errors)]
    if len(errors) > 1 and isinstance(first, EngineError):
        return EngineError(
            f"{first.message}; {len(errors) - 1} more of the calculations failed", fix=first.fix
        )
    return first
