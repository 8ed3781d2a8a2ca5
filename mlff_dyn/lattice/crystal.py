"""The primitive cell of a crystal and its space group as exact integer maps of atoms."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

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
    upright_cell,
)
from mlff_dyn.lattice.ideal_cell import distance_from_given, ideal_cell
from mlff_dyn.lattice.magnetism import (
    SPGLIB_ERROR,
    collinear_moments,
    has_reversal,
    magnetic_levels,
    magnetic_operations,
    species_of_levels,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

os.environ.setdefault("SPGLIB_WARNING", "OFF")
_SEARCHES = (10.0, 5.0, 2.0, 1.0)
"""Tolerances of spglib's searches in units of symprec: it compares atoms and vectors with each other, which
differ by more than each is off its place."""
_FARTHEST = 2.0
"""Largest distance of an atom from its place in units of symprec: somewhat more than the square root of 3."""
_SYMMETRY_FIX = "check the structure or change structure.symprec_angstrom"


@dataclass(frozen=True, eq=False)
class Crystal:
    """A primitive cell with its space group, which holds exactly.

    Atoms of one element with different magnetic moments are of different species; operations that reverse all
    moments belong to the group.

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
    magnetic_moments : ndarray, shape (n_sites,), or None
        Collinear, Bohr magnetons; None without any.
    input_magnetic_moments : ndarray, shape (n_input,), or None
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
    magnetic_moments: NDArray[np.float64] | None = None
    input_magnetic_moments: NDArray[np.float64] | None = None
    periodic: Periodic = field(default=THREE_DIMENSIONAL, metadata={"omit_default": True})

    def __post_init__(self) -> None:
        """Make plain numbers of what a file gave."""
        x, y, z = (bool(each) for each in self.periodic)
        object.__setattr__(self, "periodic", (x, y, z))

    @property
    def periodic_directions(self) -> NDArray[np.bool_]:
        """Cartesian axes that periodic vectors span, shape (3,); the others are along the vacuum."""
        main, inside = np.abs(self.lattice).argmax(axis=1), np.array(self.periodic)
        if inside.sum() == 1:
            return np.asarray(np.arange(3) == main[inside])
        return ~np.isin(np.arange(3), main[~inside])

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
    magnetic_moments: ArrayLike | None = None,
    periodic: Periodic = THREE_DIMENSIONAL,
) -> Crystal:
    """Find the primitive cell and the space group of a periodic structure.

    The crystal is the ideal one nearest to the input, in its orientation; see `mlff_dyn.lattice.ideal_cell`.

    Parameters
    ----------
    lattice : array_like, shape (3, 3)         cell vectors as rows, Å
    positions : array_like, shape (n, 3)       Cartesian, Å
    numbers : array_like, shape (n,)           atomic numbers
    masses : array_like, shape (n,), optional  amu; standard atomic weights by default
    symprec : float
        How far coordinates of cell vectors and atoms may be from those of the ideal crystal, Å.
    magnetic_moments : array_like, shape (n,) or (n, 3), optional
        Collinear, Bohr magnetons.
    periodic : tuple of 3 bool                 false along axes with vacuum

    Raises
    ------
    DataError
        If no space group is found, or an axis that is not periodic holds no vacuum.
    """
    given = _given_cell(lattice, positions, numbers, masses, magnetic_moments)
    given = given if all(periodic) else _given_sheet(given, periodic)
    for looseness in _SEARCHES:
        try:
            crystal = _crystal_within(given, symprec=symprec, tolerance=looseness * symprec)
        except DataError:
            if looseness == _SEARCHES[-1]:
                raise
            continue
        if distance_from_given(crystal) <= _FARTHEST * symprec:
            break
    return crystal


class _GivenCell(NamedTuple):
    """Cell of the user; atoms of one species have the same element and the same moment.

    Its vectors are searched for symmetry `stretch` times as long: vacuum is long there, and nothing else.
    """

    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    numbers: NDArray[np.int64]
    masses: NDArray[np.float64]
    species: NDArray[np.int64]
    levels: NDArray[np.int64]
    moments: NDArray[np.float64] | None
    periodic: Periodic = THREE_DIMENSIONAL
    stretch: NDArray[np.float64] = np.ones(3)


def _given_cell(
    lattice: ArrayLike,
    positions: ArrayLike,
    numbers: ArrayLike,
    masses: ArrayLike | None,
    moments: ArrayLike | None,
) -> _GivenCell:
    elements = np.array(numbers, np.int64)
    cell, places = np.array(lattice, float), np.array(positions, float)
    atoms = PhonopyAtoms(
        numbers=elements, scaled_positions=places @ np.linalg.inv(cell), cell=cell, masses=masses
    )
    levels, equal = np.zeros_like(elements), None
    if moments is not None:
        levels, equal = magnetic_levels(elements, collinear_moments(moments))
    species = species_of_levels(elements, levels)
    weights = np.array(atoms.masses, float)
    return _GivenCell(cell, places, elements, weights, species, levels, equal if levels.any() else None)


def _given_sheet(given: _GivenCell, periodic: Periodic) -> _GivenCell:
    """The same with vacuum: the atoms in one piece, the vacuum across it."""
    check_vacuum(given.lattice, given.positions, periodic)
    positions = in_one_piece(given.lattice, given.positions, periodic)
    lattice = upright_cell(given.lattice, periodic)
    lengths = (np.linalg.norm(cell, axis=1) for cell in (search_cell(lattice, positions, periodic), lattice))
    return given._replace(
        lattice=lattice, positions=positions, periodic=periodic, stretch=np.divide(*lengths)
    )


