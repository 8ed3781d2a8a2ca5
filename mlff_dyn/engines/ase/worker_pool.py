"""Processes that live through many calculations, so that what they import is imported once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import weakref
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, cast

from mlff_dyn.engines.command import end_group, signal_group
from mlff_dyn.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GRACE_SECONDS = 2.0


class WorkerDied(EngineError):  # noqa: N818
    """A worker ended in the middle of a request; its message says how, and the last line that it wrote."""


class WorkerPool:
    """Workers that answer one request at a time, each a line of JSON; as many as there are callers at once.

    They are started when they are needed and end with this object, or with this process however it ends.

    Parameters
    ----------
    command : sequence of str
    environment : mapping of str to str
        Added to the environment of this process.
    timeout_seconds : float or None
        A worker that takes longer for a request is ended.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], timeout_seconds: float | None
    ) -> None:
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self._timeout_seconds = timeout_seconds
        self._guard = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._stopped = False
        weakref.finalize(self, _close, self._all)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request to a worker that has nothing to do, and wait for the reply.

        Raises
        ------
        EngineError
            If the worker cannot be started, dies (`WorkerDied`) or exceeds the time limit.
        """
        worker = self._take()
        try:
            reply = worker.ask(request, self._timeout_seconds)
        except BaseException:
            worker.end()
            with self._guard:
                self._all.discard(worker)
            raise
        with self._guard:
            self._idle.append(worker)
        return reply

    def stop(self) -> None:
        """End all workers and start no others."""
        with self._guard:
            self._stopped = True
            workers = tuple(self._all)
        for worker in workers:
            signal_group(worker.process, signal.SIGTERM)

    def _take(self) -> _Worker:
        with self._guard:
            if self._stopped:
                raise EngineError(
                    "not started, the command is being interrupted", fix="run the same command again"
                )
            while self._idle:
                worker = self._idle.pop()
                if worker.process.poll() is None:
                    return worker
                worker.end()
                self._all.discard(worker)
            worker = _Worker(self._command, self._environment)
            self._all.add(worker)
            return worker


class _Worker:
    """One process; what it prints outside of calculations goes to a file without a name."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise EngineError(
                f"cannot start {command[0]}: {error.strerror}",
                fix="make that program executable, or install Python again",
            ) from error
        self._requests = cast("IO[bytes]", self.process.stdin)
        self._replies = cast("IO[bytes]", self.process.stdout)

    def ask(self, request: Mapping[str, Any], timeout_seconds: float | None) -> dict[str, Any]:
        """Send one request and wait for its reply."""
        is_late = threading.Event()

        def end_late() -> None:
            is_late.set()
            end_group(self.process)

        timer = None if timeout_seconds is None else threading.Timer(timeout_seconds, end_late)
        if timer is not None:
            timer.start()
        try:
            with suppress(BrokenPipeError):
                self._requests.write(json.dumps(request).encode() + b"\n")
                self._requests.flush()
            line = self._replies.readline()
        finally:
            if timer is not None:
                timer.cancel()
        if line.endswith(b"\n"):
            reply: dict[str, Any] = json.loads(line)
            return reply
        if is_late.is_set():
            raise EngineError(
                f"not done within {(timeout_seconds or 0.0) / 60:g} minutes",
                fix="raise engine.profile.timeout_minutes",
            )
        raise WorkerDied(self._last_words(), fix="check the memory and the arguments of the calculator")

    def close(self) -> None:
        """Let the process end by itself; nothing more will be asked."""
        for stream in (self._requests, self._replies):
            with suppress(OSError):
                stream.close()

    def end(self) -> None:
        """End the process and whatever it has started."""
        self.close()
        end_group(self.process)
        signal_group(self.process, signal.SIGKILL)
        self._log.close()

    def _last_words(self) -> str:
        """How the process ended, and its last line outside of a calculation."""
        status = self.process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines()]
        lines = [line for line in lines if line]
        return how + (f": {lines[-1]}" if lines else "")


def _close(workers: set[_Worker]) -> None:
    """End workers that have nothing to do."""
    for worker in workers:
        worker.close()
    for worker in workers:
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(_GRACE_SECONDS)
        worker.end()
    workers.clear()
