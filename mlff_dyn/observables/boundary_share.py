"""How much of the long-wave stiffness of a crystal comes from the boundary of a supercell.

On a supercell a force constant is a sum over all images of an atom, and counts at the nearest one. Force
constants that reach farther are folded back, and what is linear in R R^T of the pairs, as elastic constants
are, is wrong by what they hold. They are not known, but those at the boundary are, whose atoms have several
images equally near:

    M = sum_t Phi_t (x) R_t R_t^T,    share = |M of the boundary| / |M|
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.clusters import decode
from mlff_dyn.lattice.wigner_seitz import shortest_images
from mlff_dyn.model.force_constants import short_range_constants

if TYPE_CHECKING:
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True)
class BoundaryLimits:
    """What counts as much.

    Attributes
    ----------
    large_share : float
        Share from which elastic constants may be off by more than a fit errs. Exact force constants on two
        supercells each: aluminum (EMT, 32 and 108 atoms) 0.25 and 0.004, C12 off by 50 and 0.5 %; copper
        0.08 and 0.006, C11 by 0.9 and 0 %; silicon (Tersoff, 8 and 64 atoms) 0.13 and 0.0001, C12 by 62 and
        0 %.
    """

    large_share: float = 0.05


BOUNDARY_LIMITS = BoundaryLimits()


def boundary_share(force_field: ForceField, torus: Torus) -> float:
    """Share of the boundary of a supercell in the second moments of its force constants.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Supercell of the training.
    """
    crystal, images = torus.crystal, shortest_images(torus)
    found = short_range_constants(force_field.expansion, force_field.posterior.mean, 2, torus)
    blocks = np.zeros((crystal.n_sites, torus.n_atoms, 3, 3))
    blocks[found.clusters[:, 0] // torus.n_cells, found.clusters[:, 1]] = found.blocks
    sites, offsets = decode(images.codes, crystal.n_sites)
    vectors = crystal.positions[sites] + offsets @ crystal.lattice - crystal.positions[images.sites]
    shared = blocks[images.sites, images.atoms] * images.shares[:, None, None]
    whole, of_boundary = (
        float(
            np.linalg.norm(
                np.einsum("tab,tc,td->abcd", shared[some], vectors[some], vectors[some], optimize=True)
            )
        )
        for some in (slice(None), images.shares < 1.0)
    )
    return of_boundary / whole if whole > 0.0 else 0.0
