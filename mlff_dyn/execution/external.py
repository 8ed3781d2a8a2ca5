"""Calculations that somebody else runs: inputs are written, outputs are collected by the same command later.

``calculations/submit.sh`` runs all that wait, for those who submit by hand.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import DataError, EngineError, Waiting, located
from mlff_dyn.execution.attempts import FAILURE_NAME, PROGRAM_ENDED_NAME, has_started, read_mark, retry
from mlff_dyn.execution.base import OnFinished, check_names
from mlff_dyn.execution.calculation import finish, is_ready, made_ready, read_finished
from mlff_dyn.execution.local import first_error
from mlff_dyn.execution.submit_script import read_head, write_submit_script
from mlff_dyn.store.atomic import fix_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from ase import Atoms
    from typing_extensions import Self

    from mlff_dyn.engines.base import Engine, EngineResult

_NAMED = 3  # unfinished calculations in a message

_logger = logging.getLogger(__name__)


class ExternalExecution:
    """Execution of kind ``external``.

    Parameters
    ----------
    engine : Engine
    recipe : mapping
        See `mlff_dyn.execution.base.ExecutionClass`.
    calculations_dir : Path
    max_retries : int
        Further attempts at a calculation whose program has ended without a result.
    submit_script : Path or None
        How ``submit.sh`` begins, see `mlff_dyn.execution.submit_script`.
    """

    def __init__(
        self,
        engine: Engine,
        recipe: Mapping[str, Any],
        calculations_dir: Path,
        *,
        max_retries: int = 0,
        submit_script: Path | None = None,
    ) -> None:
        self._engine = engine
        self._recipe = recipe
        self._folder = Path(calculations_dir)
        self._max_retries = max_retries
        self._head = submit_script
        self._results: dict[str, EngineResult] = {}
        self._pending: dict[str, Atoms] = {}
        self._failed: dict[str, EngineError] = {}

    @classmethod
    def configured(
        cls,
        engine: Engine,
        recipe: Mapping[str, Any],
        calculations_dir: Path,
        settings: Mapping[str, Any],
    ) -> ExternalExecution:
        """Create one from the section ``execution``; see `mlff_dyn.execution.base.ExecutionClass`."""
        read_head(settings["submit_script"])
        return cls(
            engine,
            recipe,
            calculations_dir,
            max_retries=settings["max_retries"],
            submit_script=settings["submit_script"],
        )

    def submit(self, names: Sequence[str], atoms_list: Sequence[Atoms]) -> None:
        """Write the inputs of calculations that are not there yet."""
        check_names(names, len(atoms_list))
        for name, atoms in zip(names, atoms_list, strict=True):
            directory = self._folder / name
            found = read_finished(self._engine, atoms, directory)
            if found is None:
                self._make_ready(directory, atoms)
                self._pending[name] = atoms
            else:
                self._results[name] = found

    def results(self, names: Sequence[str], on_finished: OnFinished | None = None) -> list[EngineResult]:
        """Collect all that is complete; see `mlff_dyn.execution.base.Execution`."""
        reasons: dict[str, str] = {}
        for name in list(self._pending):
            directory = self._folder / name
            try:
                with located(directory):
                    result = self._engine.read_result(directory)
                    self._results[name] = finish(directory, result, self._pending[name])
            except EngineError as error:
                reasons[name] = self._why_not(name, error)
                continue
            del self._pending[name]
            if on_finished is not None:
                on_finished(name, self._results[name])
        if self._failed:
            raise first_error(self._failed)
        if any(name not in self._results for name in names):
            raise self._waiting(reasons)
        return [self._results[name] for name in names]

    def _make_ready(self, directory: Path, atoms: Atoms) -> None:
        """Leave a directory that holds this input alone, whatever lies in it: somebody may work there."""
        if is_ready(self._engine, atoms, directory):
            return
        try:
            with located(directory):
                made_ready(self._engine, atoms, directory)
        except OSError as error:
            raise DataError(f"{error.filename or directory}: {error.strerror}", fix=fix_of(error)) from error

    def _why_not(self, name: str, error: EngineError) -> str:
        """Say why a calculation has no result; one whose program has ended is made ready once more."""
        directory = self._folder / name
        if not has_started(directory, read_mark(directory)):
            return ""
        if not (directory / PROGRAM_ENDED_NAME).exists():
            return f"not complete: {error.message}"
        if (directory / FAILURE_NAME).exists() or not retry(
            self._engine, directory, error, self._max_retries
        ):
            status = (directory / PROGRAM_ENDED_NAME).read_text(encoding="utf-8").strip()
            self._failed[name] = EngineError(
                f"{error.message} (exit status {status})", fix=f"{error.fix}; or remove {directory}"
            )
        return ""

    def _waiting(self, reasons: Mapping[str, str]) -> Waiting:
        script = write_submit_script(
            self._engine, self._recipe, self._folder, tuple(reasons), head=self._head
        )
        unfinished = [reason for reason in reasons.values() if reason]
        for reason in unfinished[_NAMED:]:
            _logger.warning("%s", reason)
        n_ready = len(reasons) - len(unfinished)
        told = "; ".join(["", *unfinished[:_NAMED]])
        what = "calculation" if len(reasons) == 1 else "calculations"
        return Waiting(
            f"{len(reasons)} {what} in {self._folder} ({', '.join(reasons)}), not started: {n_ready}{told}",
            fix=f"run what has not started ({script} does) and give the same command again",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: what runs elsewhere runs on."""
