"""Values of the engine sections that several engines read in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlff_dyn.errors import ConfigError


def checked_mapping(section: Mapping[str, Any], where: str, key: str) -> Mapping[str, Any]:
    """Return names and values; empty where the key is missing."""
    value = section.get(key) or {}
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{where}.{key}: names and values expected, got {value!r}", fix="write it as {name: value}"
        )
    return value


def checked_texts(section: Mapping[str, Any], where: str, key: str) -> dict[str, str]:
    """Return names and texts, such as variables of the environment."""
    return {str(name): str(value) for name, value in checked_mapping(section, where, key).items()}


def checked_timeout_seconds(profile: Mapping[str, Any]) -> float | None:
    """Return ``timeout_minutes`` in seconds; None where there is no limit."""
    minutes = profile.get("timeout_minutes")
    if minutes is None:
        return None
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or minutes <= 0:
        raise ConfigError(
            f"engine.profile.timeout_minutes: a positive number expected, got {minutes!r}",
            fix="give minutes, or remove the key for no limit",
        )
    return 60.0 * float(minutes)
