"""Linear algebra on one core.

The matrices of a fit are small: the threads of a BLAS wait for each other longer than they compute, and the
last bits of a sum depend on how many they are.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numpy and scipy compute on one core, whatever the environment says."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Libraries with threads of their own, which take a while to find."""
    return ThreadpoolController()
