"""Snapshots on disk as rows of the linear model, and structures as snapshots."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError, located
from mlff_dyn.lattice.deformation import rotated_back, strained_lattice
from mlff_dyn.lattice.other_lengths import match_frame
from mlff_dyn.model.fitting.labelled_frame import LabelledFrame, labelled_frame
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

    from mlff_dyn.engines.base import EngineResult
    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.expansion import Expansion

_logger = logging.getLogger(__name__)


def frames_of_snapshots(
    path: Path, snapshots: Iterable[Snapshot], expansion: Expansion, *, first: int = 0
) -> list[LabelledFrame]:
    """Match snapshots to the crystal and make their rows.

    Raises
    ------
    DataError
        If a snapshot does not belong to the crystal; with file and number.
    """
    rows, n_without = [], 0
    for number, snapshot in enumerate(snapshots, start=first + 1):
        n_without += snapshot.magnetic_moments is None
        with located(_name(path, number, snapshot.provenance)):
            check_periodic(snapshot.periodic, expansion.basis.crystal)
            match = match_frame(
                expansion.basis.crystal,
                snapshot.cell,
                snapshot.positions,
                snapshot.numbers,
                snapshot.magnetic_moments,
            )
            supercell = expansion.on(match.torus, match.strain)
        forces = snapshot.forces_ev_per_angstrom[match.atoms] @ match.rotation
        stress = snapshot.stress_ev_per_angstrom3
        if stress is not None:
            stress = match.stress_factor * rotated_back(stress, match.rotation)
        rows.append(labelled_frame(supercell, match.displacements, forces, snapshot.energy_ev, stress))
    if n_without and expansion.basis.crystal.magnetic_moments is not None:
        _logger.warning(
            "%s: %d frames tell no magnetic moments (column magmoms); their magnetic state is not checked",
            path,
            n_without,
        )
    return rows


def _name(path: Path, number: int, label: Provenance) -> str:
    """What messages call a frame; with the file that it was read from where that is another one."""
    name = f"{path}, frame {number}"
    if label.file is None or label.file == str(path):
        return name
    return f"{name} ({label.file}{'' if label.step is None else f', step {label.step}'})"


def check_periodic(periodic: Sequence[bool], crystal: Crystal) -> None:
    """Refuse a frame that ends where the crystal goes on.

    Raises
    ------
    DataError
    """
    for axis in range(3):
        if crystal.periodic[axis] and not periodic[axis]:
            raise DataError(
                f"the frame is not periodic along axis {axis + 1}, the crystal is",
                fix='set pbc="T T T", or structure.periodic for a sheet',
            )


def displaced_atoms(
    torus: Torus, displacements: NDArray[np.float64], strain: NDArray[np.float64] | None = None
) -> Atoms:
    """ASE atoms of a displaced supercell with its magnetic moments, in the atom order of its torus."""
    from ase import Atoms

    sites, cell = torus.positions, torus.lattice
    if strain is not None and strain.any():
        sites, cell = strained_lattice(sites, strain), strained_lattice(cell, strain)
    return Atoms(
        numbers=torus.numbers,
        positions=sites + displacements,
        cell=cell,
        pbc=torus.crystal.periodic,
        masses=torus.masses,
        magmoms=torus.magnetic_moments,
    )


def labelled_snapshot(atoms: Atoms, result: EngineResult, provenance: Provenance) -> Snapshot:
    """Snapshot of a structure and its reference calculation, which adds to the provenance what it tells."""
    return Snapshot(
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        energy_ev=result.energy_ev,
        forces_ev_per_angstrom=result.forces_ev_per_angstrom,
        stress_ev_per_angstrom3=result.stress_ev_per_angstrom3,
        magnetic_moments=atoms.arrays.get("initial_magmoms"),
        provenance=Provenance.from_info({**provenance.to_info(), **result.origin}),
        periodic=tuple(atoms.pbc.tolist()),
    )
