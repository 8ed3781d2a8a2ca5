"""Read a configuration: defaults < YAML file < ``--set`` overrides; every error says which key and line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mlff_dyn.config.problems import describe_problems
from mlff_dyn.config.schema import Config
from mlff_dyn.config.yaml_source import format_yaml, parse_yaml
from mlff_dyn.errors import ConfigError
from mlff_dyn.store.atomic import reading_fix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlff_dyn.config.yaml_source import Lines

_PATHS = (
    ("run_dir",),
    ("structure", "file"),
    ("expansion", "born_file"),
    *(("engine", "profile", name) for name in ("pseudo_dir", "data_dir")),
    *(("training", "prior", "engine", "profile", name) for name in ("pseudo_dir", "data_dir")),
    *(("training", "prior", name) for name in ("model", "phonopy", "phono3py")),
    ("training", "exploration", "file"),
)


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read and validate a configuration file.

    Parameters
    ----------
    path : Path
        YAML file; the paths in it are relative to its folder.
    overrides : sequence of str
        ``key.path=value`` each, the value in YAML; later ones win.

    Returns
    -------
    Config
        Complete with defaults, paths absolute.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not YAML, or has unknown keys or impossible values; all are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        fix = "mlff-dyn init STRUCTURE writes one" if is_missing else reading_fix(error)
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}", fix=fix) from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"cannot read the configuration {path}: it is not UTF-8 text",
            fix="save it as UTF-8, for example with iconv -f LATIN1 -t UTF-8",
        ) from None
    return parse_config(text, source=str(path), folder=path.parent, overrides=overrides)


def parse_config(text: str, *, source: str, folder: Path, overrides: Sequence[str] = ()) -> Config:
    """Validate the text of a configuration.

    Parameters
    ----------
    text : str
        YAML.
    source : str
        Name of the text, for messages.
    folder : Path
        What relative paths are relative to.
    overrides : sequence of str
        ``key.path=value`` each.

    Raises
    ------
    ConfigError
        As `load_config`.
    """
    values, lines = parse_yaml(text, source)
    if not isinstance(values, dict):
        raise ConfigError(
            f"{source} is not a configuration: it should be a YAML mapping with structure and expansion",
            fix="mlff-dyn init STRUCTURE writes one",
        )
    for override in overrides:
        _apply_override(values, lines, override)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            "\n".join(describe_problems(error, lines, source)),
            fix="change these keys; the file that mlff-dyn init writes explains them all",
        ) from None
    complete = config.model_dump()
    change_paths(complete, lambda path: (folder / path.expanduser()).absolute())
    return Config.model_validate(complete)


def change_paths(values: dict[str, Any], change: Callable[[Path], Path]) -> None:
    """Put something else in the place of every path in the values of a configuration that is given."""
    for *sections, name in _PATHS:
        section: dict[str, Any] = values
        for key in sections:
            section = section.get(key) or {}
        if isinstance(section.get(name), str | Path):
            section[name] = str(change(Path(section[name])))


def resolved_yaml(config: Config) -> str:
    """Write a configuration with every default filled in; reading it back gives the same configuration."""
    return format_yaml(config.model_dump(), flow=None, width=110)


def _apply_override(values: dict[Any, Any], lines: Lines, override: str) -> None:
    """Set one value in place; its line becomes 0, which no file has."""
    key_path, separator, text = override.partition("=")
    keys = [_parse_key(key.strip()) for key in key_path.split(".")]
    if not separator or "" in keys:
        raise ConfigError(
            f"--set {override}: expected key.path=value, like --set md.n_steps=1000",
            fix="write the dotted key, =, and the value, without blanks",
        )
    target = values
    for depth, key in enumerate(keys[:-1]):
        if target.get(key) is None:
            target[key] = {}
        target = target[key]
        if not isinstance(target, dict):
            name = ".".join(str(part) for part in keys[: depth + 1])
            raise ConfigError(
                f"--set {override}: {name} is a single value or a list", fix=f"set {name} as a whole"
            )
    target[keys[-1]], _ = parse_yaml(text, f"--set {key_path}")
    for path in [path for path in lines if path[: len(keys)] == tuple(keys)]:
        del lines[path]
    lines[tuple(keys)] = 0


def _parse_key(key: str) -> str | int:
    return int(key) if key.isdecimal() else key
