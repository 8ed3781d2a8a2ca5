"""The instruction set that the compiled kernels use, chosen once."""

from __future__ import annotations

import os

from mlff_dyn.errors import UsageError
from mlff_dyn.kernels import _compiled


def _choose_instruction_set() -> str:
    available = _compiled.instruction_sets()
    wanted = os.environ.get("MLFF_DYN_ISA", available[0])
    if wanted not in available:
        raise UsageError(
            f"MLFF_DYN_ISA={wanted} is not one of {', '.join(available)}", fix="unset MLFF_DYN_ISA"
        )
    return wanted


INSTRUCTION_SET = _choose_instruction_set()
"""Instruction set in use: avx512, avx2 or baseline; MLFF_DYN_ISA forces one."""
