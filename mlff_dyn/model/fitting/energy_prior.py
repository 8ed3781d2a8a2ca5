"""What is expected of the parameters of the energy before there are data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors
from mlff_dyn.regression.fit.priors import PriorBlock, StructuredPrior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.basis import ClusterClasses, ForceConstantBasis
    from mlff_dyn.local.basis import LocalBasis


def energy_prior(
    basis: ForceConstantBasis, local: LocalBasis | None, hyperpriors: Hyperpriors = HYPERPRIORS
) -> StructuredPrior:
    """Prior of all parameters of an energy.

    Force constants have a scale per order and kind and a decay over distance per order. Kinds are the numbers
    of bodies, on-site terms being one body; pairs along their bond, whose force constants are far larger than
    those across it, have a scale of their own. Functions of the local part have a scale and a decay, see
    `_local_blocks`.
    """
    blocks: list[PriorBlock] = []
    names: list[str] = []
    orders: list[int] = []
    late: tuple[int, ...] = ()
    for order, classes in zip(basis.orders, basis.classes, strict=True):
        kinds = _kinds(order, classes)
        present, groups = np.unique(kinds, return_inverse=True)
        distances = _beyond_first_shell(classes) if order > 1 else None
        log_weights = np.log(classes.multiplicities)
        blocks.append(PriorBlock(classes.whitened, len(names) + groups, distances, log_weights))
        names += [f"{order}.{kind}" for kind in present]
        orders += [order] * len(present)
    if local is not None:
        blocks += [block for _, block in _local_blocks(local, len(names))]
        own = [f"local {n}" for n in np.unique(local.bodies).tolist()]
        late = tuple(range(len(names), len(names) + len(own)))
        names += own
        orders += [1] * len(own)
    return StructuredPrior(blocks, tuple(names), np.array(orders), hyperpriors, late)


def decay_names(basis: ForceConstantBasis, local: LocalBasis | None) -> list[str]:
    """Name of each decay of `energy_prior`: orders from 2 on, then numbers of bodies of the local part."""
    own = [] if local is None else [decay for decay, _ in _local_blocks(local, 0)]
    return [*(str(order) for order in basis.orders if order > 1), *own]


def _local_blocks(local: LocalBasis, first_group: int) -> list[tuple[str, PriorBlock]]:
    """Functions of two to four bodies, of natural size: no data scale them; and names of their decays.

    The decay counts the mean number of the radial functions, which is the distance from the atom in units of
    their spacing; degrees of the angular functions are alike. Values that rules tie together have one decay.
    """
    away = local.mean_radial_indices
    bodies, groups = np.unique(local.bodies, return_inverse=True)
    groups = first_group + groups
    if local.structure is not None:
        return [("local", PriorBlock(local.structure, groups, away, np.zeros(len(away))))]
    blocks = []
    for n in bodies.tolist():
        mine = local.bodies == n
        count = int(mine.sum())
        blocks.append((f"local {n}", PriorBlock(np.eye(count), groups[mine], away[mine], np.zeros(count))))
    return blocks


def _beyond_first_shell(classes: ClusterClasses) -> NDArray[np.float64]:
    """Distance (Å) that the decay counts: from the smallest clusters on; none for on-site terms.

    The distance of a cluster is its longest step from atom to atom: a chain of bonds is as strong as a bond,
    however far apart its ends are. The scales are those of the first shell, which data tell best, and hardly
    depend on the decay.
    """
    apart = classes.n_bodies > 1
    first = float(classes.longest_steps[apart].min(initial=np.inf)) if apart.any() else 0.0
    return np.where(apart, classes.longest_steps - first, 0.0)


def _kinds(order: int, classes: ClusterClasses) -> NDArray[np.str_]:
    """Kind of each orbit parameter."""
    kinds = np.minimum(classes.n_bodies, order).astype(str)
    if classes.is_longitudinal is not None:
        kinds = np.where(classes.is_longitudinal, np.char.add(kinds, " along"), kinds)
    return kinds
