"""Numerical kernels on plain arrays, in two versions: compiled C++ and a readable numpy twin.

The choice is made once, at import. `MLFF_DYN_KERNELS=compiled` or `reference` forces a version; the first
raises if it was not built.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from mlff_dyn.errors import UsageError

_FORCED = os.environ.get("MLFF_DYN_KERNELS")
if _FORCED not in {None, "compiled", "reference"}:
    raise UsageError(f"MLFF_DYN_KERNELS={_FORCED} is not known", fix="use compiled or reference")


def _choose_backend() -> str:
    if _FORCED == "reference":
        return "reference"
    try:
        import mlff_dyn.kernels._compiled  # noqa: F401
    except ImportError as error:
        if _FORCED == "compiled":
            raise UsageError(
                f"the compiled kernels cannot be imported: {error}",
                fix="reinstall with a C++ compiler at hand",
            ) from error
        warnings.warn(
            f"the compiled kernels cannot be imported ({error}); the far slower numpy ones are used",
            RuntimeWarning,
            stacklevel=2,
        )
        return "reference"
    return "compiled"


BACKEND = _choose_backend()
"""Version in use: compiled or reference."""

if TYPE_CHECKING or BACKEND == "compiled":
    from mlff_dyn.kernels.compiled import (
        ForceKernel,
        LocalKernel,
        force_variances,
        local_force_rows,
        local_rows,
        local_virial,
        reduced_rows,
        stress_rows,
    )
else:
    from mlff_dyn.kernels.reference import (
        ForceKernel,
        LocalKernel,
        force_variances,
        local_force_rows,
        local_rows,
        local_virial,
        reduced_rows,
        stress_rows,
    )

__all__ = [
    "BACKEND",
    "ForceKernel",
    "LocalKernel",
    "force_variances",
    "local_force_rows",
    "local_rows",
    "local_virial",
    "reduced_rows",
    "stress_rows",
]
