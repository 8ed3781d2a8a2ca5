"""Ways to run calculations by the name they have in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.execution.local import label

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlff_dyn.engines.base import EngineResult

EXECUTIONS: dict[str, Callable[..., list[EngineResult]]] = {"local": label}
"""Name to a function with the arguments of `mlff_dyn.execution.local.label`."""
