"""Kernels in C++, behind the same signatures as their numpy twins."""

from mlff_dyn.kernels.compiled.forces import ForceKernel
from mlff_dyn.kernels.compiled.local_design import local_force_rows, local_rows
from mlff_dyn.kernels.compiled.local_energy import LocalKernel, local_virial
from mlff_dyn.kernels.compiled.rows import force_variances, reduced_rows, stress_rows

__all__ = [
    "ForceKernel",
    "LocalKernel",
    "force_variances",
    "local_force_rows",
    "local_rows",
    "local_virial",
    "reduced_rows",
    "stress_rows",
]
