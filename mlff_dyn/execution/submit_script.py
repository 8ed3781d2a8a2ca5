"""``submit.sh``: runs calculations that wait, one after the other or as tasks of a job array."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.base import RunsProgram
from mlff_dyn.engines.command import PROCESS_LOCK
from mlff_dyn.errors import ConfigError, reason_of
from mlff_dyn.execution.attempts import PROGRAM_ENDED_NAME
from mlff_dyn.store.atomic import atomic_write_text
from mlff_dyn.store.json_file import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlff_dyn.engines.base import Engine

SCRIPT_NAME = "submit.sh"
SCRIPT_LOCK = "submit.lock"
RECIPE_NAME = "engine.json"
RECIPE_FORMAT = "mlff-dyn engine"
VERSION = 1
N_WAITING = "{n}"
"""In the user's head of the script: the number of calculations, as in ``#SBATCH --array=1-{n}``."""

_HEAD = "#!/bin/bash\n"
_BODY = """
# Written by mlff-dyn, and anew each time that calculations wait.
# bash {script}       runs all of them, one after the other
# bash {script} 2     runs the second one, as a task of a job array does by its number
names=({names})
[ -d {folder} ] && cd {folder} || cd "$(dirname "$0")" || exit 1

run() (
  cd "$1" || exit 1
  [ -e {ended} ] && exit 0
  exec 9>> {lock}
  flock -n 9
  [ $? = 1 ] && exit 0
  {command}
  echo $? > {ended}
)

task=${{1:-${{SLURM_ARRAY_TASK_ID:-${{PBS_ARRAY_INDEX:-${{LSB_JOBINDEX:-${{SGE_TASK_ID:-}}}}}}}}}}
case $task in
  "" | 0 | undefined) for name in "${{names[@]}}"; do run "$name"; done ;;
  *) [ "$task" -gt "${{#names[@]}}" ] || run "${{names[$((task - 1))]}}" ;;
esac
"""


def read_head(head: Path | None) -> str:
    """Return what the script begins with.

    Raises
    ------
    ConfigError
        If the file cannot be read.
    """
    try:
        return _HEAD if head is None else head.read_text(encoding="utf-8").rstrip() + "\n"
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"execution.submit_script: cannot read {head}: {reason_of(error)}",
            fix="give a shell script with the lines of your scheduler, or remove the key",
        ) from error


def write_submit_script(
    engine: Engine,
    recipe: Mapping[str, Any],
    calculations_dir: Path,
    names: Sequence[str],
    *,
    head: Path | None = None,
) -> Path:
    """Write the script that runs calculations whose inputs are written.

    Parameters
    ----------
    engine : Engine
    recipe : mapping
        Arguments of `mlff_dyn.engines.registry.create_engine`.
    calculations_dir : Path
    names : sequence of str
    head : Path or None
        File with which the script begins: lines of the scheduler, modules.

    Raises
    ------
    ConfigError
        If the head cannot be read.
    """
    begin = read_head(head)
    write_json(calculations_dir / RECIPE_NAME, dict(recipe), format_name=RECIPE_FORMAT, version=VERSION)
    lock, command = _command(engine)
    body = _BODY.format(
        script=SCRIPT_NAME,
        names=" ".join(shlex.quote(name) for name in names),
        folder=shlex.quote(str(calculations_dir.absolute())),
        ended=PROGRAM_ENDED_NAME,
        lock=lock,
        command=command,
    )
    path = calculations_dir / SCRIPT_NAME
    atomic_write_text(path, begin.replace(N_WAITING, str(len(names))) + body)
    path.chmod(0o755)
    return path


def _command(engine: Engine) -> tuple[str, str]:
    """Lock and line that runs the engine: its program, or this package, which has a lock of its own."""
    if isinstance(engine, RunsProgram):
        return PROCESS_LOCK, engine.command_line()
    module = f"{shlex.quote(sys.executable)} -m mlff_dyn.execution.run_directory"
    return SCRIPT_LOCK, f"{module} ../{RECIPE_NAME} . > run.log 2>&1"
