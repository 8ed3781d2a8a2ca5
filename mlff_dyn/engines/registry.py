"""The engines by the name they have in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.ase_calculator import AseEngine, ase_physics
from mlff_dyn.engines.base import identity_of
from mlff_dyn.engines.espresso import EspressoEngine, espresso_physics
from mlff_dyn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlff_dyn.engines.base import Engine

ENGINES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Engine]] = {
    "ase": AseEngine,
    "espresso": EspressoEngine,
}
"""Name to a callable of (parameters, profile)."""

PHYSICS: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "ase": ase_physics,
    "espresso": espresso_physics,
}
"""Name to a function that takes from the parameters what the results depend on."""


def configured_identity(kind: str, parameters: Mapping[str, Any]) -> str:
    """Return `engine_identity` of the engine of a configuration, which need not be able to run here."""
    return identity_of(kind, PHYSICS[kind](parameters))


def create_engine(kind: str, parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> Engine:
    """Create an engine from the ``engine`` section of the configuration.

    Parameters
    ----------
    kind : str
        A name in ``ENGINES``.
    parameters : mapping
        Physics: what is calculated.
    profile : mapping
        Machine: command, paths, environment.

    Raises
    ------
    ConfigError
        If the name is unknown, or a key is unknown, missing or of the wrong type.
    """
    if kind not in ENGINES:
        raise ConfigError(f"engine.kind: {kind!r} is unknown", fix=f"use one of {', '.join(sorted(ENGINES))}")
    return ENGINES[kind](parameters, profile)
