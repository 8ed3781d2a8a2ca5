"""Ways to run calculations by the name they have in the configuration, each imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlff_dyn.engines.base import Engine
    from mlff_dyn.execution.base import Execution, ExecutionClass

EXECUTIONS: dict[str, tuple[str, str]] = {
    "local": ("mlff_dyn.execution.local", "LocalExecution"),
    "parsl": ("mlff_dyn.execution.parsl_blocks", "ParslExecution"),
    "external": ("mlff_dyn.execution.external", "ExternalExecution"),
}
"""Name to the module and the name of the class."""


def create_execution(
    kind: str,
    engine: Engine,
    recipe: Mapping[str, Any],
    calculations_dir: Path,
    settings: Mapping[str, Any],
) -> Execution:
    """Create an execution from the ``execution`` section of the configuration.

    Parameters
    ----------
    kind : str
        A name in ``EXECUTIONS``.
    engine, recipe, calculations_dir, settings
        See `mlff_dyn.execution.base.ExecutionClass`.

    Raises
    ------
    ConfigError, EngineError
        If what it needs is not here.
    """
    module, name = EXECUTIONS[kind]
    created = cast("ExecutionClass", getattr(import_module(module), name))
    return created.configured(engine, recipe, calculations_dir, settings)
