"""What kind of value the common keys of pw.x take, so that a wrong one is named before it runs."""

from __future__ import annotations

from mlff_dyn.errors import ConfigError

_COUNT_NAMES = (
    "nbnd nspin electron_maxstep mixing_ndim mixing_fixed_ns diago_david_ndim diago_cg_maxiter exx_maxstep "
    "nqx1 nqx2 nqx3 lda_plus_u_kind dftd3_version"
)
_NUMBER_NAMES = (
    "ecutwfc ecutrho ecutfock ecutvcut conv_thr mixing_beta degauss tot_charge tot_magnetization "
    "exx_fraction screening_parameter diago_thr_init xdm_a1 xdm_a2 london_s6 london_rcut"
)
_POSITIVE_NAMES = "ecutwfc ecutrho ecutfock conv_thr mixing_beta nbnd nspin electron_maxstep mixing_ndim"
_SWITCH_NAMES = (
    "nosym noinv nosym_evc nofrac use_all_frac force_symmorphic noncolin lspinorb lda_plus_u adaptive_thr "
    "diago_full_acc tqr real_space x_gamma_extrapolation london xdm ts_vdw dftd3_threebody"
)
_COUNTS, _NUMBERS, _POSITIVE, _SWITCHES = (
    frozenset(names.split()) for names in (_COUNT_NAMES, _NUMBER_NAMES, _POSITIVE_NAMES, _SWITCH_NAMES)
)
_TRUTHS = {".true.": True, ".t.": True, ".false.": False, ".f.": False}


def checked_kind(where: str, key: str, value: bool | float | str) -> bool | int | float | str:
    """Return the value of a key as pw.x takes it, a Fortran switch as true or false.

    Raises
    ------
    ConfigError
        If the key is one of the common ones and its value of another kind, or not above 0 where it must be.
    """
    if key in _SWITCHES:
        truth = _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else value
        if not isinstance(truth, bool):
            raise ConfigError(f"{where}: true or false expected, got {value!r}", fix="correct it")
        return truth
    if key not in _COUNTS | _NUMBERS:
        return value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or (key in _COUNTS and float(value) % 1.0):
        kind = "an integer" if key in _COUNTS else "a number"
        raise ConfigError(f"{where}: {kind} expected, got {value!r}", fix="correct it")
    if key in _POSITIVE and float(value) <= 0.0:
        raise ConfigError(f"{where}: a number above 0 expected, got {value!r}", fix="correct it")
    return int(value) if key in _COUNTS else value
