"""Peak of the core: how fast it can do the multiply-adds of a kernel."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.timing import median_seconds
from mlff_dyn.kernels import BACKEND

if TYPE_CHECKING:
    from mlff_dyn.kernels import ForceKernel

NAME = "FMA peak"
N_CHAINS = 10
"""Independent sums: more than two units with a latency of four cycles need, and within 16 registers."""

VECTORS = {"avx2": (4, ["-mavx2"]), "avx512": (8, ["-mavx512f", "-mprefer-vector-width=512"])}
"""Numbers of a vector in double precision, and flags of the compiler, by instruction set."""


def _source(n_lanes: int) -> str:
    chains = [f"a{k}" for k in range(N_CHAINS)]
    steps = "".join(f"{a} = {a} * m + c;" for a in chains)
    operands = ", ".join(f'"x"({a})' for a in chains)
    return (
        f"typedef double V __attribute__((vector_size({8 * n_lanes})));"
        "double multiply_add(long n) { V c = {0}; c += 1e-9; V m = c + 0.999;"
        f"V {', '.join(f'{a} = m * {k + 1}.0' for k, a in enumerate(chains))};"
        f'for (long k = 0; k < n; ++k) {{ {steps} __asm__ volatile("" : : {operands}); }}'
        f"return ({' + '.join(chains)})[0]; }}"
    )


def measure_peak(n_calls: int = 1_000_000) -> float | None:
    """Multiply-adds per CPU second in double precision; None without a C compiler or for other processors."""
    compiler = shutil.which("cc")
    if BACKEND != "compiled" or compiler is None:
        return None
    from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET

    if INSTRUCTION_SET not in VECTORS:
        return None
    n_lanes, flags = VECTORS[INSTRUCTION_SET]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "peak.so"
        command = [compiler, "-O2", "-mfma", *flags, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=_source(n_lanes), text=True, check=True)
        multiply_add = ctypes.CDLL(str(library)).multiply_add
    multiply_add.restype = ctypes.c_double
    multiply_add.argtypes = [ctypes.c_long]
    return N_CHAINS * n_lanes * n_calls / median_seconds(lambda: multiply_add(n_calls), budget=0.2)


def multiply_adds(kernel: ForceKernel) -> int:
    """Of a force call, with the coefficients of the lattice expansion: forming products is not counted."""
    per_cell = sum(
        2 * len(program[-1]) + sum(len(group.coefficients) for group in groups)
        for program, groups in kernel._programs  # noqa: SLF001
    )
    return per_cell * kernel._place.n_cells  # noqa: SLF001
