"""Ctrl-C, SIGTERM and SIGHUP from the first import to the last moment: exit code 130 and one line.

It imports nothing heavy, so that hardly anything comes before it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

INTERRUPTED = "interrupted; the same command goes on from here"
EXIT_CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns signals into `KeyboardInterrupt`; those that the caller ignores, as nohup does, stay ignored.

    Attributes
    ----------
    is_asked : bool
        Whether there was a signal, also where a library has made another error of it.
    is_told : bool
        Whether the line is on standard error.
    end_code : int or None
        Exit code of a command that is over; another signal then ends the process at once.
    """

    def __init__(self) -> None:
        self.is_asked = self.is_told = False
        self.end_code: int | None = None

    def install(self) -> None:
        """Take over the signals; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._interrupt)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signature of a handler)
        if self.end_code is not None:
            os._exit(self.end_code)
        self.is_asked = True
        raise KeyboardInterrupt


INTERRUPTS = Interrupts()


def run_interruptible(command: Callable[[], object]) -> NoReturn:
    """Run a command that ends with `SystemExit`, and leave with its exit code.

    A signal outside of what the command does about signals itself ends it in the same way.
    """
    try:
        try:
            INTERRUPTS.install()
            command()
        except SystemExit as end:
            if INTERRUPTS.is_asked and end.code == EXIT_CODE:
                _end_interrupted()
            INTERRUPTS.end_code = _code_of(end)
            raise
        except BaseException:
            if not INTERRUPTS.is_asked:
                raise
            _end_interrupted()
    except KeyboardInterrupt:
        _end_interrupted()
    INTERRUPTS.end_code = 0
    sys.exit(0)


def _code_of(end: SystemExit) -> int:
    if end.code is None:
        return 0
    return end.code if isinstance(end.code, int) else 1


def _end_interrupted() -> NoReturn:
    INTERRUPTS.end_code = EXIT_CODE
    if not INTERRUPTS.is_told:
        INTERRUPTS.is_told = True
        with suppress(OSError):
            os.write(2, f"{INTERRUPTED}\n".encode())
    sys.exit(EXIT_CODE)
