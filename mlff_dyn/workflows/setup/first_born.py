"""Born charges of a first configuration: those in the structure file, or in a file BORN beside it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mlff_dyn.errors import MlffError
from mlff_dyn.formats.born_file import NAME, read_born
from mlff_dyn.store.structure_yaml import is_phonopy_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.lattice.crystal import Crystal

_logger = logging.getLogger(__name__)


def born_charges_beside(structure: Path, crystal: Crystal) -> Path | None:
    """File with the Born charges of a crystal, None where there is none that fits it.

    Parameters
    ----------
    structure : Path
        A YAML file of phonopy or phono3py may have them itself.
    crystal : Crystal
    """
    beside = structure.absolute().parent / NAME
    inside = [structure] if is_phonopy_yaml(structure) else []
    for path in [*inside, *([beside] if beside.is_file() else [])]:
        try:
            read_born(path, crystal)
        except MlffError as error:
            if path == beside:
                _logger.warning("%s is not taken: %s", path, error.message)
            continue
        _logger.info("expansion.born_file: Born charges of %s", path)
        return path
    return None
