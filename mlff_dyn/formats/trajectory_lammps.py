"""Trajectories as text dumps of LAMMPS, in its units metal: Å, and Å/ps for velocities.

In LAMMPS the first cell vector is along x, the second in the xy plane, and the three are right-handed
(https://docs.lammps.org/Howto_triclinic.html). Every frame is turned to that, positions and velocities alike.
Of a left-handed cell the last two vectors change places, which leaves the crystal as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlff_dyn.formats.trajectory_frames import Frame, Outline

_PS_FS = 1000.0
_ROUNDING = 1e-12
"""Of a cell vector over its length: what is smaller is zero."""


def format_lammps_dump(outline: Outline, frames: Iterable[Frame]) -> Iterator[str]:
    """Yield the text of one frame after the other.

    Types are numbered in the order of `Outline.elements`. Positions are not folded into the box (xu, yu, zu).

    Parameters
    ----------
    outline : Outline
    frames : iterable of Frame
    """
    elements = outline.elements
    lattices = outline.lattices[:1] if outline.has_one_cell else outline.lattices
    is_tilted = any(np.tril(box, -1).any() for box, _ in map(to_box, lattices))
    moving = outline.has_velocities
    columns = "id type element xu yu zu" + (" vx vy vz" if moving else "")
    numbers = " %.10f" * (6 if moving else 3) + "\n"
    rows = "".join(
        f"{index} {elements.index(symbol) + 1} {symbol}{numbers}"
        for index, symbol in enumerate(outline.symbols, start=1)
    )
    for frame in frames:
        box, turn = to_box(frame.lattice)
        values = frame.positions @ turn
        if frame.velocities is not None:
            values = np.hstack([values, _PS_FS * frame.velocities @ turn])
        yield (
            f"ITEM: TIMESTEP\n{frame.step}\nITEM: NUMBER OF ATOMS\n{len(values)}\n"
            f"{_format_bounds(box, _in_order_of_box(frame.lattice, outline.periodic), is_tilted=is_tilted)}"
            f"ITEM: ATOMS {columns}\n"
        )
        yield rows % tuple(values.ravel().tolist())


def to_box(lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower triangular cell of LAMMPS and the rotation that turns row vectors into its axes.

    Parameters
    ----------
    lattice : ndarray, shape (3, 3), Å
        Cell vectors as rows.

    Examples
    --------
    >>> box, turn = to_box(np.array([[0.0, 2.0, 0.0], [0.0, 1.0, 3.0], [4.0, 0.0, 0.0]]))
    >>> box.tolist()
    [[2.0, 0.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 4.0]]
    >>> (np.array([[0.0, 5.0, 0.0]]) @ turn).tolist()
    [[5.0, 0.0, 0.0]]
    """
    right_handed = _in_order_of_box(lattice, lattice)
    turn = np.linalg.qr(right_handed.T)[0]
    turn = turn * np.sign(np.diag(right_handed @ turn))
    box = np.tril(right_handed @ turn)
    box[np.abs(box) < _ROUNDING * np.abs(box).max()] = 0.0
    return box, turn


def _in_order_of_box(lattice: np.ndarray, of_vectors: Iterable[object]) -> np.ndarray:
    """Values that belong to the three cell vectors, in the order in which the box has these."""
    values = np.asarray(of_vectors)
    return values if np.linalg.det(lattice) > 0.0 else values[[0, 2, 1]]


def _format_bounds(box: np.ndarray, periodic: np.ndarray, *, is_tilted: bool) -> str:
    """Lines of the box, for a tilted one with the box that encloses it."""
    faces = " ".join("pp" if each else "ff" for each in periodic)
    lengths, (xy, xz, yz) = np.diag(box), (box[1, 0], box[2, 0], box[2, 1])
    low, high, tilts, names = np.zeros(3), lengths.copy(), [""] * 3, ""
    if is_tilted:
        names, tilts = "xy xz yz ", [f" {tilt:.10f}" for tilt in (xy, xz, yz)]
        low[:2] += min(0.0, xy, xz, xy + xz), min(0.0, yz)
        high[:2] += max(0.0, xy, xz, xy + xz), max(0.0, yz)
    lines = [f"{a:.10f} {b:.10f}{tilt}\n" for a, b, tilt in zip(low, high, tilts, strict=True)]
    return f"ITEM: BOX BOUNDS {names}{faces}\n" + "".join(lines)
