"""The local part of the energy in C++; its energy and forces are part of `ForceKernel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.compiled.tables.radial_coefficients import radial_coefficients
from mlff_dyn.kernels.slot_atoms import atoms_for_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    )


def work_of_local(tables: LocalTables) -> float:
    """Work for one cell in multiplications, as if all neighbors were inside the cutoff."""
    n_harmonics = (tables.l_max + 1) ** 2
    of_neighbor = tables.n_radial * (2 * tables.radial.shape[1] + 4 * n_harmonics)
    of_atom = 2 * tables.n_channels**2 * n_harmonics
    return float(len(tables.slots) * of_neighbor + tables.n_sites * of_atom)


def local_virial(terms: LocalTerms, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of the local part of the energy with respect to the strain at constant displacements.

    Parameters
    ----------
    terms : LocalTerms
        At the strain where the derivative is taken.
    displacements : ndarray, shape (n_atoms, 3), Å

    Returns
    -------
    ndarray, shape (3, 3), eV
        Symmetric; dE = sum_ab virial_ab dstrain_ab.
    """
    check_shape("displacements", displacements, (terms.n_atoms, 3))
    sizes = (terms.tables.n_sites, terms.slot_atoms.n_cells, 1)
    evaluator = _compiled.ForceEvaluator64(*sizes, INSTRUCTION_SET, 1)
    if terms.slot_atoms.grid is not None:
        evaluator.set_grid(*terms.slot_atoms.grid)
    evaluator.set_local(*local_arguments(terms))
    of_strained = np.empty((3, 3))
    evaluator.local_virial(np.ascontiguousarray(displacements, np.float64), of_strained)
    virial = of_strained @ np.linalg.inv(np.eye(3) + terms.strain)
    return np.asarray(0.5 * (virial + virial.T))
