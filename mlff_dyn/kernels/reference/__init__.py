"""Readable numpy twins of the compiled kernels."""

from mlff_dyn.kernels.reference.forces import ForceKernel
from mlff_dyn.kernels.reference.local_energy import LocalKernel, local_force_rows, local_rows, local_virial
from mlff_dyn.kernels.reference.rows import force_variances, reduced_rows, stress_rows

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
