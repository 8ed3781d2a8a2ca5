"""Readable numpy twins of the compiled kernels."""

from mlff_dyn.kernels.reference.forces import ForceKernel
from mlff_dyn.kernels.reference.rows import (
    design_matrix,
    force_variances,
    reduced_rows,
    row_statistics,
    sample_forces,
    stress_rows,
)

__all__ = [
    "ForceKernel",
    "design_matrix",
    "force_variances",
    "reduced_rows",
    "row_statistics",
    "sample_forces",
    "stress_rows",
]
