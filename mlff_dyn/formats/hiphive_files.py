"""Force constants of all orders on a supercell, as hiPhive's ``ForceConstants.read`` takes them.

Rules of the file: what ``ForceConstants.write`` of hiPhive 1.5 writes: a tar archive with a pickled
dictionary (clusters of ascending atoms, one block each, eV/Å^order) and the supercell as JSON of ASE. Dates
and names are left out of both, so that the same model gives the same bytes.
"""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from typing import TYPE_CHECKING

import ase.io
from ase import Atoms

from mlff_dyn.formats.supercell_clusters import clusters_by_cell, constants_by_order

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

NAME = "model.fcs"
_DATES = {"ctime": 0.0, "mtime": 0.0, "user": "", "unique_id": 32 * "0"}


def write_hiphive(force_field: ForceField, torus: Torus, directory: Path) -> tuple[str, ...]:
    """Write force constants of all orders, with the long-range interaction.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    directory : Path

    Returns
    -------
    tuple of str
        Name of the file.
    """
    blocks = {}
    for constants in constants_by_order(force_field, torus).values():
        for clusters, rows in clusters_by_cell(constants, ascending=True):
            for cluster, row in zip(clusters.tolist(), rows.tolist(), strict=True):
                blocks[tuple(cluster)] = constants.blocks[row]
    items = {"fc_dict": blocks, "fcs_type": "SortedForceConstants"}
    with tarfile.open(directory / NAME, "w") as archive:
        for name, content in (("fc_dict", pickle.dumps(items)), ("supercell", _supercell(torus))):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return (NAME,)


def _supercell(torus: Torus) -> bytes:
    atoms = Atoms(torus.numbers, cell=torus.lattice, positions=torus.positions, masses=torus.masses, pbc=True)
    text = io.StringIO()
    ase.io.write(text, atoms, format="json")
    content = json.loads(text.getvalue())
    content["1"].update(_DATES)
    return json.dumps(content).encode()
