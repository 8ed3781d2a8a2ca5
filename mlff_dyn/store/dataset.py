"""Labeled snapshots in extended XYZ, readable by ASE, exact to the last bit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.io.extxyz import read_xyz

from mlff_dyn.errors import DataError, check_shape, located
from mlff_dyn.lattice.magnetism import MAGNETIC_LIMITS, collinear_moments
from mlff_dyn.store.atomic import atomic_write, reading_fix
from mlff_dyn.store.extxyz import format_frame
from mlff_dyn.store.json_file import to_plain
from mlff_dyn.store.label_columns import labels_of, names_of
from mlff_dyn.store.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ase import Atoms

_MOST_COLUMNS = 1000


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One supercell with its reference forces.

    Parameters
    ----------
    numbers : ndarray of int, shape (n_atoms,)
        Atomic numbers.
    positions : ndarray, shape (n_atoms, 3), Å
        Cartesian.
    cell : ndarray, shape (3, 3), Å
        Cell vectors as rows.
    energy_ev : float or None
    forces_ev_per_angstrom : ndarray, shape (n_atoms, 3)
    stress_ev_per_angstrom3 : ndarray, shape (6,), or None
        Voigt order xx, yy, zz, yz, xz, xy; positive under tension.
    magnetic_moments : ndarray, shape (n_atoms,), or None
        Collinear, Bohr magnetons; None where nothing is known of them.
    provenance : Provenance
        Where the snapshot comes from.
    periodic : tuple of 3 bool
        False along vectors with vacuum.

    Raises
    ------
    DataError
        If a shape is wrong, a number is not finite, an atom has no element, or the cell has no volume.
    """

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    energy_ev: float | None
    forces_ev_per_angstrom: np.ndarray
    stress_ev_per_angstrom3: np.ndarray | None = None
    magnetic_moments: np.ndarray | None = None
    provenance: Provenance = field(default_factory=Provenance)
    periodic: tuple[bool, bool, bool] = (True, True, True)

    def __post_init__(self) -> None:
        n_atoms = len(self.numbers)
        arrays: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {
            "positions": (self.positions, (n_atoms, 3)),
            "cell": (self.cell, (3, 3)),
            "forces": (self.forces_ev_per_angstrom, (n_atoms, 3)),
        }
        if self.stress_ev_per_angstrom3 is not None:
            arrays["stress"] = (self.stress_ev_per_angstrom3, (6,))
        if self.magnetic_moments is not None:
            arrays["magnetic moments"] = (self.magnetic_moments, (n_atoms,))
        if self.energy_ev is not None:
            arrays["energy"] = (np.asarray(self.energy_ev, dtype=float), ())
        for name, (array, expected) in arrays.items():
            check_shape(name, array, expected)
            if not np.all(np.isfinite(array)):
                raise DataError(
                    f"{name} has a number that is not finite", fix="drop the frame, or calculate it again"
                )
        if n_atoms == 0:
            raise DataError("there are no atoms", fix="remove the frame")
        if np.any(np.asarray(self.numbers) < 1):
            raise DataError(
                "an atom has no chemical element", fix="write chemical symbols in the column species"
            )
        if abs(float(np.linalg.det(self.cell))) < 1e-6:
            raise DataError(
                "the cell has no volume", fix='give three cell vectors: Lattice="ax ay az bx by bz cx cy cz"'
            )

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.numbers)


