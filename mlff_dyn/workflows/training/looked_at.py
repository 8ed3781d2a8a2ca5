"""What a training has looked through and found right, so that a rerun need not read it again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.base import engine_identity
from mlff_dyn.errors import DataError
from mlff_dyn.store.atomic import reading_fix
from mlff_dyn.workflows.setup.workspace import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Self

    from mlff_dyn.engines.base import Engine


@dataclass(frozen=True)
class LookedAt:
    """Files and settings of a call of `train` whose checks passed.

    Attributes
    ----------
    given : str      digest of the data set that was given and of its columns; empty without one
    engine : str     `engine_identity`, by which labels are compared; empty without one
    force : bool     whether labels of other engines were let in
    """

    given: str
    engine: str
    force: bool

    @classmethod
    def of(
        cls, dataset: Path | None, columns: Mapping[str, str] | None, engine: Engine | None, *, force: bool
    ) -> Self:
        """Describe a call.

        Raises
        ------
        DataError
            If the data set cannot be read.
        """
        given = "" if dataset is None else digest([file_digest(dataset), dict(columns or {})])
        return cls(given, "" if engine is None else engine_identity(engine), force)

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Self | None:
        """Read what an answer says; None where it does not."""
        try:
            return cls(**answer["looked_at"])
        except (KeyError, TypeError):
            return None

    def covers(self, now: LookedAt) -> bool:
        """Whether the checks of another call are among those that passed."""
        is_given = now.given in ("", self.given)
        return is_given and self.engine == now.engine and (now.force or not self.force)


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes of a file.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from error
