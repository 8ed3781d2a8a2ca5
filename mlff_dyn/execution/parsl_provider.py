"""Parsl's executor and provider from the section ``execution`` of the configuration."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD
from parsl.launchers import SimpleLauncher, SrunLauncher
from parsl.providers import (
    GridEngineProvider,
    LocalProvider,
    LSFProvider,
    PBSProProvider,
    SlurmProvider,
)

from mlff_dyn.execution import interchange
from mlff_dyn.execution.schedulers import LOCAL

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARSL = "parsl.executors.high_throughput"
_UNHEARD = 4
"""Heartbeats that are missed before a block is given up."""


class _Executor(HighThroughputExecutor):  # type: ignore[misc]
    """Asks the batch system for its blocks at least every two heartbeats."""

    @property
    def status_polling_interval(self) -> int:
        """Seconds between two questions."""
        return min(int(super().status_polling_interval), 2 * int(self.heartbeat_period))


def create_executor(settings: Mapping[str, Any], label: str) -> Any:  # noqa: ANN401 (Parsl has no types)
    """Create the executor of blocks.

    Parameters
    ----------
    settings : mapping
        Section ``execution``.
    label : str
        Becomes part of the names of the jobs.
    """
    pool = f"{shlex.quote(sys.executable)} -m {_PARSL}.process_worker_pool"
    heartbeat = settings["heartbeat_seconds"]
    return _Executor(
        label=label,
        address=settings["address"],
        max_workers_per_node=settings["workers_per_block"],
        cores_per_worker=1e-6,
        launch_cmd=DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", pool),
        interchange_launch_cmd=[sys.executable, "-m", interchange.__name__],
        heartbeat_period=heartbeat,
        heartbeat_threshold=_UNHEARD * heartbeat,
        prefetch_capacity=0,
        block_error_handler=False,
        encrypted=False,
        provider=create_provider(settings),
    )


def create_provider(settings: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Create the provider of a batch system; a block is submitted when one is needed."""
    common: dict[str, Any] = {
        "nodes_per_block": settings["nodes_per_block"],
        "init_blocks": 0,
        "min_blocks": 0,
        "max_blocks": settings["max_blocks"],
        "parallelism": 1,
        "worker_init": f"{_same_python()}\n{settings['worker_init']}",
        "launcher": SrunLauncher() if settings["launcher"] == "srun" else SimpleLauncher(),
    }
    kind = settings["provider"]
    if kind == LOCAL:
        return LocalProvider(**common)
    common |= {"walltime": settings["walltime"], "scheduler_options": settings["scheduler_options"]}
    queue, account, cores = (settings[name] for name in ("partition", "account", "cores_per_node"))
    if kind == "slurm":
        return SlurmProvider(
            partition=queue, account=account, cores_per_node=cores, exclusive=False, cmd_timeout=60, **common
        )
    if kind == "pbs":
        return PBSProProvider(queue=queue, account=account, cpus_per_node=cores or 1, **common)
    if kind == "lsf":
        return LSFProvider(queue=queue, project=account, cores_per_node=cores, **common)
    return GridEngineProvider(queue=queue, **common)


def _same_python() -> str:
    """Lines that let a block find the packages of this command."""
    path = os.environ.get("PYTHONPATH")
    return "" if not path else f"export PYTHONPATH={shlex.quote(path)}"
