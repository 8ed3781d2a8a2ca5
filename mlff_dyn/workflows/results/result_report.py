"""What answers of results have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mlff_dyn.report.answer import Report

_COMMON = ("warnings", "files", "directory")


@dataclass(frozen=True)
class ResultReport(Report):
    """Results of a model, and the files in which they are.

    Attributes
    ----------
    n_atoms : int            of the supercell
    warnings : tuple of str
    files : tuple of str     in the directory of the answer
    directory : str
    """

    n_atoms: int
    warnings: tuple[str, ...] = field(default=(), kw_only=True)
    files: tuple[str, ...] = field(default=(), kw_only=True)
    directory: str = field(default="", kw_only=True)

    @property
    def answers(self) -> tuple[Path, ...]:
        """The file of the answer."""
        return (Path(self.directory, self.answer_name()),)

    @classmethod
    def answer_name(cls) -> str:
        """Name of the file of the answer."""
        return f"{cls.verb}.json"

    def values(self) -> dict[str, object]:
        """Return the JSON values, those that all results have last."""
        values = super().values()
        return {**values, **{name: values.pop(name) for name in _COMMON}}

    def table(self) -> list[tuple[str, str]]:
        """Return all rows for people."""
        warnings = [("warning", line) for line in self.warnings]
        return [*super().table(), *warnings, ("files", self.directory)]
