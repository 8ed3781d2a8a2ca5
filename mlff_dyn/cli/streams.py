"""Standard output and error that may be closed or full: no command ends for the sake of a line it prints."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, cast

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


class _Unfailing:
    """A text stream that keeps the first error of writing instead of raising it, and drops what follows."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Send what is written."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            action()
        except OSError as error:
            self.error = error
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (of the stream)
        return getattr(self._stream, name)


def run_with_streams(command: Callable[[], object]) -> NoReturn:
    """Run a command that ends with `SystemExit`, and leave with its exit code.

    A reader that closes the pipe has read what it wanted. An answer that cannot be written for another reason
    is an error where the command had none.
    """
    output, log = _Unfailing(sys.stdout), _Unfailing(sys.stderr)
    sys.stdout, sys.stderr = cast("TextIO", output), cast("TextIO", log)
    code: str | int | None = 0
    try:
        command()
    except SystemExit as end:
        code = end.code
    output.flush()
    if output.error is not None and output.error.errno != errno.EPIPE:
        log.write(f"error: cannot write to standard output: {output.error.strerror}\n")
        code = code or DataError.exit_code
    sys.exit(code)
