"""The local part of the energy in C++; its energy and forces are part of `ForceKernel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.compiled.tables.radial_coefficients import radial_coefficients
from mlff_dyn.kernels.local_cubic import cubic_terms
from mlff_dyn.kernels.slot_atoms import atoms_for_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.local_cubic import CubicTerms
    from mlff_dyn.kernels.local_tables import LocalTables, LocalTerms


def local_arguments(terms: LocalTerms) -> tuple[Any, ...]:
    """Arguments of set_local; where it gets the neighbors of cell 0 alone, set_grid comes before."""
    tables = terms.tables
    pair, triple = tables.coefficients(terms.values)
    return (
        INSTRUCTION_SET,
        tables.l_max,
        tables.cutoff,
        terms.energy_at_rest,
        *(
            np.ascontiguousarray(each, np.int32)
            for each in (tables.kinds, tables.starts, tables.kinds[tables.slots[:, 0]])
        ),
        atoms_for_kernel(terms.slot_atoms),
        *(
            np.ascontiguousarray(each, np.float64)
            for each in (terms.vectors, radial_coefficients(tables), pair, triple)
        ),
        *_cubic_arguments(cubic_terms(tables, terms.values)),
    )


def _cubic_arguments(kinds: list[CubicTerms]) -> tuple[NDArray[Any], ...]:
    """Monomials of all kinds as in local_tables.hpp: those of the same two factors side by side."""
    places = np.concatenate([terms.places for terms in kinds])
    owners = np.repeat(np.arange(len(kinds)), [len(terms.places) for terms in kinds])
    is_first = np.ones(len(places), bool)
    same_pair = (np.diff(places[:, :2], axis=0) == 0).all(axis=1)
    is_first[1:] = ~same_pair | (np.diff(owners) != 0)
    first = np.flatnonzero(is_first)
    return (
        np.searchsorted(owners[first], np.arange(len(kinds) + 1)).astype(np.int32),
        np.ascontiguousarray(places[first, :2]),
        np.append(first, len(places)).astype(np.int32),
        np.ascontiguousarray(places[:, 2]),
        np.concatenate([terms.coefficients for terms in kinds]),
    )


def work_of_local(tables: LocalTables) -> float:
    """Work for one cell in multiplications, as if all neighbors were inside the cutoff."""
    n_harmonics = (tables.l_max + 1) ** 2
    cubic = cubic_terms(tables, np.zeros(tables.n_functions))
    of_neighbor = tables.n_radial * (2 * tables.radial.shape[1] + 4 * n_harmonics)
    of_atom = 2 * tables.n_channels**2 * n_harmonics
    of_three = sum(2 * len(cubic[kind].places) for kind in tables.kinds)
    return float(len(tables.slots) * of_neighbor + tables.n_sites * of_atom + of_three)


class LocalKernel:
    """Energy, forces and virial of the local part alone, under any strain.

    Parameters
    ----------
    terms : LocalTerms
        At any strain.
    """

    def __init__(self, terms: LocalTerms) -> None:
        self._arguments: tuple[Any, ...] = local_arguments(terms)
        sizes = (terms.tables.n_sites, terms.slot_atoms.n_cells, 1)
        self._evaluator = _compiled.ForceEvaluator64(*sizes, INSTRUCTION_SET, 1)
        if terms.slot_atoms.grid is not None:
            self._evaluator.set_grid(*terms.slot_atoms.grid)
        self._set(terms)

    def _set(self, terms: LocalTerms) -> None:
        """Take the strain and the energy at rest of terms that are the same otherwise."""
        arguments = list(self._arguments)
        arguments[_ENERGY_AT_REST] = terms.energy_at_rest
        arguments[_VECTORS] = np.ascontiguousarray(terms.vectors, np.float64)
        self._evaluator.set_local(*arguments)
        self._terms = terms

    def at(self, terms: LocalTerms) -> LocalKernel:
        """Return this kernel, now at the strain of terms that are the same otherwise."""
        if terms is not self._terms:
            self._set(terms)
        return self

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Energy measured from rest (eV), and forces, shape (n_atoms, 3), eV/Å."""
        check_shape("displacements", displacements, (self._terms.n_atoms, 3))
        forces = np.empty((self._terms.n_atoms, 3))
        return self._evaluator.energy_forces(np.ascontiguousarray(displacements, np.float64), forces), forces

    def virial(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of the energy with respect to the strain at constant displacements.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3), Å

        Returns
        -------
        ndarray, shape (3, 3), eV
            Symmetric; dE = sum_ab virial_ab dstrain_ab.
        """
        check_shape("displacements", displacements, (self._terms.n_atoms, 3))
        of_strained = np.empty((3, 3))
        self._evaluator.local_virial(np.ascontiguousarray(displacements, np.float64), of_strained)
        virial = of_strained @ np.linalg.inv(np.eye(3) + self._terms.strain)
        return np.asarray(0.5 * (virial + virial.T))


_ENERGY_AT_REST, _VECTORS = 3, 8
"""Places of the arguments of set_local that depend on the strain."""


def local_virial(terms: LocalTerms, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of the local part of the energy with respect to the strain; see `LocalKernel.virial`."""
    return LocalKernel(terms).virial(displacements)
