"""Messages of VASP: each becomes one line with the next step."""

from __future__ import annotations

import pytest

from mlff_dyn.engines.vasp.failures import FAILURES, find_failure

MESSAGES = {
    " forrtl: No space left on device\n forrtl: severe (38): error during write, unit 12": "the disk is full",
    " Disk quota exceeded": "the disk is full",
    "ERROR: license check failed": "license was refused",
    " Error reading item 'LASPHH' from file INCAR.": "cannot read LASPHH",
    " ERROR: the number of types in POTCAR and POSCAR differ; number of types on POTCAR": "do not belong",
    " POSCAR and POTCAR are incompatible": "POTCAR and POSCAR do not belong together",
    "LEXCH on the POTCARs is not the same": "of different functionals",
    " Tetrahedron method fails for NKPT<4. NKPT =           1": "needs 4 k-points",
    " ERROR: vdw_kernel.bindat not found": "no vdw_kernel.bindat",
    " TOO FEW BANDS!! ": "too few bands",
    "|  The distance between some ions is very small. |": "too close",
    " VERY BAD NEWS! internal error in subroutine SGRCON:": "an internal error in SGRCON",
    " Error EDDDAV: Call to ZHEGV failed. Returncode =   8 1   8": "eigensolver failed",
    " WARNING: Sub-Space-Matrix is not hermitian in DAV            1": "lost its symmetry",
    " BRMIX: very serious problems\n  the old and the new charge density differ": "mixer failed",
    " LAPACK: Routine ZPOTRF failed!": "could not be factorized",
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.0": "memory did not suffice",
    "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2024 DUE TO TIME LIMIT ***": "time of the job ended",
    "vasp_std: error while loading shared libraries: libmkl.so.2: cannot open": "the library libmkl.so.2",
    " internal ERROR in subroutine FEXCP: supplied Exchange-correletion table": "outside its table",
    "Program received signal SIGSEGV: Segmentation fault": "it crashed",
}


@pytest.mark.parametrize("text", MESSAGES)
def test_a_message_is_named(text):
    found = find_failure(f" running on    4 total cores\n{text}\n  more lines\n")
    assert found is not None
    assert MESSAGES[text] in found.reason
    assert found.fix
    assert "\n" not in found.reason + found.fix


def test_every_failure_of_the_table_has_a_message():
    found = {find_failure(text).pattern for text in MESSAGES}
    assert found == {failure.pattern for failure in FAILURES}


def test_a_sound_run_says_nothing(shared_data):
    text = (shared_data / "vasp/OUTCAR.BaTiO3.polar").read_text(errors="replace")
    assert find_failure(text) is None
    assert find_failure(" POSCAR, INCAR and KPOINTS ok, starting setup\n FFT: planning ...\n") is None
