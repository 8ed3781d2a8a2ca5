"""k-points: a mesh of the configuration on a cell, KPOINTS written, and read for another cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.engines.base import check_keys
from mlff_dyn.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHERE = "engine.parameters.kpoints"
_FIX = "use gamma, [4, 4, 4], {grid: [4, 4, 4], shift: [0.5, 0.5, 0.5]}, or {spacing_per_angstrom: 0.25}"
_LARGEST = 1000
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Mesh:
    """A mesh around Gamma.

    Attributes
    ----------
    grid : tuple of 3 int
    shift : tuple of 3 float         in units of the distance of two points
    """

    grid: tuple[int, int, int] = (1, 1, 1)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def is_gamma(self) -> bool:
        """Whether it is the Gamma point alone."""
        return self == Mesh()

    @property
    def n_points(self) -> int:
        """Number of points without symmetry."""
        return int(np.prod(self.grid))

    def to_text(self) -> str:
        """Return the content of KPOINTS."""
        rows = [" ".join(map(str, self.grid)), " ".join(f"{value:g}" for value in self.shift)]
        return "\n".join(["mesh of mlff-dyn", "0", "Gamma", *rows]) + "\n"


@dataclass(frozen=True)
class KPoints:
    """What the configuration says: a mesh, or the distance of points.

    Attributes
    ----------
    mesh : Mesh or None
    spacing_per_angstrom : float or None         with 2 pi, as KSPACING
    """

    mesh: Mesh | None
    spacing_per_angstrom: float | None = None

    @classmethod
    def of_config(cls, given: object) -> KPoints:
        """Read ``engine.parameters.kpoints``.

        Raises
        ------
        ConfigError
            If it is missing or none of the forms.
        """
        if given is None:
            raise ConfigError(f"{WHERE}: is required", fix=_FIX)
        if given == "gamma":
            return cls(Mesh())
        content: Mapping[str, Any] = given if isinstance(given, Mapping) else {"grid": given}
        check_keys(WHERE, content, ("grid", "shift", "spacing_per_angstrom"))
        if "spacing_per_angstrom" in content:
            spacing = content["spacing_per_angstrom"]
            is_number = type(spacing) in (int, float)
            if len(content) > 1 or not is_number or not float(spacing) > 0.0:
                raise ConfigError(f"{WHERE}: {given!r} is no distance of k-points", fix=_FIX)
            return cls(None, float(spacing))
        grid, shift = (_three(content.get(name, (0, 0, 0))) for name in ("grid", "shift"))
        is_grid = len(grid) == 3 and all(type(n) is int and 1 <= n <= _LARGEST for n in grid)
        if not is_grid or len(shift) != 3 or not all(0.0 <= value < 1.0 for value in shift):
            raise ConfigError(f"{WHERE}: {given!r} is no mesh of k-points", fix=_FIX)
        return cls(Mesh((int(grid[0]), int(grid[1]), int(grid[2])), (shift[0], shift[1], shift[2])))

    def of_cell(self, cell: NDArray[np.float64], periodic: NDArray[np.bool_]) -> Mesh:
        """Return the mesh of a cell.

        Parameters
        ----------
        cell : ndarray, shape (3, 3)             rows, Å
        periodic : ndarray of bool, shape (3,)   false along vacuum

        Raises
        ------
        ConfigError
            If a given mesh has more than one point along vacuum.
        """
        if self.mesh is None:
            spacing = self.spacing_per_angstrom or np.inf
            return mesh_of_spacing(cell, spacing, periodic)
        for axis, (number, shift, is_periodic) in enumerate(
            zip(self.mesh.grid, self.mesh.shift, periodic, strict=True)
        ):
            if not is_periodic and (number, shift) != (1, 0.0):
                raise ConfigError(
                    f"{WHERE}: {number} points, shift {shift:g}, along axis {axis + 1}, which is vacuum",
                    fix="use one point without shift there, like [4, 4, 1]",
                )
        return self.mesh


def reciprocal_lengths(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths of the reciprocal vectors with 2 pi, 1/Å."""
    return np.asarray(2.0 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0))


