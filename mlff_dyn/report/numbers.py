"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN = "not computed"
_MOST_DIGITS = 6
_SHARE_WITHOUT_ERROR = 1e-3


def format_count(count: int, noun: str) -> str:
    """Write a number of things, whose plural ends in s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def format_percent(fraction: float) -> str:
    """Write a fraction in percent."""
    return f"{100 * fraction:.2f} %"


def format_short(value: float) -> str:
    """Write two digits of a number: ``1200``, ``0.34``."""
    return f"{float(f'{value:.2g}'):g}"


def format_error(value: float, relative: float | None = None, form: str = "#.2g") -> str:
    """Write a force error in eV/Å and, where it is known, relative to the forces: ``0.012 eV/Å (1.20 %)``."""
    return f"{value:{form}} eV/Å" + ("" if relative is None else f" ({format_percent(relative)})")


def format_mesh(mesh: Sequence[int]) -> str:
    """Write numbers with crosses between them."""
    return " x ".join(map(str, mesh))


def format_with_errors(value: float, *errors: float) -> str:
    """Write a value with its errors, to two digits of the smallest one: ``1.23 ± 0.45 ± 0.11``."""
    known = [each for each in errors if each > 0.0]
    size = min(known) if known else _SHARE_WITHOUT_ERROR * abs(value) or 1.0
    digits = min(_MOST_DIGITS, max(0, 1 - math.floor(math.log10(size))))
    return " ± ".join(f"{each:.{digits}f}" for each in (value, *errors))


def format_parts(sds: Mapping[str, float]) -> str:
    """Write the two parts of a predicted error, eV/Å."""
    return f"epistemic {sds['epistemic']:#.2g}, truncation {sds['truncation']:#.2g}"


def format_displacements(rms: float | None, maximum: float | None) -> str:
    """Write for which displacements (Å) an error holds; nothing where that is not known."""
    if rms is None or maximum is None:
        return ""
    return f"for displacements of rms {rms:.2g} Å, at most {maximum:.2g} Å"


def format_quantity(value: float | None, form: str, unit: str) -> str:
    """Write a number with its unit, or that there is none."""
    return UNKNOWN if value is None else f"{value:{form}} {unit}".rstrip()


def format_mean(value: float | None, error: float | None, unit: str, form: str = ".3f") -> str:
    """Write a mean with its statistical error, or what of it is not known."""
    if value is None:
        return UNKNOWN
    spread = "(statistical error not known)" if error is None else f"± {error:{form}}"
    return f"{value:{form}} {unit} {spread}" if error is None else f"{value:{form}} {spread} {unit}"


def format_remedy(sds: Mapping[str, float]) -> str:
    """Say which part of the error more data would remove, and which only a larger expansion would.

    Parameters
    ----------
    sds : mapping
        ``epistemic``, ``truncation`` and ``predictive`` error, eV/Å.
    """
    total = sds["predictive"] ** 2
    if not total > 0.0:
        return "nothing to do"
    share = 100.0 * sds["epistemic"] ** 2 / total
    parts = (
        f"more data remove at most {sds['epistemic']:#.2g} eV/Å ({share:.0f} % of the variance), "
        f"only a larger expansion or local part the other {sds['truncation']:#.2g}"
    )
    return f"{'data' if share >= 50.0 else 'expansion'}: {parts}"
