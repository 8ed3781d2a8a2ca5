"""The engines by the name they have in the configuration; each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from mlff_dyn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlff_dyn.engines.base import Engine

ENGINES: dict[str, tuple[str, str]] = {
    "ase": ("mlff_dyn.engines.ase.engine", "AseEngine"),
    "cp2k": ("mlff_dyn.engines.cp2k.engine", "Cp2kEngine"),
    "espresso": ("mlff_dyn.engines.espresso.engine", "EspressoEngine"),
    "vasp": ("mlff_dyn.engines.vasp.engine", "VaspEngine"),
}
"""Name to the module and the name of the class."""


class EngineClass(Protocol):
    """What makes an engine from the ``engine`` section of the configuration."""

    def __call__(self, parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> Engine:
        """Create an engine; see `create_engine`."""

    def physics(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take from the parameters what the results depend on; nothing is checked."""


def engine_class(kind: str) -> EngineClass:
    """Import the engine of a name.

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    if kind not in ENGINES:
        raise ConfigError(f"engine.kind: {kind!r} is unknown", fix=f"use one of {', '.join(sorted(ENGINES))}")
    module, name = ENGINES[kind]
    return cast("EngineClass", getattr(import_module(module), name))


def configured_identity(kind: str, parameters: Mapping[str, Any]) -> str:
    """Return `engine_identity` of the engine of a configuration, which need not be able to run here."""
    from mlff_dyn.engines.base import identity_of

    return identity_of(kind, engine_class(kind).physics(parameters))


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
    return engine_class(kind)(parameters, profile)
