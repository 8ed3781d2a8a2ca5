"""The magnetic state that a calculation ended in, against the one it was to be in."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import EngineError
from mlff_dyn.lattice.magnetism import MAGNETIC_LIMITS, another_order, collinear_moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class MagneticState:
    """What a code says of the moments; Bohr magnetons, None where it says nothing.

    Attributes
    ----------
    moments : ndarray, shape (n_atoms,), or None
        Collinear, in the order of the input.
    total : float or None          sum over the cell
    absolute : float or None       integral of the absolute spin density
    """

    moments: np.ndarray | None = None
    total: float | None = None
    absolute: float | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> MagneticState:
        """Build a state from the JSON values of ``to_json``."""
        moments = content["moments_bohr_magneton"]
        return cls(
            None if moments is None else np.array(moments, dtype=float),
            content["total_bohr_magneton"],
            content["absolute_bohr_magneton"],
        )

    def to_json(self) -> dict[str, list[float] | float | None]:
        """Return plain values."""
        return {
            "moments_bohr_magneton": None if self.moments is None else self.moments.tolist(),
            "total_bohr_magneton": self.total,
            "absolute_bohr_magneton": self.absolute,
        }


def state_of_results(results: Mapping[str, Any]) -> MagneticState | None:
    """State in the results of an ASE calculator; None if they have no moments."""
    moments, total = results.get("magmoms"), results.get("magmom")
    if moments is None and total is None:
        return None
    return MagneticState(
        moments=None if moments is None else collinear_moments(moments),
        total=None if total is None or np.ndim(total) else float(total),
    )


def check_magnetic_state(atoms: Atoms, state: MagneticState | None) -> None:
    """Refuse a calculation that ended in another magnetic order than that of its structure.

    Some models tell sizes without signs; if no total is there to tell them apart from a ferromagnet, only the
    sizes are compared.

    Parameters
    ----------
    atoms : Atoms
        What was calculated, with the moments of the reference.
    state : MagneticState or None
        None is accepted, with a warning: the engine does not know of spins.

    Raises
    ------
    EngineError
        With the atom and both moments.
    """
    reference = atoms.get_initial_magnetic_moments()
    if state is None:
        if reference.any():
            _warn_that_nothing_is_known()
        return
    if not reference.any():
        problem = None if state.moments is None else another_order(atoms.numbers, None, state.moments)
    elif state.moments is None:
        problem = _another_total(reference, state)
    elif state.total is None and (state.moments >= 0.0).all():
        problem = another_order(atoms.numbers, np.abs(reference), state.moments)
    else:
        problem = another_order(atoms.numbers, reference, state.moments)
    if problem is not None:
        raise EngineError(
            f"the calculation ended in another magnetic state than the reference: {problem}",
            fix="check engine.parameters (Hubbard U, smearing, mixing) and structure.magnetic_moments, or "
            "use smaller displacements",
        )


def _another_total(reference: np.ndarray, state: MagneticState) -> str | None:
    expected, net = float(np.abs(reference).sum()), float(reference.sum())
    size = expected
    if state.absolute is not None:
        size = state.absolute
        if size < MAGNETIC_LIMITS.lost_share * expected:
            return f"absolute magnetization {size:.2f}, in the reference {expected:.2f} Bohr magnetons"
    if state.total is None or abs(abs(state.total) / size - abs(net) / expected) <= MAGNETIC_LIMITS.imbalance:
        return None
    return f"total magnetization {state.total:.2f}, in the reference {net:.2f} Bohr magnetons"


@cache
def _warn_that_nothing_is_known() -> None:
    _logger.warning(
        "the structure has magnetic moments, of which the engine tells nothing: the state that a calculation "
        "ends in is not checked"
    )
