"""Harmonic and cubic force constants for phono3py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.born_file import add_dipoles
from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.model.force_constants import force_constants_of
from mlff_dyn.store.atomic import require_space

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

NAMES = ("fc2.hdf5", "fc3.hdf5", "phono3py_params.yaml")
_LARGEST_BYTES = 8 << 30


def write_phono3py(
    force_field: ForceField, torus: Torus, directory: Path, *, harmonic: Torus | None = None
) -> tuple[str, ...]:
    """Write compact force constants of orders 2 and 3, so that ``phono3py-load`` finds them.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Supercell of order 3, and of order 2 without another one.
    directory : Path
    harmonic : Torus, optional
        Supercell of order 2.

    Returns
    -------
    tuple of str
        Names of the files.

    Raises
    ------
    UsageError
        If phono3py is not installed or the array does not fit into memory.
    DataError
        If the expansion has no order 3, or the disk has no room for the files.
    """
    phono3py, file_io = _import_phono3py()
    fc2 = force_constants_of(force_field, 2, harmonic or torus)
    fc3 = force_constants_of(force_field, 3, torus)
    size = torus.crystal.n_sites * torus.n_atoms**2 * 27 * 8
    if size > _LARGEST_BYTES:
        raise UsageError(
            f"fc3.hdf5 of {torus.n_atoms} atoms would take {size / 2**30:.0f} GiB",
            fix="export on a smaller supercell",
        )
    require_space(directory, size)
    cells = phonopy_cells(torus)
    if harmonic is not None:
        cells["phonon_supercell_matrix"] = phonopy_cells(harmonic)["supercell_matrix"]
    phonon = phono3py.Phono3py(**cells, log_level=0)
    harmonic_name, cubic_name, main = (str(directory / name) for name in NAMES)
    p2s_map = np.array(phonon.phonon_primitive.p2s_map)
    file_io.write_fc2_to_hdf5(
        compact_array(fc2, phonon.phonon_supercell, p2s_map),
        harmonic_name,
        p2s_map=p2s_map,
        physical_unit="eV/angstrom^2",
    )
    p2s_map = np.array(phonon.primitive.p2s_map)
    array = compact_array(fc3, phonon.supercell, p2s_map)
    file_io.write_fc3_to_hdf5(array, filename=cubic_name, p2s_map=p2s_map)
    names = (*add_dipoles(phonon, force_field, torus, directory), *NAMES)
    phonon.save(main)
    return names


def _import_phono3py() -> tuple[Any, Any]:
    try:
        import phono3py
        from phono3py import file_IO
    except ImportError as error:
        raise UsageError(
            f"format phono3py needs phono3py: {error}", fix="pip install 'mlff-dyn[phono3py]'"
        ) from error
    return phono3py, file_IO
