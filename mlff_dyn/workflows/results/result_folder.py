"""The folder of the results of a verb beside the model, with the answer in it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mlff_dyn.errors import DataError
from mlff_dyn.report.answer import read_report, write_report
from mlff_dyn.store.atomic import fix_of
from mlff_dyn.store.lock import RunLock
from mlff_dyn.workflows.results.result_report import ResultReport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Result = TypeVar("Result", bound=ResultReport)


@dataclass(frozen=True)
class ResultFolder(Generic[Result]):
    """Where a verb writes.

    Attributes
    ----------
    run_dir : Path
        In which the model is.
    kind : type of ResultReport
        Answer of the verb.
    """

    run_dir: Path
    kind: type[Result]

    @property
    def path(self) -> Path:
        """The folder."""
        return self.run_dir / self.kind.verb

    @property
    def answer(self) -> Path:
        """The JSON file of the answer."""
        return self.path / self.kind.answer_name()

    def answered(self, inputs: str, calculate: Callable[[], Result], *, force: bool) -> Result:
        """Return the answer that is there if nothing has changed since, else calculate it.

        Parameters
        ----------
        inputs : str
            Digest of all that it depends on.
        calculate : callable
        force : bool
            Calculate it in any case.

        Raises
        ------
        DataError
            If a file cannot be written.
        """
        with RunLock(self.run_dir):
            try:
                return (None if force else self.stored(inputs)) or calculate()
            except OSError as error:
                raise DataError(
                    f"cannot write {self.path}: {error.strerror or error}", fix=fix_of(error)
                ) from error

    def write(self, report: Result, inputs: str) -> None:
        """Write the answer, after all other files."""
        write_report(self.answer, report, inputs=inputs)

    def stored(self, inputs: str | None = None) -> Result | None:
        """Read the answer; None where there is none, or it is damaged.

        Parameters
        ----------
        inputs : str, optional
            Digest of what it has to be of, and then all its files have to be there; default: any.
        """
        content = read_report(self.answer, self.kind)
        if inputs is not None and content.get("inputs") != inputs:
            return None
        known = [each for each in fields(self.kind) if each.name != "up_to_date"]
        listed = {each.name for each in known if str(each.type).startswith("tuple")}
        try:
            values: dict[str, Any] = {each.name: content[each.name] for each in known}
            values |= {name: tuple(values[name]) for name in listed}
            report = self.kind(**values, up_to_date=True)
        except (KeyError, TypeError):
            return None
        is_whole = inputs is None or all((self.path / name).exists() for name in report.files)
        return report if is_whole else None