def read_snapshots(path: Path | str, columns: Mapping[str, str] | None = None) -> tuple[Snapshot, ...]:
    """Read every frame of an extended XYZ file.

    Parameters
    ----------
    path : Path or str
        Frames with columns ``pos`` and ``forces`` and, if known, ``energy`` and ``stress`` or ``virial``
        (eV, eV/Å, eV/Å³, eV) and ``magmoms`` or ``initial_magmoms`` (Bohr magnetons); usual names of
        reference labels are known.
    columns : mapping of str to str, optional
        Other names, by quantity; see `parse_columns`.

    Returns
    -------
    tuple of Snapshot

    Raises
    ------
    DataError
        If the file is missing, cut or damaged, or a frame is not periodic, lacks forces, or holds a number
        that is not finite; the message has the file and the number of the frame, counted from 1.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from error
    except ValueError as error:
        raise DataError(
            f"{path} is not a text file: {error}", fix="give extended XYZ in UTF-8, uncompressed"
        ) from error
    return parse_snapshots(path, text, columns or {})


def parse_snapshots(
    where: object, text: str, columns: Mapping[str, str], *, with_displacements: bool = False
) -> tuple[Snapshot, ...]:
    """Read every frame of a text in extended XYZ; see `read_snapshots`.

    Parameters
    ----------
    where : object
        File of the text, for the messages.
    text : str
    columns : mapping of str to str
    with_displacements : bool
        Add a column ``displacements`` to the positions, which are then those of the undisplaced atoms.

    Raises
    ------
    DataError
        See `read_snapshots`.
    """
    n_frames = _count_frames(where, text)
    frames = read_xyz(StringIO(text), index=slice(None))
    names = [f"{where}, frame {number}" for number in range(1, n_frames + 1)]
    return tuple(_read_frame(each, frames, columns, with_displacements) for each in names)


def write_snapshots(path: Path | str, snapshots: Iterable[Snapshot]) -> None:
    """Write a data set, whole or not at all; reading it gives back the same bits.

    Parameters
    ----------
    path : Path or str
    snapshots : iterable of Snapshot
        At least one.

    Raises
    ------
    DataError
        If there is no snapshot, an info value cannot be stored, or the file cannot be written.
    """
    snapshots = tuple(snapshots)
    if not snapshots:
        raise DataError(f"cannot write {path}: there are no snapshots", fix="give at least one frame")
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for snapshot in snapshots:
            columns = {"pos": snapshot.positions, "forces": snapshot.forces_ev_per_angstrom}
            if snapshot.magnetic_moments is not None and snapshot.magnetic_moments.any():
                columns["initial_magmoms"] = snapshot.magnetic_moments
            file.write(
                format_frame(
                    snapshot.numbers,
                    snapshot.cell,
                    columns,
                    energy_ev=snapshot.energy_ev,
                    stress_ev_per_angstrom3=snapshot.stress_ev_per_angstrom3,
                    info=snapshot.provenance.to_info(),
                    periodic=snapshot.periodic,
                )
            )


def _count_frames(path: object, text: str) -> int:
    """Count the frames, and refuse a file that is cut: the reader would take the rest for the whole."""
    lines = text.rstrip().split("\n")
    if lines == [""]:
        raise DataError(f"{path} holds no frame", fix="give a file with at least one frame")
    if not text.endswith("\n"):
        raise DataError(
            f"{path} is cut: its last line has no line break",
            fix="write the file again, or add the line break if the last number is complete",
        )
    position, n_frames = 0, 0
    while position < len(lines):
        n_frames += 1
        try:
            n_atoms = int(lines[position])
        except ValueError:
            raise DataError(
                f"{path}, frame {n_frames}: line {position + 1} is no number of atoms: {lines[position]!r}",
                fix="give each frame its number of atoms, its header and a line for each atom",
            ) from None
        if position + 1 < len(lines) and _n_columns(lines[position + 1]) > _MOST_COLUMNS:
            raise DataError(
                f"{path}, frame {n_frames}: there are more than {_MOST_COLUMNS} columns",
                fix="drop the columns that are no labels",
            )
        position += n_atoms + 2
        if n_atoms < 1 or position > len(lines):
            raise DataError(
                f"{path}, frame {n_frames}: the file ends before its {n_atoms} atoms", fix="write it again"
            )
    return n_frames


def _n_columns(header: str) -> int:
    found = re.search(r'Properties="?([^\s"]+)', header)
    counts = [] if found is None else found.group(1).split(":")[2::3]
    return sum(int(count) for count in counts if count.isdecimal())


def _read_frame(
    where: str, frames: Iterator[Atoms], columns: Mapping[str, str], with_displacements: bool
) -> Snapshot:
    with located(where):
        atoms = _next_frame(frames)
        if with_displacements:
            atoms.positions += atoms.arrays["displacements"]
        return _to_snapshot(atoms, columns)


def _next_frame(frames: Iterator[Atoms]) -> Atoms:
    """Read one frame; whatever the reader trips over is damage in the file."""
    try:
        return next(frames)
    except StopIteration:
        raise DataError("the frame cannot be found", fix="write the file again") from None
    except Exception as error:
        raise DataError(f"the frame is damaged: {error}", fix="drop the frame, or write it again") from error


def _to_snapshot(atoms: Atoms, columns: Mapping[str, str]) -> Snapshot:
    labels = labels_of(atoms, columns)
    read = {**labels, "virial": labels["stress"]} if "stress" in labels else labels
    missing = [name for quantity, name in columns.items() if quantity not in read]
    if "forces" not in labels or missing:
        what = "are no forces" if "forces" not in labels else f"is no {missing[0]}"
        raise DataError(
            f"there {what} (columns: {', '.join(names_of(atoms))})",
            fix="name the columns: --columns forces=NAME,energy=NAME, or drop the frame",
        )
    if not np.any(atoms.pbc):
        raise DataError("the frame is not periodic", fix='set Lattice and pbc="T T T"')
    energy = labels.get("energy")
    if energy is not None and energy.size != 1:
        raise DataError(
            f"the energy is {energy.size} numbers, not one", fix="store one energy for the frame, in eV"
        )
    return Snapshot(
        numbers=atoms.numbers.astype(np.int64),
        positions=np.array(atoms.positions, dtype=float),
        cell=np.array(atoms.cell.array, dtype=float),
        energy_ev=None if energy is None else float(energy.item()),
        forces_ev_per_angstrom=np.array(labels["forces"]),
        stress_ev_per_angstrom3=labels.get("stress"),
        magnetic_moments=_moments(atoms),
        provenance=Provenance.from_info({str(key): to_plain(value) for key, value in atoms.info.items()}),
        periodic=tuple(atoms.pbc.tolist()),
    )


def _moments(atoms: Atoms) -> np.ndarray | None:
    """Moments of the calculation, or else those it started from; what is too small for a moment is zero."""
    results = {} if atoms.calc is None else atoms.calc.results
    given = results.get("magmoms", atoms.arrays.get("initial_magmoms"))
    if given is None:
        return None
    moments = collinear_moments(given)
    return np.where(np.abs(moments) < MAGNETIC_LIMITS.none_bohr_magneton, 0.0, moments)
