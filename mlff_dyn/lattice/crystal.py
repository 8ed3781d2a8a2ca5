"""The primitive cell of a crystal and its space group as exact integer maps of atoms."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spglib
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import guess_primitive_matrix

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.strain.moves import VOIGT
from mlff_dyn.lattice.aperiodic import (
    THREE_DIMENSIONAL,
    Periodic,
    check_vacuum,
    in_one_piece,
    layer_group,
    own_operations,
    primitive_matrix,
    search_cell,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SPGLIB_ERROR: type[Exception] = getattr(spglib, "SpglibError", RuntimeError)
_SYMMETRY_FIX = "check the structure or change structure.symprec_angstrom"


@dataclass(frozen=True, eq=False)
class Crystal:
    """A primitive cell with its space group.

    An atom of the infinite crystal is a pair (site s, offset n): site s of the primitive cell that is
    displaced by the integer combination n of lattice vectors. Operation g maps it exactly to
    (site_map[g, s], rotations[g] n + site_shift[g, s]).

    Attributes
    ----------
    lattice : ndarray, shape (3, 3)              primitive lattice vectors as rows, Å
    positions : ndarray, shape (n_sites, 3)      Cartesian positions of the sites, Å
    numbers : ndarray, shape (n_sites,)          atomic numbers
    masses : ndarray, shape (n_sites,)           amu
    rotations : ndarray of int, shape (n_operations, 3, 3)
        Rotations in the primitive basis, acting on columns.
    cartesian_rotations : ndarray, shape (n_operations, 3, 3)
        The same in Cartesian axes; exactly orthogonal.
    site_map : ndarray of int, shape (n_operations, n_sites)
    site_shift : ndarray of int, shape (n_operations, n_sites, 3)
    input_lattice : ndarray, shape (3, 3)        cell the user gave, rows, Å
    input_positions : ndarray, shape (n_input, 3)
        Cartesian, Å.
    input_numbers : ndarray, shape (n_input,)
    input_masses : ndarray, shape (n_input,)     amu
    input_matrix : ndarray of int, shape (3, 3)
        Vectors of the input cell (rows) in the primitive basis.
    space_group : str                            international symbol and number
    symprec : float                              Å
    periodic : tuple of 3 bool
        Axes of the cells; along those that are false there is vacuum, and no atom sees its images. These axes
        are the same in the primitive cell, the input cell and all supercells.

    Examples
    --------
    The primitive cell of fcc copper, from its cubic cell.

    >>> from ase.build import bulk
    >>> cell = bulk("Cu", "fcc", a=3.6, cubic=True)
    >>> crystal = build_crystal(cell.cell.array, cell.positions, cell.numbers)
    >>> crystal.n_sites, crystal.n_operations, crystal.space_group
    (1, 48, 'Fm-3m (225)')
    >>> print(f"{crystal.nearest_neighbor_distance:.4f}")
    2.5456
    """

    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    numbers: NDArray[np.int64]
    masses: NDArray[np.float64]
    rotations: NDArray[np.int64]
    cartesian_rotations: NDArray[np.float64]
    site_map: NDArray[np.int64]
    site_shift: NDArray[np.int64]
    input_lattice: NDArray[np.float64]
    input_positions: NDArray[np.float64]
    input_numbers: NDArray[np.int64]
    input_masses: NDArray[np.float64]
    input_matrix: NDArray[np.int64]
    space_group: str
    symprec: float
    periodic: Periodic = field(default=THREE_DIMENSIONAL, metadata={"omit_default": True})

    def __post_init__(self) -> None:
        """Make plain numbers of what a file gave."""
        x, y, z = (bool(each) for each in self.periodic)
        object.__setattr__(self, "periodic", (x, y, z))

    @property
    def periodic_directions(self) -> NDArray[np.bool_]:
        """Cartesian axes that periodic vectors span, shape (3,); the others are along the vacuum."""
        return np.asarray(np.abs(self.lattice[list(self.periodic)]).max(axis=0) > 1e-3)

    @property
    def stress_components(self) -> NDArray[np.int64]:
        """Places among xx, yy, zz, yz, xz, xy of the components that do not involve the vacuum."""
        inside = self.periodic_directions
        return np.flatnonzero([inside[a] and inside[b] for a, b in VOIGT])

    @property
    def n_sites(self) -> int:
        """Number of atoms in the primitive cell."""
        return len(self.numbers)

    @property
    def n_operations(self) -> int:
        """Number of space-group operations modulo lattice translations."""
        return len(self.rotations)

    @property
    def nearest_neighbor_distance(self) -> float:
        """Shortest distance between two atoms of the crystal, Å."""
        inside = np.array(self.periodic)
        offsets = np.array(list(np.ndindex(*np.where(inside, 5, 1)))) - 2 * inside
        separations = self.positions[None] - self.positions[:, None]
        separations -= (np.rint(separations @ np.linalg.inv(self.lattice)) * inside) @ self.lattice
        distances = np.linalg.norm(separations[:, :, None] + offsets @ self.lattice, axis=-1)
        return float(distances[distances > self.symprec].min())


def build_crystal(
    lattice: ArrayLike,
    positions: ArrayLike,
    numbers: ArrayLike,
    masses: ArrayLike | None = None,
    *,
    symprec: float = 1e-5,
    periodic: Periodic = THREE_DIMENSIONAL,
) -> Crystal:
    """Find the primitive cell and the space group of a periodic structure.

    Orientation and positions are those of the input; only the rotation matrices are made exact.

    Parameters
    ----------
    lattice : array_like, shape (3, 3)         cell vectors as rows, Å
    positions : array_like, shape (n, 3)       Cartesian, Å
    numbers : array_like, shape (n,)           atomic numbers
    masses : array_like, shape (n,), optional  amu; standard atomic weights by default
    symprec : float                            tolerance of the symmetry search, Å
    periodic : tuple of 3 bool                 false along axes with vacuum

    Raises
    ------
    DataError
        If no space group is found, or an axis that is not periodic holds no vacuum.
    """
    cell = np.array(lattice, float)
    given = np.array(positions, float)
    species = np.array(numbers, np.int64)
    scaled = given @ np.linalg.inv(cell)
    atoms = PhonopyAtoms(numbers=species, scaled_positions=scaled, cell=cell, masses=masses)
    if all(periodic):
        return _fold(atoms, given, _input_matrix(atoms, symprec), symprec)
    return _fold_sheet(atoms, given, symprec, periodic)


def _fold(
    atoms: PhonopyAtoms, given: NDArray[np.float64], input_matrix: NDArray[np.int64], symprec: float
) -> Crystal:
    """Crystal of a primitive cell that is known in terms of the input cell, with positions in Å."""
    cell, species = np.array(atoms.cell, float), np.array(atoms.numbers, np.int64)
    weights = np.array(atoms.masses, float)
    primitive_lattice = np.linalg.solve(input_matrix.astype(float), cell)
    sites = _first_of_each_site(given, species, primitive_lattice, symprec)
    if len(sites) * round(abs(np.linalg.det(input_matrix))) != len(species):
        raise DataError(
            f"the input cell of {len(species)} atoms does not fold into a primitive cell of {len(sites)}",
            fix=_SYMMETRY_FIX,
        )
    fractional = given[sites] @ np.linalg.inv(primitive_lattice)
    dataset = _symmetry_dataset((primitive_lattice, fractional, species[sites]), symprec)
    rotations = np.array(dataset.rotations, np.int64)
    site_map, site_shift = _site_action(fractional, species[sites], rotations, np.array(dataset.translations))
    return Crystal(
        lattice=primitive_lattice,
        positions=given[sites],
        numbers=species[sites],
        masses=weights[sites],
        rotations=rotations,
        cartesian_rotations=_orthogonal_rotations(primitive_lattice, rotations),
        site_map=site_map,
        site_shift=site_shift,
        input_lattice=cell,
        input_positions=given,
        input_numbers=species,
        input_masses=weights,
        input_matrix=input_matrix,
        space_group=f"{dataset.international} ({dataset.number})",
        symprec=symprec,
    )


def _fold_sheet(
    atoms: PhonopyAtoms, positions: NDArray[np.float64], symprec: float, periodic: Periodic
) -> Crystal:
    """Crystal of a sheet or a wire: the symmetry of a cell with long vacuum, and the given cell."""
    cell, species = np.array(atoms.cell, float), np.array(atoms.numbers, np.int64)
    check_vacuum(cell, positions, periodic)
    given = in_one_piece(cell, positions, periodic)
    wide = search_cell(cell, given, periodic)
    matrix = primitive_matrix(wide, given, species, periodic, symprec)
    scaled = given @ np.linalg.inv(wide)
    long = PhonopyAtoms(numbers=species, scaled_positions=scaled, cell=wide, masses=atoms.masses)
    searched = _fold(long, given, matrix, symprec)
    kept = own_operations(searched.rotations, searched.site_shift, periodic)
    inside = np.array(periodic)
    lattice = np.linalg.solve(matrix.astype(float), cell)
    return replace(
        searched,
        lattice=lattice,
        rotations=searched.rotations[kept],
        cartesian_rotations=_orthogonal_rotations(lattice, searched.rotations[kept]),
        site_map=searched.site_map[kept],
        site_shift=searched.site_shift[kept] * inside,
        input_lattice=cell,
        space_group=layer_group(wide, given, species, periodic, symprec) or searched.space_group,
        periodic=periodic,
    )


def _input_matrix(atoms: PhonopyAtoms, symprec: float) -> NDArray[np.int64]:
    """Vectors of the input cell (rows) in the basis of the primitive cell that phonopy chooses."""
    _symmetry_dataset(atoms.totuple(), symprec)
    primitive_matrix = np.array(guess_primitive_matrix(atoms, symprec=symprec), float)
    return np.rint(np.linalg.inv(primitive_matrix.T)).astype(np.int64)


def _symmetry_dataset(cell: Any, symprec: float) -> Any:  # noqa: ANN401
    """Space group of (lattice, scaled positions, numbers), by whichever way spglib reports a failure."""
    reason = "no space group found"
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
    except _SPGLIB_ERROR as error:
        dataset, reason = None, str(error)
    if dataset is None:
        raise DataError(f"the symmetry of the structure cannot be found: {reason}", fix=_SYMMETRY_FIX)
    return dataset


def _first_of_each_site(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int64],
    lattice: NDArray[np.float64],
    symprec: float,
) -> NDArray[np.int64]:
    """Indices of the input atoms that are distinct modulo the primitive lattice."""
    fractional = positions @ np.linalg.inv(lattice)
    difference = fractional[:, None] - fractional[None]
    difference -= np.rint(difference)
    same = np.linalg.norm(difference @ lattice, axis=-1) < max(10 * symprec, 1e-3)
    same &= numbers[:, None] == numbers[None]
    return np.flatnonzero(same.argmax(axis=1) == np.arange(len(positions)))


def _site_action(
    fractional: NDArray[np.float64],
    numbers: NDArray[np.int64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Site permutation and integer offset of every operation."""
    images = np.einsum("gab,sb->gsa", rotations, fractional) + translations[:, None]
    difference = images[:, :, None] - fractional[None, None]
    residual = np.linalg.norm(difference - np.rint(difference), axis=-1)
    residual[:, numbers[:, None] != numbers[None]] = np.inf
    site_map = residual.argmin(axis=2)
    shift = np.take_along_axis(difference, site_map[:, :, None, None], axis=2)[:, :, 0]
    return site_map, np.rint(shift).astype(np.int64)


def _orthogonal_rotations(lattice: NDArray[np.float64], rotations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cartesian rotations of the lattice whose metric is averaged over the group, so they close exactly."""
    metric = lattice @ lattice.T
    averaged = np.einsum("gba,bc,gcd->ad", rotations, metric, rotations) / len(rotations)
    inverse = np.linalg.inv(lattice)
    values, vectors = np.linalg.eigh(inverse @ averaged @ inverse.T)
    ideal = lattice @ (vectors * np.sqrt(values)) @ vectors.T
    rotated = np.einsum("ba,gbc,cd->gad", ideal, rotations.astype(float), np.linalg.inv(ideal.T))
    for value in (0.0, 0.5, 1.0):
        for signed in (value, -value):
            rotated[np.abs(rotated - signed) < 1e-12] = signed
    return np.asarray(rotated)
