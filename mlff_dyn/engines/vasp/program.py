"""Which VASP runs, and how: the command of the profile, or the build that the calculation needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.engines.program import locate_programs, split_command
from mlff_dyn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACE = "{program}"
_WHERE = "engine.profile.command"
_VASP = re.compile(r"vasp(_\w+|\d[\w.]*)?")


def build_for(*, is_gamma: bool, has_spin_orbit: bool) -> str:
    """Name of the build: `vasp_gam` for the Gamma point alone, `vasp_ncl` with spin-orbit coupling."""
    if has_spin_orbit:
        return "vasp_ncl"
    return "vasp_gam" if is_gamma else "vasp_std"


def command_words(given: object, build: str) -> list[str]:
    """Return the command with its arguments, the build in the place of ``{program}``.

    Parameters
    ----------
    given : object
        ``engine.profile.command``; None for the build alone.
    build : str

    Raises
    ------
    ConfigError
        If it is no command, or names a build that cannot calculate this.
    """
    if given is None:
        return [build]
    words = split_command(given, fix=f"for example mpirun -np 16 {PLACE}")
    words = [_from_here(word.replace(PLACE, build)) for word in words]
    builds = [name for name in ("vasp_gam", "vasp_ncl", "vasp_std") for word in words if word.endswith(name)]
    if builds and builds[0] != build and not (builds[0] == "vasp_std" and build == "vasp_gam"):
        raise ConfigError(f"{_WHERE}: {builds[0]} cannot calculate this", fix=f"use {build} or {PLACE} there")
    return words


def _from_here(word: str) -> str:
    """Path of a file that is named from where the command is given, as it is in another folder."""
    return str(Path(word).absolute()) if "/" in word and Path(word).is_file() else word


def find_programs(words: list[str], environment: Mapping[str, str]) -> list[str]:
    """Paths of the launcher and of the VASP that it is to start.

    Raises
    ------
    EngineError
        If one is not there.
    """
    others = (word for word in words[1:] if _VASP.fullmatch(word.rpartition("/")[2]))
    fix = f"load the module of VASP, or give the full path; {PLACE} is vasp_std or vasp_gam"
    return locate_programs([words[0], *others], environment, fix=fix)
