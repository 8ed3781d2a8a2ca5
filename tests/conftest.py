"""Fixtures that several folders of tests use."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Before anything imports numpy: the tests themselves run on all cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Jobs in the background ignore signals, and so would the commands that tests start and interrupt.
for _signal, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: tests of processes and of Slurm mostly wait."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.fixture(autouse=True)
def package_logger() -> Iterator[None]:
    """Commands take over the log of the package; no other test sees that."""
    logger = logging.getLogger("mlff_dyn")
    before = (logger.propagate, logger.level, list(logger.handlers))
    yield
    logger.propagate, logger.level = before[:2]
    logger.handlers[:] = before[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real outputs and data sets beside the repository; the test is skipped where it is missing."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data is not here")
    return folder
