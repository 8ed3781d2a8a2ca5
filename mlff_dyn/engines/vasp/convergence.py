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
        if self.given_density:
            return "not self-consistent: the charge density was given (ICHARG of 10 or more)"
        if n_steps == 0:
            return "it has no electronic steps"
        if self.max_steps is not None and n_steps >= self.max_steps:
            return f"not converged: all NELM = {self.max_steps} electronic steps were made"
        if self.energy_ev is None:
            return "EDIFF is missing in the file: convergence cannot be told"
        if n_steps == 1:
            return "one electronic step alone: convergence cannot be told"
        before, last = energies_ev[-2:]
        if before is None or last is None:
            return "the energy of an electronic step is no number"
        change = abs(last - before)
        if change > self.energy_ev + self.printed_ev:
            return f"not converged: the last electronic step changed the energy by {change:.1e} eV, EDIFF is {self.energy_ev:g}"
        return None
