"""Labeling on this machine, a few calculations at a time, safe against a kill at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.engines.base import Engine, EngineResult
from mlff_dyn.errors import DataError, EngineError, MlffError, located
from mlff_dyn.execution.calculation import SUPERSEDED_NAME, calculate, read_finished
from mlff_dyn.store.atomic import fix_of

if TYPE_CHECKING:
    from ase import Atoms

OnFinished = Callable[[str, EngineResult], None]


def label(
    engine: Engine,
    atoms_list: Sequence[Atoms],
    calculations_dir: Path,
    names: Sequence[str],
    *,
    max_parallel: int = 1,
    on_finished: OnFinished | None = None,
) -> list[EngineResult]:
    """Label structures, each in ``calculations_dir/name``.

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
    _check_names(names, len(atoms_list))
    directories = [Path(calculations_dir) / name for name in names]
    found = [
        read_finished(engine, atoms, directory)
        for atoms, directory in zip(atoms_list, directories, strict=True)
    ]
    pending = [index for index, result in enumerate(found) if result is None]
    results = {index: result for index, result in enumerate(found) if result is not None}

    def keep(index: int, result: EngineResult) -> None:
        results[index] = result
        if on_finished is not None:
            on_finished(names[index], result)

    if max_parallel == 1 or len(pending) <= 1:
        for index in pending:
            keep(index, _run(engine, atoms_list[index], directories[index]))
    else:
        jobs = {index: (atoms_list[index], directories[index]) for index in pending}
        _run_parallel(engine, jobs, keep, max_parallel)
    return [results[index] for index in range(len(names))]


def _run_parallel(
    engine: Engine,
    jobs: Mapping[int, tuple[Atoms, Path]],
    keep: Callable[[int, EngineResult], None],
    max_parallel: int,
) -> None:
    """Run in threads that wait for programs; start none after a failure, end all at an interrupt."""
    failed = threading.Event()

    def run_unless_failed(index: int) -> EngineResult | None:
        if failed.is_set():
            return None
        try:
            return _run(engine, *jobs[index])
        except BaseException:
            failed.set()
            raise

    errors: dict[int, BaseException] = {}
    with ThreadPoolExecutor(max_parallel, thread_name_prefix="calculation") as pool:
        futures: dict[Future[EngineResult | None], int] = {
            pool.submit(run_unless_failed, index): index for index in jobs
        }
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=futures.__getitem__):
                    error = future.exception()
                    result = None if error is not None else future.result()
                    if error is not None:
                        errors[futures[future]] = error
                    elif result is not None:
                        keep(futures[future], result)
        except BaseException:
            failed.set()
            engine.stop()
            raise
    if errors:
        raise _first_error(errors)


def _first_error(errors: dict[int, BaseException]) -> BaseException:
    """Return a bug if there is one, else the failure of the first structure, which counts the others."""
    for error in errors.values():
        if not isinstance(error, MlffError):
            return error
    first = errors[min(errors)]
    if len(errors) > 1 and isinstance(first, EngineError):
        return EngineError(
            f"{first.message}; {len(errors) - 1} more of the calculations failed", fix=first.fix
        )
    return first


def _run(engine: Engine, atoms: Atoms, directory: Path) -> EngineResult:
    """Calculate; a failure names its directory, an error of the file system becomes one of the family."""
    try:
        with located(directory):
            return calculate(engine, atoms, directory)
    except OSError as error:
        raise DataError(f"{error.filename or directory}: {error.strerror}", fix=fix_of(error)) from error


def _check_names(names: Sequence[str], n_structures: int) -> None:
    if len(names) != n_structures:
        raise ValueError(f"{n_structures} structures have {len(names)} names")
    if len(set(names)) != len(names):
        raise ValueError(f"names of calculations repeat: {sorted(names)}")
    for name in names:
        if not name or name.startswith(".") or "/" in name or name == SUPERSEDED_NAME:
            raise ValueError(f"{name!r} cannot be the name of a calculation")
