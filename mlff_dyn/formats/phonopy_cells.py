"""Cells and atom order as phonopy and phono3py have them.

Both write vectors as columns: supercell = unit cell @ supercell_matrix, primitive cell = unit cell @
primitive_matrix. The unit cell is the one that the user gave, atom by atom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from phonopy.structure.atoms import PhonopyAtoms

from mlff_dyn.errors import UsageError
from mlff_dyn.lattice.ideal_cell import ideal_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_constants import ForceConstants


def phonopy_cells(torus: Torus) -> dict[str, Any]:
    """Arguments of the constructors of Phonopy and Phono3py that describe a supercell.

    Raises
    ------
    UsageError
        If the supercell is not a repetition of the cell that the user gave.
    """
    crystal = torus.crystal
    repetitions = torus.matrix @ np.linalg.inv(crystal.input_matrix)
    if np.abs(repetitions - np.rint(repetitions)).max() > 1e-6:
        raise UsageError(
            f"supercell {torus.matrix.tolist()} (primitive vectors) is no repetition of the input cell",
            fix="choose a supercell in vectors of structure.file",
        )
    return {
        "unitcell": input_cell(crystal),
        "supercell_matrix": np.rint(repetitions).astype(np.int64).T,
        "primitive_matrix": np.linalg.inv(crystal.input_matrix).T,
        "symprec": crystal.symprec,
    }


def compact_array(
    constants: ForceConstants, supercell: PhonopyAtoms, first: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Force constants in the atom order of a phonopy supercell.

    Parameters
    ----------
    constants : ForceConstants
    supercell : PhonopyAtoms
        The supercell that phonopy made of `phonopy_cells` of the same torus.
    first : ndarray of int, shape (n_first,)
        Supercell atoms of the first axis: those of the primitive cell (compact), or all (full).

    Returns
    -------
    ndarray, shape (n_first, n_atoms, ..., n_atoms, 3, ..., 3)
        eV/Å^order.
    """
    atoms, _ = constants.torus.match(supercell.positions)
    return constants.dense(atoms[first], atoms)


def input_cell(crystal: Crystal) -> PhonopyAtoms:
    """Cell that the user gave, its symmetry exact."""
    lattice, positions = ideal_input(crystal)
    return PhonopyAtoms(
        numbers=crystal.input_numbers,
        masses=crystal.input_masses,
        cell=lattice,
        scaled_positions=positions @ np.linalg.inv(lattice),
        magnetic_moments=crystal.input_magnetic_moments,
    )
