"""Displacements of a crystal whose atoms are held together by springs, before any force is known.

A thermal crystal bends its bonds rather than stretch them; where atoms move independently, bonds are
stretched as much as bent, mostly by optical modes, and what a fit leaves out of them is large beside what
tells long waves. Springs are what can be told of a crystal without a calculation: stiff along its bonds, soft
across them, weaker with distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import bsr_matrix
from scipy.sparse.linalg import cg

from mlff_dyn.lattice.bonds import bonded_atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus


@dataclass(frozen=True)
class Springs:
    """Stiffness of the pairs of a crystal, over that of its shortest bonds along themselves.

    Attributes
    ----------
    across : float
        Of a pair across its line. Conductivities of BAs (SevenNet-0) after one calculation err by 6 % with
        0.1, by 13 % with 0.25.
    decay : float
        Power of the shortest bond over the distance.
    reach : float
        Longest distance over the shortest bond.
    tolerance : float
        Of the solution, relative.
    """

    across: float = 0.1
    decay: float = 6.0
    reach: float = 2.0
    tolerance: float = 1e-10


SPRINGS = Springs()


def spring_displacements(
    torus: Torus, sd_angstrom: float, seed: tuple[int, ...], springs: Springs = SPRINGS
) -> NDArray[np.float64]:
    """Classical thermal motion of a crystal of springs, without rigid shift, scaled to one size.

    With K = Bᵀ B, where the rows of B are the elongations of all springs times the roots of their
    stiffnesses, u = K⁺ Bᵀ g has the covariance K⁺ of thermal motion if g is normal; K⁺ leaves out what no
    spring holds.

    Parameters
    ----------
    torus : Torus
    sd_angstrom : float
        Root mean square of a component.
    seed : tuple of int
        Any numbers that name this structure.
    springs : Springs, optional

    Returns
    -------
    ndarray, shape (n_atoms, 3)     Å
    """
    elongations = _elongations(torus, springs)
    drawn = np.random.default_rng(seed).standard_normal(elongations.shape[0])
    stiffness = (elongations.T @ elongations).tocsr()
    solved, _ = cg(stiffness, elongations.T @ drawn, rtol=springs.tolerance)
    u = solved.reshape(-1, 3)
    u -= u.mean(axis=0)
    return np.asarray(sd_angstrom * u / np.sqrt(np.mean(u**2)))


def _elongations(torus: Torus, springs: Springs) -> bsr_matrix:
    """B, shape (3 n_springs, 3 n_atoms); a pair of an atom with its own image has none."""
    blocks, columns = [], []
    for pairs in bonded_atoms(torus, springs.reach).pieces():
        distances = np.linalg.norm(pairs.vectors, axis=1)
        shortest = np.full(torus.n_atoms, np.inf)
        np.minimum.at(shortest, pairs.first, distances)
        roots = (shortest[pairs.first] / distances) ** (0.5 * springs.decay)
        along = np.einsum("pi,pj->pij", pairs.vectors, pairs.vectors) / distances[:, None, None] ** 2
        root = along + np.sqrt(springs.across) * (np.eye(3) - along)
        blocks.append(roots[:, None, None] * root)
        columns.append(np.column_stack([pairs.first, pairs.second]))
    block, pair = np.concatenate(blocks), np.concatenate(columns)
    signed = np.stack([-block, block], axis=1).reshape(-1, 3, 3)
    starts = 2 * np.arange(len(pair) + 1)
    return bsr_matrix((signed, pair.ravel(), starts), shape=(3 * len(pair), 3 * torus.n_atoms))
