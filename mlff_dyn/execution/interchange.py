"""Parsl's interchange, which ends with the command that started it, however that ends.

Blocks notice then that nobody is there any more, and end as well.
"""

from __future__ import annotations

import os
import runpy
import threading
import time

_LOOK_SECONDS = 1.0


def main() -> None:
    """Run the interchange until the parent process is gone."""
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    runpy.run_module("parsl.executors.high_throughput.interchange", run_name="__main__")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
