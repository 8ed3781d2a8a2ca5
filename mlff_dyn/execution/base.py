"""What a way to run calculations is: structures go in under a name, results come out under that name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mlff_dyn.engines.base import Engine, EngineResult
from mlff_dyn.execution.attempts import FAILED_NAME
from mlff_dyn.execution.calculation import SUPERSEDED_NAME

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from ase import Atoms
    from typing_extensions import Self

OnFinished = Callable[[str, EngineResult], None]


class Execution(Protocol):
    """Runs calculations, each in a directory of its name; see `mlff_dyn.execution.calculation`.

    It is a context manager: where an error leaves the block, nothing further is started, and what is running
    ends and keeps its result; where anything else does, such as an interrupt, all is stopped.
    """

    def submit(self, names: Sequence[str], atoms_list: Sequence[Atoms]) -> None:
        """Start calculations, or put them into the queue; those that are finished are read, not run.

        Raises
        ------
        DataError
            If a finished result is damaged, or a directory cannot be written.
        """

    def results(self, names: Sequence[str], on_finished: OnFinished | None = None) -> list[EngineResult]:
        """Wait for calculations and return their results in the order of the names.

        Parameters
        ----------
        names : sequence of str
            That were submitted.
        on_finished : callable, optional
            Called in this thread with name and result after each calculation that was run now.

        Raises
        ------
        EngineError
            If a calculation fails; with its directory and reason. Others that run end first.
        Waiting
            If they run elsewhere and are not done.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class ExecutionClass(Protocol):
    """What makes an execution from the ``execution`` section of the configuration."""

    def configured(
        self, engine: Engine, recipe: Mapping[str, Any], calculations_dir: Path, settings: Mapping[str, Any]
    ) -> Execution:
        """Create an execution.

        Parameters
        ----------
        engine : Engine
        recipe : mapping
            Arguments of `mlff_dyn.engines.registry.create_engine` that make the same engine elsewhere.
        calculations_dir : Path
            Made when it is missing.
        settings : mapping
            The section, by key.
        """


def check_names(names: Sequence[str], n_structures: int) -> None:
    """Refuse names that cannot be those of as many calculations."""
    if len(names) != n_structures:
        raise ValueError(f"{n_structures} structures have {len(names)} names")
    if len(set(names)) != len(names):
        raise ValueError(f"names of calculations repeat: {sorted(names)}")
    for name in names:
        if not name or name.startswith(".") or "/" in name or name in (SUPERSEDED_NAME, FAILED_NAME):
            raise ValueError(f"{name!r} cannot be the name of a calculation")