def mesh_of_spacing(cell: NDArray[np.float64], spacing: float, periodic: NDArray[np.bool_]) -> Mesh:
    """Smallest mesh around Gamma whose points are at most a distance (1/Å, with 2 pi) apart."""
    numbers = np.ceil(reciprocal_lengths(cell) / spacing - _ROUNDING).clip(1)
    n = [int(number) if is_periodic else 1 for number, is_periodic in zip(numbers, periodic, strict=True)]
    return Mesh((n[0], n[1], n[2]))


def parse_kpoints(text: str, cell: NDArray[np.float64]) -> Mesh | None:
    r"""Read the mesh of a KPOINTS file; None for lists, lines and generating vectors.

    Parameters
    ----------
    text : str
    cell : ndarray, shape (3, 3)
        Of the structure that the file belongs to, for the fully automatic form; Å.

    Examples
    --------
    >>> parse_kpoints("Auto\n0\nMonkhorst-Pack\n4 4 3\n0 0 0\n", 5 * np.eye(3))
    Mesh(grid=(4, 4, 3), shift=(0.5, 0.5, 0.0))
    """
    lines = [line.split("!")[0].split() for line in text.splitlines()[1:]]
    try:
        if int(lines[0][0]) != 0:
            return None
        style = lines[1][0][0].lower()
        if style == "a":
            lengths = reciprocal_lengths(cell) / (2.0 * np.pi)
            n = [max(1, int(float(lines[2][0]) * length + 0.5)) for length in lengths]
            return Mesh((n[0], n[1], n[2]))
        if style not in "gm":
            return None
        grid = [int(word) for word in lines[2][:3]]
        given = [float(word) for word in (lines[3][:3] if len(lines) > 3 and lines[3] else "000")]
        if len(grid) != 3 or len(given) != 3 or min(grid) < 1:
            return None
    except (IndexError, ValueError):
        return None
    own = [0.5 if style == "m" and number % 2 == 0 else 0.0 for number in grid]
    shift = [(first + second) % 1.0 for first, second in zip(own, given, strict=True)]
    return Mesh((grid[0], grid[1], grid[2]), (shift[0], shift[1], shift[2]))


def folded_mesh(
    mesh: Mesh, cell: NDArray[np.float64], supercell: NDArray[np.float64], periodic: NDArray[np.bool_]
) -> tuple[Mesh, bool]:
    """Mesh of a supercell that is at least as dense as one of its cell.

    Returns
    -------
    mesh : Mesh
    is_same : bool
        Whether it consists of the same points, folded.
    """
    matrix = supercell @ np.linalg.inv(cell)
    counts = np.rint(np.diag(matrix)).astype(int)
    if np.allclose(matrix, np.diag(counts), atol=1e-3) and (counts > 0).all():
        n = [-(-number // count) for number, count in zip(mesh.grid, counts.tolist(), strict=True)]
        n = [number if is_periodic else 1 for number, is_periodic in zip(n, periodic, strict=True)]
        shift = [
            value if is_periodic else 0.0 for value, is_periodic in zip(mesh.shift, periodic, strict=True)
        ]
        is_same = tuple(number * count for number, count in zip(n, counts, strict=True)) == mesh.grid
        return Mesh((n[0], n[1], n[2]), (shift[0], shift[1], shift[2])), is_same
    lengths = reciprocal_lengths(cell)[np.asarray(periodic)]
    spacing = float(max(lengths / np.array(mesh.grid)[np.asarray(periodic)]))
    return mesh_of_spacing(supercell, spacing * (1.0 + 1e-3), periodic), False


def _three(values: object) -> list[float]:
    given = list(values) if isinstance(values, list | tuple) else []
    return given if all(isinstance(v, int | float) and not isinstance(v, bool) for v in given) else []
