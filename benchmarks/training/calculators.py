"""Calculators without arguments, so that a configuration can name them."""

from __future__ import annotations

from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import TersoffBrenner, tersoff_brenner


class Tersoff(Manybody):
    """Tersoff's silicon."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(**TersoffBrenner(tersoff_brenner.Tersoff_PRB_39_5566_Si_C), **arguments)
