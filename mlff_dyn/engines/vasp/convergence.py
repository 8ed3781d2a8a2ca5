"""Whether the electrons of a step converged: the rules that all readers of VASP share.

VASP stops a loop when two successive energies (and sums of eigenvalues) differ by less than EDIFF, or after
NELM steps. ``vasprun.xml`` says neither, and an OUTCAR of a run that was asked to stop says that EDIFF was
reached where it was not, so both are counted again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONVERGENCE_FIX = "calculate it again with a larger NELM or another ALGO"

_PRINTED_EV = 2.0e-8


@dataclass(frozen=True)
class ElectronicLimits:
    """What ends the electronic steps, as far as the file tells.

    Attributes
    ----------
    max_steps : int or None
        NELM.
    energy_ev : float or None
        EDIFF.
    given_density : bool
        The charge density is not self-consistent with the orbitals (ICHARG of 10 or more).
    printed_ev : float
        Largest error of the difference of two energies as they are printed.
    """

    max_steps: int | None
    energy_ev: float | None
    given_density: bool = False
    printed_ev: float = _PRINTED_EV

    def problem(self, energies_ev: Sequence[float | None]) -> str | None:
        """Say why a step is not converged; None if it is.

        Parameters
        ----------
        energies_ev : sequence of float or None
            Of its electronic steps; None where it is no number.
        """
        n_steps = len(energies_ev)
        problems = (
            (self.given_density, "not self-consistent: the charge density was given (ICHARG of 10 or more)"),
            (n_steps == 0, "it has no electronic steps"),
            (
                self.max_steps is not None and n_steps >= self.max_steps,
                f"not converged: all NELM = {self.max_steps} electronic steps were made",
            ),
            (self.energy_ev is None, "EDIFF is missing in the file: convergence cannot be told"),
            (n_steps == 1, "one electronic step alone: convergence cannot be told"),
        )
        found = next((reason for holds, reason in problems if holds), None)
        return found or self._last_change(*energies_ev[-2:])

    def _last_change(self, before: float | None, last: float | None) -> str | None:
        if before is None or last is None:
            return "the energy of an electronic step is no number"
        change, limit = abs(last - before), self.energy_ev or 0.0
        if change <= limit + self.printed_ev:
            return None
        return (
            f"not converged: the last electronic step changed the energy by {change:.1e} eV (EDIFF {limit:g})"
        )
