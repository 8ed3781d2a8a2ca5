"""What VASP prints when it fails, in one line each with the next step."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A message of VASP.

    Attributes
    ----------
    pattern : str            regular expression on its output
    reason : str             what it means
    fix : str                the next step
    is_amendable : bool      whether other electronic steps may lead to the same result
    """

    pattern: str
    reason: str
    fix: str
    is_amendable: bool = False


_STEPS = "set engine.parameters.incar.ALGO: All, or Normal with a smaller AMIX"
_PARALLEL = "change NCORE, NPAR, KPAR or the number of ranks in engine.profile.command"

FAILURES = (
    Failure(
        r"No space left on device|Disk quota exceeded|forrtl: severe \(38\)|error during write",
        "the disk is full",
        "make room, then run the same command again",
    ),
    Failure(
        r"(?i)licen[sc]e.{0,40}(expired|invalid|fail|not found|checkout)|(?i:could not check ?out)",
        "its license was refused",
        "ask who keeps VASP on this machine",
    ),
    Failure(
        r"(?i)out of memory|oom-kill|cannot allocate memory|insufficient virtual memory|bad_alloc",
        "the memory did not suffice",
        "use more nodes, or " + _PARALLEL,
    ),
    Failure(
        r"(?i)DUE TO TIME LIMIT|time limit (?:reached|exceeded)",
        "the time of the job ended",
        "ask for more time, then run the same command again",
    ),
    Failure(
        r"error while loading shared libraries: (\S+?):",
        "the library {0} is missing",
        "load the modules that VASP was built with, or set engine.profile.environment",
    ),
    Failure(
        r"Error reading item '?(\w+)'? from file INCAR",
        "it cannot read {0} in INCAR",
        "correct engine.parameters.incar; this VASP may be older than the tag",
    ),
    Failure(
        r"POSCAR and POTCAR are incompatible|number of (?:potential )?types? .{0,40}POTCAR",
        "POTCAR and POSCAR do not belong together",
        "do not change the files of a calculation; run the same command again",
    ),
    Failure(
        r"LEXCH.{0,40}(conflict|not the same|differ)|XC-functional.{0,40}differ",
        "the POTCARs are of different functionals",
        "take all pseudopotentials from one folder, or set engine.parameters.incar.GGA",
    ),
    Failure(
        r"vdw_kernel\.bindat.{0,40}(not found|missing|does not exist)",
        "it has no vdw_kernel.bindat",
        "put that file of VASP's distribution into the folder engine.profile.pseudo_dir",
    ),
    Failure(
        r"Tetrahedron method fails",
        "the tetrahedron method needs 4 k-points or more",
        "set ISMEAR: 0 and SIGMA: 0.05, or a denser engine.parameters.kpoints",
    ),
    Failure(
        r"TOO FEW BANDS|NBANDS.{0,40}(too (?:low|small)|is smaller)",
        "there are too few bands",
        "raise engine.parameters.incar.NBANDS, or remove it",
    ),
    Failure(
        r"VERY BAD NEWS! internal error in subroutine +(\w+)",
        "an internal error in {0}: mostly symmetry or the k-points",
        "check ISYM (0 is the default), engine.parameters.kpoints and the structure in POSCAR",
    ),
    Failure(
        r"Error EDDDAV: Call to ZHEGV failed|EDDRMM: call to ZHEGV failed|EDDDAV.{0,40}failed",
        "the eigensolver failed (EDDDAV, EDDRMM)",
        _STEPS,
        is_amendable=True,
    ),
    Failure(
        r"Sub-Space-Matrix is not hermitian",
        "the subspace matrix lost its symmetry",
        _STEPS,
        is_amendable=True,
    ),
    Failure(
        r"BRMIX: very serious problems",
        "the charge mixer failed (BRMIX)",
        "check NELECT, NUPDOWN and the POTCARs; " + _STEPS,
        is_amendable=True,
    ),
    Failure(
        r"LAPACK: Routine (Z\w+) failed|scaLAPACK.{0,40}(failed|error)|Routine ZPOTRF failed",
        "a matrix could not be factorized (ZPOTRF): atoms too close, or libraries that do not fit",
        "check the structure in POSCAR; then set LSCALAPACK: false, or " + _PARALLEL,
    ),
    Failure(
        r"(?:internal error|ERROR).{0,60}(?:FEXCP|FEXCF)",
        "the charge density is outside its table (FEXCP)",
        "check the structure in POSCAR; atoms are likely too close",
    ),
    Failure(
        r"distance between some ions is (?:very|too) small|ions? (?:are )?too close",
        "atoms are too close to each other",
        "check the structure in POSCAR; smaller displacements help",
    ),
    Failure(
        r"[Ss]egmentation fault|SIGSEGV",
        "it crashed (segmentation fault)",
        "set ulimit -s unlimited where it starts, or " + _PARALLEL,
    ),
)
"""In the order in which they are looked for: what ends a run before what it warns of."""


def find_failure(text: str) -> Failure | None:
    """Return the first failure of the table in an output, its reason with what VASP names.

    Examples
    --------
    >>> find_failure(" Error reading item 'ENCUT' from file INCAR.").reason
    'it cannot read ENCUT in INCAR'
    """
    for failure in FAILURES:
        found = re.search(failure.pattern, text)
        if found is not None:
            words = [word or "" for word in found.groups()]
            reason = failure.reason.format(*words) if "{0}" in failure.reason else failure.reason
            return Failure(failure.pattern, reason, failure.fix, failure.is_amendable)
    return None
