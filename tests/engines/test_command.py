"""Programs that engines start: an interrupt at the moment of the start leaves none behind."""

import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from mlff_dyn.engines import command
from mlff_dyn.engines.command import CommandRunner, interrupts_later

STREAMS = {"stdout": "out", "stderr": "err"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Programs that were started, each with Ctrl-C before its caller has got hold of it."""
    every: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            every.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command.subprocess, "Popen", Interrupted)
    return every


def test_an_interrupt_at_the_start_ends_the_program(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    runner = CommandRunner({}, None)
    with pytest.raises(KeyboardInterrupt):
        runner.run(["sleep", "600"], tmp_path, **STREAMS)
    (process,) = started
    assert process.poll() == -signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_wait_for_the_end_of_a_block_and_ignored_ones_stay_ignored() -> None:
    seen: list[str] = []

    def interrupted() -> None:
        with interrupts_later():
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGINT)
            seen.append("end")

    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == ["end"]
    assert signal.signal(signal.SIGHUP, hangup) is signal.SIG_IGN


def test_a_thread_starts_programs_as_before(tmp_path: Path) -> None:
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(CommandRunner({}, None).run(["true"], tmp_path, **STREAMS))
    )
    thread.start()
    thread.join()
    assert codes == [0]
