"""Which kernels are measured."""

from __future__ import annotations

import os
import warnings
from pathlib import Path


def describe_slow_kernels() -> str | None:
    """Say why the numbers would be those of the numpy kernels; None if they are not, or are meant to be.

    A checkout comes before an installed package in Python's search path, and has compiled kernels only where
    the installation is editable.
    """
    from mlff_dyn.errors import UsageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            import mlff_dyn
            from mlff_dyn.kernels import BACKEND
    except UsageError as error:
        return f"error: {error}"
    if BACKEND == "compiled" or os.environ.get("MLFF_DYN_KERNELS") == "reference":
        return None
    folder = Path(*mlff_dyn.__path__)
    return (
        f"error: the package in {folder} has no compiled kernels, so its far slower numpy kernels would be "
        "measured; install it with pip install --editable ., or set "
        "MLFF_DYN_KERNELS=reference to measure those"
    )
