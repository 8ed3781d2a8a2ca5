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
    from collections.abc import Callable, Iterator
    from types import FrameType

INTERRUPTED = "interrupted; the same command goes on from here"
EXIT_CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS = 0.02


class Interrupts:
    """Turns signals into `KeyboardInterrupt`; those that the caller ignores, as nohup does, stay ignored.

    Attributes
    ----------
    is_asked : bool
        Whether there was a signal, also where a library has made another error of it.
    is_told : bool
        Whether the line is on standard error.
    """

    def __init__(self) -> None:
        self.is_asked = self.is_told = False
        self._number: int = signal.SIGINT

    def install(self) -> None:
        """Take over the signals."""
        sys.unraisablehook = self._ask_again
        for number in _minded():
            signal.signal(number, self._interrupt)

    def ignore(self) -> None:
        """Let the end of the process be: all is done, and Python puts handlers of its own away before."""
        for number in _minded():
            signal.signal(number, signal.SIG_IGN)

    def _interrupt(self, signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG002 (signature)
        self.is_asked, self._number = True, signum
        raise KeyboardInterrupt

    def _ask_again(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Repeat a signal that came where a library cannot pass an exception on."""
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            timer = threading.Timer(_AGAIN_SECONDS, signal.raise_signal, (self._number,))
            timer.daemon = True
            timer.start()
        else:
            sys.__unraisablehook__(unraisable)


INTERRUPTS = Interrupts()


def run_interruptible(command: Callable[[], object]) -> NoReturn:
    """Run a command that ends with `SystemExit`, and leave with its exit code.

    A signal outside of what the command does about signals itself ends it in the same way.
    """
    code: str | int | None = 0
    try:
        try:
            INTERRUPTS.install()
            command()
        except SystemExit as end:
            code = end.code
        except BaseException:
            if not INTERRUPTS.is_asked:
                raise
            code = EXIT_CODE
        INTERRUPTS.ignore()
    except KeyboardInterrupt:
        INTERRUPTS.ignore()
        code = EXIT_CODE
    if INTERRUPTS.is_asked and code == EXIT_CODE:
        _leave_interrupted()
    sys.exit(code)


def _minded() -> Iterator[signal.Signals]:
    """Signals that are not ignored; none outside the main thread, which alone may set handlers."""
    if threading.current_thread() is threading.main_thread():
        yield from (number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)


def _leave_interrupted() -> NoReturn:
    """Leave at once: Python replaces the exit code of some interrupts by a signal."""
    if not INTERRUPTS.is_told:
        with suppress(OSError):
            os.write(2, f"{INTERRUPTED}\n".encode())
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(EXIT_CODE)
