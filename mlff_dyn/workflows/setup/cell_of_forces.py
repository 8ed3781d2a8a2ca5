"""Training cell of a first configuration where the structure file has forces of a larger one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import MlffError
from mlff_dyn.formats.label_files.phonopy_sets import PHONOPY
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep
from mlff_dyn.store.source import Source
from mlff_dyn.store.structure_yaml import is_phonopy_yaml
from mlff_dyn.training.proposed_cell import CellProposal, training_cell

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.lattice.crystal import Crystal

_logger = logging.getLogger(__name__)

_TOLERANCE = 1e-3
"""Of the repetitions of the unit cell of the same file, which are whole numbers."""


def with_cell_of_forces(cells: CellProposal, structure: Path, crystal: Crystal) -> CellProposal:
    """Propose the largest cell that a file of phonopy or phono3py has forces of, if it is the larger one.

    What these forces tell of pairs that do not fit into a smaller training cell would be lost: sodium
    chloride of a published set, 102 cells, has 8.19 instead of 8.36 W/mK then.

    Parameters
    ----------
    cells : CellProposal
    structure : Path
        Forces may be beside it, as the programs write them.
    crystal : Crystal
    """
    if not is_phonopy_yaml(structure):
        return cells
    try:
        steps = list(PHONOPY.read(Source(structure.absolute()), ReadOptions()))
    except MlffError:
        return cells
    lattices = [step.cell for step in steps if not isinstance(step, RefusedStep)]
    largest = max(lattices, key=lambda each: abs(np.linalg.det(each)), default=crystal.input_lattice)
    repeats = largest @ np.linalg.inv(crystal.input_lattice)
    matrix = np.rint(repeats).astype(np.int64)
    given = training_cell(crystal, matrix)
    if given.n_atoms <= cells.proposed.n_atoms or np.abs(repeats - matrix).max() > _TOLERANCE:
        return cells
    _logger.info("structure.supercell: the %d atoms of forces in %s", given.n_atoms, structure)
    return CellProposal(proposed=given, cheaper=cells.proposed, larger=None)
