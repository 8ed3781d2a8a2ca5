"""Calculations in blocks of a batch system, through Parsl's high-throughput executor.

A block is a job of the batch system in which calculations run one after the other, ``workers_per_block`` at
a time; what is parallel inside a calculation is the matter of the engine's command. Numbers of blocks are
written to ``calculations/blocks.json`` as they are submitted, so that the next command can end what a killed
one left.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import ConfigError, DataError, EngineError, MlffError, reason_of
from mlff_dyn.execution.base import OnFinished, check_names
from mlff_dyn.execution.block_worker import NOT_STARTED, calculate_in_block
from mlff_dyn.execution.calculation import read_finished
from mlff_dyn.execution.local import first_error
from mlff_dyn.execution.schedulers import cancel_jobs, check_blocks, jobs_named
from mlff_dyn.store.json_file import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from ase import Atoms
    from typing_extensions import Self

    from mlff_dyn.engines.base import Engine, EngineResult

RECORD_NAME = "blocks.json"
RECORD_FORMAT = "mlff-dyn blocks"
VERSION = 1
LOST_CALCULATIONS = 3
"""Times that a calculation is started again after its block has ended under it."""
EMPTY_BLOCKS = 4
"""Blocks without a result, one after the other and for each at a time, at which the command gives up."""

_ERRORS: dict[str, type[MlffError]] = {error.__name__: error for error in (ConfigError, DataError)}
_BLOCK_ENDED = ("ManagerLost", "WorkerLost")
_LOOK_SECONDS = 1.0
_logger = logging.getLogger(__name__)


class ParslExecution:
    """Execution of kind ``parsl``.

    Parameters
    ----------
    engine : Engine
    recipe : mapping
        See `mlff_dyn.execution.base.ExecutionClass`.
    calculations_dir : Path
    settings : mapping
        Section ``execution``.

    Raises
    ------
    ConfigError
        If Parsl or the batch system is not here, or does not take such blocks.
    """

    def __init__(
        self, engine: Engine, recipe: Mapping[str, Any], calculations_dir: Path, settings: Mapping[str, Any]
    ) -> None:
        self._engine = engine
        self._recipe = recipe
        self._folder = Path(calculations_dir)
        self._settings = settings
        self._results: dict[str, EngineResult] = {}
        self._futures: dict[Future[Any], str] = {}
        self._atoms: dict[str, Atoms] = {}
        self._blocks: _Blocks | None = None
        check_blocks(settings, recipe)

    @classmethod
    def configured(
        cls,
        engine: Engine,
        recipe: Mapping[str, Any],
        calculations_dir: Path,
        settings: Mapping[str, Any],
    ) -> ParslExecution:
        """Create one from the section ``execution``; see `mlff_dyn.execution.base.ExecutionClass`."""
        return cls(engine, recipe, calculations_dir, settings)

    def submit(self, names: Sequence[str], atoms_list: Sequence[Atoms]) -> None:
        """Put calculations into the queue; those that are finished are read, not run."""
        check_names(names, len(atoms_list))
        if self._blocks is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._blocks = _Blocks(self._folder, self._settings)
        for name, atoms in zip(names, atoms_list, strict=True):
            found = read_finished(self._engine, atoms, self._folder / name)
            if found is not None:
                self._results[name] = found
                continue
            self._atoms[name] = atoms
            directory = self._folder.absolute() / name
            retries = self._settings["max_retries"]
            future = self._blocks.submit(dict(self._recipe), directory, atoms, retries)
            self._futures[future] = name

    def results(self, names: Sequence[str], on_finished: OnFinished | None = None) -> list[EngineResult]:
        """Wait for calculations; see `mlff_dyn.execution.base.Execution`."""
        failures: dict[str, BaseException] = {}
        while self._futures and (failures or not all(name in self._results for name in names)):
            done, _ = wait(self._futures, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            if not done and self._blocks is not None:
                self._blocks.check()
            for future in sorted(done, key=self._futures.__getitem__):
                name = self._futures.pop(future)
                try:
                    found = self._result(name, future)
                except MlffError as error:
                    failures[name] = error
                    self._stop_starting()
                    continue
                if found is not None:
                    self._results[name] = found
                    if on_finished is not None:
                        on_finished(name, found)
        if failures:
            raise first_error(failures)
        return [self._results[name] for name in names]

    def _result(self, name: str, future: Future[Any]) -> EngineResult | None:
        """Read the result of a calculation that has ended; None where it was not started any more."""
        directory = self._folder / name
        lost = future.exception()
        failure = None if lost is not None else future.result()
        found = read_finished(self._engine, self._atoms[name], directory)
        if found is not None:
            if self._blocks is not None:
                self._blocks.note_result()
            return found
        if lost is not None:
            raise self._lost(directory, lost)
        gone = DataError.__name__, f"{directory}: the result is gone", "run the same command again"
        kind, message, fix = failure or gone
        if kind == NOT_STARTED:
            return None
        raise _ERRORS.get(kind, EngineError)(message, fix=fix)

    def _lost(self, directory: Path, error: BaseException) -> EngineError:
        """What to say of a calculation that gave no answer."""
        logs = self._folder.parent / LOG_FOLDER
        if type(error).__name__ in _BLOCK_ENDED:
            return EngineError(
                f"{directory}: its block ended under it {LOST_CALCULATIONS + 1} times ({error})",
                fix=f"set execution.walltime longer than a calculation takes, and look into {logs}",
            )
        return EngineError(
            f"{directory}: cannot be calculated in a block: {reason_of(error)}",
            fix="let execution.worker_init give blocks the same mlff-dyn, and keep the run directory where "
            f"blocks see it; {logs} has more",
        )

    def _stop_starting(self) -> None:
        if self._blocks is not None:
            self._blocks.stop_file.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._blocks is None:
            return
        try:
            if isinstance(error, MlffError) and not isinstance(error, _BlocksFail):
                self._stop_starting()
                wait(self._futures)
        finally:
            self._blocks.close()


class _BlocksFail(EngineError):  # noqa: N818
    """No block gives a result: there is nothing to wait for."""


LOG_FOLDER = "parsl"


class _Blocks:
    """The running Parsl and the record of its blocks."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._record_path = folder / RECORD_NAME
        self._settings = settings
        self._logs = folder.absolute().parent / LOG_FOLDER
        self._label = f"mlff-dyn-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:8]}"
        self.stop_file = folder.absolute() / ".stop"
        self._end_leftovers()
        self.stop_file.unlink(missing_ok=True)
        self._jobs: list[str] = []
        self._n_without_result = 0
        self._kernel, self._app = self._start()

    def submit(self, recipe: dict[str, Any], directory: Path, atoms: Atoms, max_retries: int) -> Future[Any]:
        """Queue one calculation."""
        future: Future[Any] = self._app(
            recipe,
            directory,
            atoms,
            max_retries=max_retries,
            working_directory=str(Path.cwd()),
            stop_file=str(self.stop_file),
        )
        return future

    def note_result(self) -> None:
        """Take note that blocks give results."""
        self._n_without_result = 0

    def check(self) -> None:
        """Refuse to submit blocks for ever that end at once.

        Raises
        ------
        EngineError
            With the last words of such a block.
        """
        if self._n_without_result > EMPTY_BLOCKS * self._settings["max_blocks"]:
            raise _BlocksFail(
                f"{self._n_without_result - 1} blocks ended without a result{self._last_words()}",
                fix=f"look into {self._logs}, and let execution.worker_init make mlff-dyn and the engine run",
            )

    def close(self) -> None:
        """End all blocks."""
        self._kernel.cleanup()
        self.stop_file.unlink(missing_ok=True)
        self._record_path.unlink(missing_ok=True)

    def _start(self) -> tuple[Any, Any]:
        """Start Parsl; it is imported here, since it is large and not needed otherwise."""
        import parsl
        from parsl.config import Config

        from mlff_dyn.execution.parsl_provider import create_executor

        logging.getLogger("parsl").addHandler(logging.NullHandler())  # it would write to the terminal
        executor = create_executor(self._settings, self._label)
        self._record_submissions(executor.provider)
        kernel = parsl.DataFlowKernel(
            Config(
                executors=[executor],
                run_dir=str(self._logs),
                retries=LOST_CALCULATIONS,
                strategy="simple",
                strategy_period=1,
                usage_tracking=0,
                initialize_logging=False,
            )
        )
        return kernel, parsl.python_app(calculate_in_block, data_flow_kernel=kernel)

    def _record_submissions(self, provider: Any) -> None:  # noqa: ANN401 (Parsl has no types)
        """Write down every block as soon as it has a number."""
        submit = provider.submit

        def recorded(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            job = submit(*arguments, **named)
            self._n_without_result += 1
            if job is not None:
                self._jobs.append(str(job))
                self._write_record()
            return job

        provider.submit = recorded
        self._write_record()

    def _write_record(self) -> None:
        content = {"provider": self._settings["provider"], "jobs": self._jobs, "label": self._label}
        write_json(self._record_path, content, format_name=RECORD_FORMAT, version=VERSION)

    def _end_leftovers(self) -> None:
        """End the blocks of a command that was killed."""
        if self._record_path.exists():
            record = read_json(self._record_path, format_name=RECORD_FORMAT, version=VERSION)
            provider = record["provider"]
            jobs = [*record["jobs"], *jobs_named(provider, f"parsl.{record['label']}")]
            ended = cancel_jobs(provider, list(dict.fromkeys(jobs)), folder=self._logs)
            if ended:
                _logger.warning("ended blocks that an earlier command has left: %s", ", ".join(ended))
            self._record_path.unlink()
        if self._logs.exists():
            shutil.rmtree(self._logs)

    def _last_words(self) -> str:
        """Last line that a block wrote to its standard error."""
        written = sorted(self._logs.glob("*/submit_scripts/*err"), key=os.path.getmtime)
        for path in reversed(written):
            lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
            if lines:
                return f": {lines[-1]}"
        return f" ({sys.executable})" if not written else ""
