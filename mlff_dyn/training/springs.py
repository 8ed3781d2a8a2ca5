"""Displacements of a crystal whose atoms are held together by springs, before any force is known.

A thermal crystal bends its bonds rather than stretch them; where atoms move independently, bonds are
stretched as much as bent, mostly by optical modes, and what a fit leaves out of them is large beside what
tells long waves. Springs are what can be told of a crystal without a calculation: stiff along its bonds, soft
across them, weaker with distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import bsr_matrix, coo_matrix
from scipy.sparse.csgraph import connected_components
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
        Longest distance over the shortest bond of an atom; longer where that leaves parts that nothing holds
        together, as molecules.
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
    reach, pairs = springs.reach, _pairs(torus, springs.reach)
    while not _is_whole(pairs, torus.n_atoms):
        reach *= 1.5
        pairs = _pairs(torus, reach)
    distances = np.linalg.norm(pairs.vectors, axis=1)
    shortest = np.full(torus.n_atoms, np.inf)
    np.minimum.at(shortest, pairs.first, distances)
    roots = (shortest[pairs.first] / distances) ** (0.5 * springs.decay)
    along = np.einsum("pi,pj->pij", pairs.vectors, pairs.vectors) / distances[:, None, None] ** 2
    blocks = roots[:, None, None] * (along + np.sqrt(springs.across) * (np.eye(3) - along))
    signed = np.stack([-blocks, blocks], axis=1).reshape(-1, 3, 3)
    atoms, starts = np.column_stack([pairs.first, pairs.second]), 2 * np.arange(len(distances) + 1)
    return bsr_matrix((signed, atoms.ravel(), starts), shape=(3 * len(distances), 3 * torus.n_atoms))


class _Pairs(NamedTuple):
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: NDArray[np.float64]


def _pairs(torus: Torus, reach: float) -> _Pairs:
    """Pairs of atoms closer than a multiple of the shortest bond of the first one."""
    found = list(bonded_atoms(torus, reach).pieces())
    first, second, vectors = (
        np.concatenate([getattr(each, name) for each in found]) for name in _Pairs._fields
    )
    return _Pairs(first, second, vectors)


def _is_whole(pairs: _Pairs, n_atoms: int) -> bool:
    """Whether pairs hold all atoms together."""
    ones = np.ones(len(pairs.first), dtype=bool)
    graph = coo_matrix((ones, (pairs.first, pairs.second)), shape=(n_atoms, n_atoms))
    return int(connected_components(graph, directed=False)[0]) == 1
