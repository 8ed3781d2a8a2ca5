"""Batch systems that are not here: stand-ins for their commands, which note what they are asked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from mlff_dyn.config.schema import ExecutionConfig
from mlff_dyn.errors import ConfigError
from mlff_dyn.execution.schedulers import SCHEDULERS, cancel_jobs, check_blocks, walltime_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STAND_IN = """#!/bin/sh
echo "$(basename $0) $*" >> "{folder}/asked"
for word; do job=$word; done
case "$(basename $0)" in
  {cancel}) rm "{folder}/job-$job" ;;
  {listed}) [ -e "{folder}/job-$job" ] && echo "$job running" || exit 1 ;;
esac
"""


@pytest.fixture
def batch_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put the commands of a provider first on the path; a file ``job-N`` is a job that runs."""

    def make(provider: str) -> None:
        scheduler = SCHEDULERS[provider]
        text = STAND_IN.format(folder=tmp_path, cancel=scheduler.cancel, listed=scheduler.list_jobs[0])
        (tmp_path / "bin").mkdir()
        for name in {scheduler.submit, scheduler.cancel, scheduler.list_jobs[0]}:
            program = tmp_path / "bin" / name
            program.write_text(text)
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")

    return make


def settings(**values: object) -> dict[str, object]:
    return ExecutionConfig(kind="parsl", **values).model_dump()


@pytest.mark.parametrize("provider", sorted(SCHEDULERS))
def test_leftovers_end_and_others_stay(tmp_path, batch_system, provider):
    batch_system(provider)
    for job in ("7", "8"):
        (tmp_path / f"job-{job}").touch()
    assert cancel_jobs(provider, ["6", "7"], folder=tmp_path) == ["7"]
    assert [path.name for path in tmp_path.glob("job-*")] == ["job-8"]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert f"{SCHEDULERS[provider].cancel} 7" in asked


@pytest.mark.parametrize("provider", sorted(SCHEDULERS))
def test_a_batch_system_that_is_not_here(monkeypatch, tmp_path, provider):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=f"{provider} is not here: program {SCHEDULERS[provider].submit}"):
        check_blocks(settings(provider=provider), {})


@pytest.mark.parametrize("provider", ["pbs", "lsf", "sge", "slurm", "local"])
def test_every_provider_writes_a_script_with_all_that_was_asked_for(tmp_path, batch_system, provider):
    """What Parsl hands to the batch system has the queue, the time, the options, and our lines."""
    parsl_provider = pytest.importorskip("mlff_dyn.execution.parsl_provider")
    if provider != "local":
        batch_system(provider)
    given = settings(
        provider=provider,
        partition="long",
        account="physics",
        walltime="02:30:00",
        nodes_per_block=2,
        cores_per_node=64,
        scheduler_options="#XX --gently",
        worker_init="module load espresso",
    )
    made = parsl_provider.create_provider(given)
    made.script_dir = str(tmp_path)
    if provider == "local":
        assert "module load espresso" in made.worker_init
        return
    with suppress(Exception):  # the stand-in gives no number of a job
        made.submit("worker", 1, "parsl.label.block-0")
    (script,) = [path for path in tmp_path.glob("parsl.label*") if not path.name.endswith(("out", "err"))]
    text = script.read_text()
    asked = (tmp_path / "asked").read_text()
    assert "long" in text + asked
    for word in ("#XX --gently", "module load espresso", "worker"):
        assert word in text
    assert any(time in text for time in ("02:30:00", "2:30", "150"))


def test_a_local_block_is_told_from_another_process(tmp_path):
    """A number that another process has got since is left alone."""
    block, other = (
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)", str(folder)], start_new_session=True
        )
        for folder in (tmp_path, "elsewhere")
    )
    try:
        time.sleep(0.2)
        waiting = [str(block.pid), str(other.pid), "999999"]
        Thread(target=block.wait, daemon=True).start()
        assert cancel_jobs("local", waiting, folder=tmp_path) == [str(block.pid)]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("text", ["1 day", "10", "10:00", "1:60:00", "-1:00:00"])
def test_walltimes_that_are_none(text):
    with pytest.raises(ConfigError, match=r"is no time; fix: write hours"):
        walltime_seconds(text)


def test_walltime():
    assert walltime_seconds("100:02:03") == 360123
