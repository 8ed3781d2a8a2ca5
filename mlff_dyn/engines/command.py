"""Running a program in a directory: time limit, clean end, and what survives a killed parent.

The program holds a lock on a file in its directory, inherited through an open descriptor. The kernel releases
it when the last process of the calculation ends, so a later command can tell a calculation that is still
running, left by a killed one, from a dead one.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from mlff_dyn.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PROCESS_LOCK = "process.lock"

_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_logger = logging.getLogger(__name__)


class CommandRunner:
    """Starts programs, each in a process group of its own, and can end all of them.

    Parameters
    ----------
    environment : mapping of str to str
        Added to the environment of this process.
    timeout_seconds : float or None
        A program that takes longer is ended.
    """

    def __init__(self, environment: Mapping[str, str], timeout_seconds: float | None) -> None:
        self._environment = {**os.environ, **environment}
        self._timeout_seconds = timeout_seconds
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, arguments: Sequence[str], directory: Path, *, stdout: str, stderr: str) -> int:
        """Run one program to its end.

        Parameters
        ----------
        arguments : sequence of str
            Program and arguments; no shell is involved.
        directory : Path
            Working directory, and the folder of the two output files.
        stdout, stderr : str
            Names of the files that take the streams.

        Returns
        -------
        int
            Exit status; negative for a signal.

        Raises
        ------
        EngineError
            If the program cannot be started or exceeds the time limit.
        """
        lock = (directory / PROCESS_LOCK).open("w")
        process: subprocess.Popen[bytes] | None = None
        with lock, (directory / stdout).open("wb") as out, (directory / stderr).open("wb") as err:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                with interrupts_later(), self._guard:
                    process = self._started(arguments, directory, lock, out, err)
                return process.wait(self._timeout_seconds)
            except subprocess.TimeoutExpired:
                minutes = (self._timeout_seconds or 0.0) / 60
                raise EngineError(
                    f"{directory}: {arguments[0]} did not end within {minutes:g} minutes",
                    fix="raise engine.profile.timeout_minutes",
                ) from None
            finally:
                if process is not None:
                    end_group(process)
                    with self._guard:
                        self._running.discard(process)

    def _started(
        self, arguments: Sequence[str], directory: Path, lock: IO[str], out: IO[bytes], err: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a program, and count it among those that run."""
        if self._stopped:
            raise EngineError(
                f"{directory}: not started, the command is being interrupted",
                fix="run the same command again",
            )
        try:
            process = subprocess.Popen(
                list(arguments),
                cwd=directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(
                f"{directory}: cannot start {arguments[0]}: {error.strerror}",
                fix="give engine.profile.command a program that can be started, with its path",
            ) from error
        self._running.add(process)
        return process

    def stop(self) -> None:
        """End all running programs and start no others."""
        with self._guard:
            self._stopped = True
            running = tuple(self._running)
        for process in running:
            signal_group(process, signal.SIGTERM)

    def settle(self, directory: Path) -> None:
        """Wait until no process of an earlier command works in ``directory``."""
        settle(directory, self._timeout_seconds)


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Let signals that end a command wait for the end of a block, such as one that starts a program.

    Only the main thread is interrupted; in others it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    handlers = {}
    try:
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                handlers[number] = signal.getsignal(number)
                signal.signal(number, lambda number, _: caught.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def shell_line(arguments: Sequence[str], environment: Mapping[str, str], *, stdout: str, stderr: str) -> str:
    """Return what `CommandRunner.run` does as a line for a shell in the directory of the calculation."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    words = [*(["env", *variables] if variables else []), *arguments]
    return f"{shlex.join(words)} > {shlex.quote(stdout)} 2> {shlex.quote(stderr)} < /dev/null"


def settle(directory: Path, timeout_seconds: float | None) -> None:
    """Wait until no process of an earlier command works in ``directory``.

    Raises
    ------
    EngineError
        If it still does after the time limit.
    """
    path = directory / PROCESS_LOCK
    if not path.exists():
        return
    start = time.monotonic()
    announced = False
    with path.open("r") as lock:
        while not _try_lock(lock.fileno()):
            if not announced:
                _logger.warning("%s: still running from an earlier command, waiting for it", directory)
                announced = True
            if timeout_seconds is not None and time.monotonic() - start > timeout_seconds:
                raise EngineError(
                    f"{directory}: a calculation of an earlier command is still running there",
                    fix="end that process, then run the same command again",
                )
            time.sleep(_POLL_SECONDS)


def is_running(directory: Path) -> bool:
    """Whether a process of some command works in ``directory``, as far as this machine knows."""
    try:
        with (directory / PROCESS_LOCK).open("r") as lock:
            return not _try_lock(lock.fileno())
    except OSError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process group: politely, so that an MPI launcher can pass it on, then for good."""
    if process.poll() is not None:
        return
    signal_group(process, signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)
        process.wait()


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and to all that it has started; to none if they have ended."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
