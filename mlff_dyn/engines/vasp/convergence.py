"""Whether the electrons of a step converged: the rules that all readers of VASP share.

VASP stops a loop when two successive energies (and sums of eigenvalues) differ by less than EDIFF, or after
NELM steps. ``vasprun.xml`` says neither, and an OUTCAR of a run that was asked to stop says that EDIFF was
reached where it was not, so both are counted again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AGAIN_FIX = "calculate it again with a larger NELM or another ALGO"
ANOTHER_RUN = "it belongs to another run that follows in the file, whose settings are not read"
ANOTHER_RUN_FIX = "cut the file where the other run begins"
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
    scaled : bool
        Forces are mixed with those of another Hamiltonian (SCALEE).
    """

    max_steps: int | None
    energy_ev: float | None
    given_density: bool = False
    scaled: bool = False

    @classmethod
    def of_tags(cls, tags: Mapping[str, str], *, energy_ev: float | None = None) -> ElectronicLimits:
        """Read them from the tags of a run; an EDIFF that is known better may be given."""
        max_steps, density = tag_number(tags, "NELM"), tag_number(tags, "ICHARG")
        return cls(
            max_steps=None if max_steps is None else int(max_steps),
            energy_ev=tag_number(tags, "EDIFF") if energy_ev is None else energy_ev,
            given_density=density is not None and density >= 10,
            scaled=tag_number(tags, "SCALEE") not in {None, 1.0},
        )

    def check_run(self) -> None:
        """Refuse a run whose forces are not those of its self-consistent electrons.

        Raises
        ------
        DataError
        """
        if self.given_density:
            raise DataError(
                "not self-consistent: the charge density was given (ICHARG of 10 or more)",
                fix="calculate it again with ICHARG below 10",
            )
        if self.scaled:
            raise DataError(
                "its forces are mixed with those of another Hamiltonian (SCALEE)",
                fix="calculate it with SCALEE = 1",
            )

    def check(self, energies_ev: Sequence[float | None]) -> None:
        """Refuse a step that is not converged.

        Parameters
        ----------
        energies_ev : sequence of float or None
            Of its electronic steps; None where it is no number.

        Raises
        ------
        DataError
        """
        self.check_run()
        n_steps = len(energies_ev)
        if self.max_steps is not None and n_steps >= self.max_steps:
            raise DataError(
                f"not converged: all NELM = {self.max_steps} electronic steps were made", fix=AGAIN_FIX
            )
        if n_steps < 2 or self.energy_ev is None:
            missing = "EDIFF" if self.energy_ev is None else "its electronic steps"
            raise DataError(f"convergence cannot be told without {missing}", fix=AGAIN_FIX)
        before, last = energies_ev[-2:]
        if before is None or last is None:
            raise DataError("the energy of an electronic step is no number", fix=AGAIN_FIX)
        change = abs(last - before)
        if change > self.energy_ev + _PRINTED_EV:
            raise DataError(
                f"not converged: the last energies differ by {change:.1e} eV (EDIFF {self.energy_ev:g})",
                fix=AGAIN_FIX,
            )


def tag_number(tags: Mapping[str, str], name: str) -> float | None:
    """Return the value of a tag; None where it is missing or no finite number."""
    try:
        value = float(tags.get(name, "nan"))
    except ValueError:
        return None
    return value if np.isfinite(value) else None
