"""Harmonic force constants for phonopy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from phonopy import Phonopy
from phonopy.file_IO import write_FORCE_CONSTANTS, write_force_constants_to_hdf5

from mlff_dyn.formats.born_file import add_dipoles
from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.model.force_constants import force_constants_of
from mlff_dyn.store.atomic import require_space

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

NAMES = ("FORCE_CONSTANTS", "force_constants.hdf5", "phonopy_params.yaml")
_LARGEST_FULL = 512


def write_phonopy(force_field: ForceField, torus: Torus, directory: Path) -> tuple[str, ...]:
    """Write force constants of order 2 on a supercell, so that ``phonopy-load phonopy_params.yaml`` works.

    That file holds them and the dipoles itself, so it can be read from any directory. ``FORCE_CONSTANTS``
    holds the full array (the compact one above 512 atoms), ``force_constants.hdf5`` the compact one; all with
    the long-range interaction, whose dipoles also go to ``BORN``.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    directory : Path

    Returns
    -------
    tuple of str
        Names of the files.
    """
    constants = force_constants_of(force_field, 2, torus)
    phonon = Phonopy(**phonopy_cells(torus), log_level=0)
    supercell, p2s_map = phonon.supercell, np.array(phonon.primitive.p2s_map)
    first = np.arange(len(supercell)) if len(supercell) <= _LARGEST_FULL else p2s_map
    text, binary, main = (str(directory / name) for name in NAMES)
    write_FORCE_CONSTANTS(compact_array(constants, supercell, first), text, p2s_map=p2s_map)
    compact = compact_array(constants, supercell, p2s_map)
    require_space(directory, compact.nbytes)
    write_force_constants_to_hdf5(compact, binary, p2s_map=p2s_map, physical_unit="eV/angstrom^2")
    names = (*add_dipoles(phonon, force_field, torus, directory), *NAMES)
    phonon.force_constants = compact
    phonon.save(main, settings={"force_constants": True})
    return names
