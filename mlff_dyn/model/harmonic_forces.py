"""Forces of order 2 of the whole energy: linear in displacements and strain.

Force constants of order 2 give them as they are; of the local part, which is no polynomial, they are the
limit of small displacements and strains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.expansion import Expansion

SMALL_STEP = 2.0**-10
"""Factor that makes displacements and strains small; a power of 2, by which nothing is rounded."""


def is_of_order_2(expansion: Expansion) -> NDArray[np.bool_]:
    """Parameters that order 2 depends on: those of the force constants, and all of the local part."""
    return np.isin(expansion.parameter_orders, (0, 2))


class HarmonicForces:
    """Forces of order 2 on a supercell.

    Parameters
    ----------
    expansion : Expansion
    parameters : ndarray, shape (n_parameters,)
        Of all parts of the energy.
    torus : Torus
    """

    def __init__(self, expansion: Expansion, parameters: NDArray[np.float64], torus: Torus) -> None:
        self._expansion, self._torus = expansion, torus
        self._parameters = np.where(is_of_order_2(expansion), parameters, 0.0)
        self._unstrained = expansion.on(torus).kernel(self._parameters)

    def __call__(
        self, displacements: NDArray[np.float64], strain: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Forces (eV/Å) at displacements (Å) from the sites of a strained cell, both (n_atoms, 3)."""
        there, back = (
            self._forces(step * displacements, step * strain) for step in (SMALL_STEP, -SMALL_STEP)
        )
        return np.asarray((there - back) / (2.0 * SMALL_STEP))

    def _forces(self, displacements: NDArray[np.float64], strain: NDArray[np.float64]) -> NDArray[np.float64]:
        kernel = self._unstrained
        if strain.any():
            kernel = self._expansion.on(self._torus, strain).kernel(self._parameters)
        return kernel.energy_forces(displacements)[1]
