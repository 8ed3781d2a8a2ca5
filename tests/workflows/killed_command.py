"""The command line with a chosen moment to die.

Environment: ``KILL_AT_RENAME`` is the number of the rename to die just before or, if negative, just after.
"""

import os
import runpy
import signal
from typing import Any


def _kill_at_rename(number: int) -> None:
    """Replace ``os.replace`` by one that ends the process at its call of that number."""
    original = os.replace
    calls = 0

    def replace(*args: Any, **kwargs: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        original(*args, **kwargs)
        if calls == -number:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace


if "KILL_AT_RENAME" in os.environ:
    _kill_at_rename(int(os.environ["KILL_AT_RENAME"]))

if __name__ == "__main__":
    runpy.run_module("mlff_dyn", run_name="__main__")
