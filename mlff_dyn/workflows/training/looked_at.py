"""What a training has looked through and found right, so that a rerun need not read it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.base import engine_identity
from mlff_dyn.store.json_file import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from mlff_dyn.engines.base import Engine
    from mlff_dyn.workflows.given_labels import GivenLabels


@dataclass(frozen=True)
class LookedAt:
    """Files and settings of a call of `train` whose checks passed.

    Attributes
    ----------
    given : str      digest of the labels that were given and of how they were read; empty without any
    engine : str     `engine_identity`, by which labels are compared; empty without one
    force : bool     whether labels of other engines were let in
    """

    given: str
    engine: str
    force: bool

    @classmethod
    def of(cls, given: GivenLabels | None, engine: Engine | None, *, force: bool) -> Self:
        """Describe a call.

        Raises
        ------
        DataError
            If a file cannot be read.
        """
        told = "" if given is None else digest(given.describe())
        return cls(told, "" if engine is None else engine_identity(engine), force)

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