def _crystal_within(given: _GivenCell, *, symprec: float, tolerance: float) -> Crystal:
    """Crystal whose operations spglib finds within a tolerance (Å)."""
    input_matrix = _input_matrix(given, tolerance)
    primitive_lattice = np.linalg.solve(input_matrix.astype(float), given.lattice)
    searched = given.stretch[:, None] * primitive_lattice
    sites, scaled = _sites(given.positions, given.species, searched, tolerance)
    n_atoms = len(given.species)
    if len(sites) * round(abs(np.linalg.det(input_matrix))) != n_atoms:
        raise DataError(
            f"the input cell of {n_atoms} atoms does not fold into a primitive cell of {len(sites)}",
            fix=_SYMMETRY_FIX,
        )
    space_group, *group = _space_group(given, sites, searched, scaled, tolerance)
    rotations, site_map, site_shift = group
    limit, fractional = _FARTHEST * symprec, scaled * given.stretch
    ideal = ideal_cell(primitive_lattice, fractional, *group, input_matrix=input_matrix, limit=limit)
    crystal = Crystal(
        lattice=ideal.lattice,
        positions=ideal.fractional @ ideal.lattice,
        numbers=given.numbers[sites],
        masses=given.masses[sites],
        rotations=rotations,
        cartesian_rotations=ideal.cartesian_rotations,
        site_map=site_map,
        site_shift=site_shift,
        input_lattice=given.lattice,
        input_positions=given.positions,
        input_numbers=given.numbers,
        input_masses=given.masses,
        input_matrix=input_matrix,
        space_group=space_group,
        symprec=symprec,
        magnetic_moments=None if given.moments is None else given.moments[sites],
        input_magnetic_moments=given.moments,
        periodic=given.periodic,
    )
    if distance_from_given(crystal) > 0.0:
        return crystal
    return replace(crystal, lattice=primitive_lattice, positions=given.positions[sites])


def _space_group(
    given: _GivenCell,
    sites: NDArray[np.int64],
    lattice: NDArray[np.float64],
    scaled: NDArray[np.float64],
    symprec: float,
) -> tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Name, rotations, site_map and site_shift of the group of a primitive cell whose vacuum is long."""
    numbers, levels, species = given.numbers[sites], given.levels[sites], given.species[sites]
    dataset = _symmetry_dataset((lattice, scaled, species), symprec)
    rotations, translations = np.array(dataset.rotations, np.int64), np.array(dataset.translations)
    if has_reversal(levels):
        rotations, translations = magnetic_operations(lattice, scaled, numbers, levels, symprec=symprec)
    site_map, site_shift = _site_action(lattice, scaled, numbers, rotations, translations)
    name = f"{dataset.international} ({dataset.number})"
    if all(given.periodic):
        return name, rotations, site_map, site_shift
    name = layer_group(lattice, scaled, species, given.periodic, symprec) or name
    kept = own_operations(rotations, site_shift, given.periodic)
    return name, rotations[kept], site_map[kept], site_shift[kept] * np.array(given.periodic)


def _input_matrix(given: _GivenCell, symprec: float) -> NDArray[np.int64]:
    """Vectors of the input cell (rows) in the basis of the primitive cell that phonopy chooses.

    Those of a sheet or a wire are its shortest ones.
    """
    lattice = given.stretch[:, None] * given.lattice
    scaled = given.positions @ np.linalg.inv(lattice)
    atoms = PhonopyAtoms(numbers=given.species, scaled_positions=scaled, cell=lattice, masses=given.masses)
    dataset = _symmetry_dataset(atoms.totuple(), symprec)
    if not all(given.periodic):
        return primitive_matrix(lattice, dataset.rotations, dataset.translations, given.periodic)
    found = np.array(guess_primitive_matrix(atoms, symprec=symprec), float)
    return np.rint(np.linalg.inv(found.T)).astype(np.int64)


def _symmetry_dataset(cell: Any, symprec: float) -> Any:  # noqa: ANN401
    """Space group of (lattice, scaled positions, numbers), by whichever way spglib reports a failure."""
    reason = "no space group found"
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
    except SPGLIB_ERROR as error:
        dataset, reason = None, str(error)
    if dataset is None:
        raise DataError(f"the symmetry of the structure cannot be found: {reason}", fix=_SYMMETRY_FIX)
    return dataset


def _sites(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int64],
    lattice: NDArray[np.float64],
    symprec: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """First input atom of each site of the primitive lattice, and the mean fractional position of all."""
    fractional = positions @ np.linalg.inv(lattice)
    difference = fractional[None] - fractional[:, None]
    difference -= np.rint(difference)
    same = np.linalg.norm(difference @ lattice, axis=-1) < np.clip(10 * symprec, 1e-3, 0.5)
    same &= numbers[:, None] == numbers[None]
    sites = np.flatnonzero(same.argmax(axis=1) == np.arange(len(positions)))
    shifts = np.einsum("st,sta->sa", same[sites].astype(float), difference[sites])
    return sites, fractional[sites] + shifts / same[sites].sum(axis=1, keepdims=True)


def _site_action(
    lattice: NDArray[np.float64],
    fractional: NDArray[np.float64],
    numbers: NDArray[np.int64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Site permutation and integer offset of every operation."""
    images = np.einsum("gab,sb->gsa", rotations, fractional) + translations[:, None]
    difference = images[:, :, None] - fractional[None, None]
    residual = np.linalg.norm((difference - np.rint(difference)) @ lattice, axis=-1)
    residual[:, numbers[:, None] != numbers[None]] = np.inf
    site_map = residual.argmin(axis=2)
    shift = np.take_along_axis(difference, site_map[:, :, None, None], axis=2)[:, :, 0]
    return site_map, np.rint(shift).astype(np.int64)
