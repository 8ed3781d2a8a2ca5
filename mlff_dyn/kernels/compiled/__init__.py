"""Kernels in C++, behind the same signatures as their numpy twins."""

from mlff_dyn.kernels.compiled.forces import ForceKernel
from mlff_dyn.kernels.compiled.rows import (
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
