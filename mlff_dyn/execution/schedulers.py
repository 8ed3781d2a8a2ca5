"""Batch systems: what they are asked before anything is submitted, and how blocks of a killed command end."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOCAL, SLURM = "local", "slurm"
_ANSWER_SECONDS = 60.0
_END_SECONDS = 120.0
_POLL_SECONDS = 0.5
_NOISE = re.compile("^(sbatch|allocation failure|error|: )*")
_WALLTIME = re.compile(r"(\d+):([0-5]\d):([0-5]\d)")


@dataclass(frozen=True)
class Scheduler:
    """Commands of a batch system; each takes numbers of jobs.

    Attributes
    ----------
    submit : str
    cancel : str
    list_jobs : tuple of str
        Fails, or prints nothing, for jobs that have ended.
    """

    submit: str
    cancel: str
    list_jobs: tuple[str, ...]


SCHEDULERS: Mapping[str, Scheduler] = {
    SLURM: Scheduler("sbatch", "scancel", ("squeue", "--noheader", "--jobs")),
    "pbs": Scheduler("qsub", "qdel", ("qstat",)),
    "lsf": Scheduler("bsub", "bkill", ("bjobs", "-noheader")),
    "sge": Scheduler("qsub", "qdel", ("qstat", "-j")),
}
"""Providers of `execution.provider` besides ``local``."""


def check_blocks(settings: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    """Refuse, before anything is submitted, blocks that cannot run the calculations.

    Parameters
    ----------
    settings : mapping
        Section ``execution``.
    recipe : mapping
        Section ``engine``.

    Raises
    ------
    ConfigError
        If the batch system is not here, does not take the block, or a block ends before a calculation may.
    """
    limit = walltime_seconds(settings["walltime"])
    timeout = (recipe.get("profile") or {}).get("timeout_minutes")
    if timeout is not None and 60.0 * timeout > limit:
        raise ConfigError(
            f"execution.walltime: {settings['walltime']} is shorter than engine.profile.timeout_minutes: "
            f"{timeout:g}, the time that one calculation may take",
            fix=f"set execution.walltime to {_format_walltime(60.0 * timeout)} or more, or lower the other",
        )
    if find_spec("parsl") is None:
        raise ConfigError("execution.kind: parsl is not installed", fix="pip install 'mlff-dyn[parsl]'")
    provider = settings["provider"]
    if provider == LOCAL:
        return
    scheduler = SCHEDULERS[provider]
    for program in (scheduler.submit, scheduler.cancel, scheduler.list_jobs[0]):
        if shutil.which(program) is None:
            others = [name for name, other in SCHEDULERS.items() if shutil.which(other.submit) is not None]
            raise ConfigError(
                f"execution.provider: {provider} is not here: program {program} cannot be found",
                fix=f"run the command where it can be called, or use one of {', '.join([*others, LOCAL])}",
            )
    if provider == SLURM:
        _try_sbatch(settings)


def _try_sbatch(settings: Mapping[str, Any]) -> None:
    """Let Slurm look at a block without queueing it."""
    options = {
        "nodes": settings["nodes_per_block"],
        "time": math.ceil(walltime_seconds(settings["walltime"]) / 60.0),
        "partition": settings["partition"],
        "account": settings["account"],
        "cpus-per-task": settings["cores_per_node"],
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
    with tempfile.TemporaryDirectory(prefix="mlff-dyn-") as folder:
        script = Path(folder) / "block.sh"
        text = "\n".join(["#!/bin/bash", *lines, settings["scheduler_options"], "true", ""])
        script.write_text(text, encoding="utf-8")
        found = _ask(["sbatch", "--test-only", str(script)])
    if found.returncode != 0:
        said = [line.strip() for line in (found.stderr or found.stdout).splitlines() if line.strip()]
        reason = _NOISE.sub("", said[-1]) if said else "no reason given"
        raise ConfigError(
            f"execution: Slurm does not take such a block: {reason}",
            fix="see sinfo for its partitions, and correct execution.partition, account, walltime, "
            "nodes_per_block or scheduler_options",
        )


def cancel_jobs(provider: str, jobs: Sequence[str], *, folder: Path) -> list[str]:
    """End blocks that a killed command has left, and wait until they are gone.

    Parameters
    ----------
    provider : str
    jobs : sequence of str
        As the batch system numbers them; process numbers for ``local``.
    folder : Path
        That the command line of a local block names, so that no other process with its number is ended.

    Returns
    -------
    list of str
        Those that were still there.

    Raises
    ------
    EngineError
        If one does not end.
    """
    left = [job for job in jobs if _is_there(provider, job, folder)]
    for job in left:
        if provider == LOCAL:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(os.getpgid(int(job)), signal.SIGTERM)
        else:
            _ask([SCHEDULERS[provider].cancel, job])
    deadline = time.monotonic() + _END_SECONDS
    while any(_is_there(provider, job, folder) for job in left):
        if time.monotonic() > deadline:
            raise EngineError(
                f"blocks {', '.join(left)} of an earlier command do not end", fix="cancel them by hand"
            )
        time.sleep(_POLL_SECONDS)
    return left


def jobs_named(provider: str, start: str) -> list[str]:
    """Jobs of this user whose names begin so; known of Slurm alone."""
    if provider != SLURM:
        return []
    found = _ask(["squeue", "--noheader", "--user", str(os.getuid()), "--format", "%i %j"])
    rows = [line.split(maxsplit=1) for line in found.stdout.splitlines()]
    return [row[0] for row in rows if len(row) == 2 and row[1].startswith(start)]


def walltime_seconds(text: str) -> float:
    """Seconds of a time as HH:MM:SS.

    Raises
    ------
    ConfigError
        If it is none.
    """
    found = _WALLTIME.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"execution.walltime: {text!r} is no time", fix='write hours, minutes and seconds: "02:30:00"'
        )
    hours, minutes, seconds = map(int, found.groups())
    return 3600.0 * hours + 60.0 * minutes + seconds


def _format_walltime(seconds: float) -> str:
    whole = math.ceil(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _is_there(provider: str, job: str, folder: Path) -> bool:
    if provider == LOCAL:
        try:
            words = Path(f"/proc/{job}/cmdline").read_bytes()
        except OSError:
            return False
        return str(folder).encode() in words
    found = _ask([*SCHEDULERS[provider].list_jobs, job])
    return found.returncode == 0 and bool(found.stdout.strip())


def _ask(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the batch system.

    Raises
    ------
    EngineError
        If it does not answer.
    """
    try:
        return subprocess.run(
            list(arguments), capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(
            f"{arguments[0]} does not answer: {error}", fix="run the same command again when it does"
        ) from error
