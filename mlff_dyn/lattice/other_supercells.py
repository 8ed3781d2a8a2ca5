"""Order 3 of a whole training supercell on other supercells.

Force constants of all triples of a supercell obey the acoustic sum rule there, where all images of an atom
are one atom. In the infinite crystal the sum over the third atom of a triple then vanishes only when it is
taken over all images of the pair of the other two. What is left over for a single image is removed by
two-body force constants of that image. They cancel on the training supercell, because what is left over does.

The part of the left-over that is antisymmetric in its three axes has no counterpart among two-body force
constants and stays. It is zero in rock salt and cubic perovskite and concerns one parameter of 777 in silicon
with 64 atoms: for random parameters the shift of a 216-atom crystal by as much as its atoms are displaced
changes forces by 0.4 %, and by 40 % without the remedy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlff_dyn.lattice.orbits import InCrystal, RowIndex
from mlff_dyn.lattice.sum_rules import translation_response
from mlff_dyn.lattice.tensors import Composition

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.invariants import OrbitTerms

_ZERO = 1e-10
"""Rounding of rows of a sum rule, whose coefficients are of the size of one."""


def restore_translations(terms: OrbitTerms, nullspace: NDArray[np.float64], n_sites: int) -> OrbitTerms:
    """Terms of order 3 that rigid translations of other supercells leave alone as well.

    On the training supercell they are the same for all parameters that obey its acoustic sum rule.

    Parameters
    ----------
    terms : OrbitTerms
        Of all triples of the training supercell.
    nullspace : ndarray, shape (n_parameters, n_free)
        Parameters that obey the acoustic sum rule of the training supercell.
    n_sites : int
        Atoms of the primitive cell.
    """
    keys, response = translation_response(terms, InCrystal(n_sites))
    size = np.abs(response @ nullspace).max(axis=1, initial=0.0)
    if not (size > _ZERO).any():
        return terms
    wrong = RowIndex(keys[size > _ZERO, :2])
    pairs = wrong.rows
    chosen = np.flatnonzero((keys[:, None, :2] == pairs[None]).all(axis=2).any(axis=1))
    place = 27 * wrong.find(keys[chosen, :2]) + keys[chosen, 2:] @ np.array([9, 3, 1])
    places = (place, np.arange(len(chosen)))
    spread = sparse.csr_matrix((np.ones(len(chosen)), places), shape=(27 * len(pairs), len(chosen)))
    members, axes, remedy = _two_body_remedy()
    table = sparse.kron(sparse.identity(len(pairs)), remedy) @ spread @ response[chosen]
    return replace(
        terms,
        codes=np.concatenate([terms.codes, pairs[:, members].reshape(-1, 3)]),
        axes=np.concatenate([terms.axes, np.tile(axes, (len(pairs), 1))]),
        table=sparse.csr_matrix(sparse.vstack([terms.table, table])),
        metric=np.concatenate([terms.metric, np.zeros(table.shape[0])]),
    )


def _two_body_remedy() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Smallest two-body terms of a pair that cancel its response to translations.

    Returns
    -------
    members, axes : ndarray of int, shape (36, 3)
        Atom of the pair and axis of the factors of each monomial.
    remedy : ndarray, shape (36, 27)
        Their coefficients per component (axis of first atom, of second, of translation) of the response.
    """
    parts = (Composition((2, 1)), Composition((1, 2)))
    members = np.repeat([part.body for part in parts], [part.dimension for part in parts], axis=0)
    axes = np.concatenate([part.axes for part in parts])
    norm = np.sqrt(np.concatenate([part.permutation_norm for part in parts]))
    response = np.zeros((3, 3, 3, len(axes)))
    for monomial, (atoms, (a, b, c)) in enumerate(zip(members.tolist(), axes.tolist(), strict=True)):
        if atoms[1] == 0:
            response[a, c, b, monomial] += 1.0
            response[b, c, a, monomial] += 1.0
        else:
            response[a, b, c, monomial] += 1.0
            response[a, c, b, monomial] += 1.0
    scaled = response.reshape(27, -1) / norm
    return members, axes, -np.linalg.pinv(scaled, rcond=1e-10) / norm[:, None]
