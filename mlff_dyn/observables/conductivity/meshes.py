"""Meshes of wave vectors for a conductivity, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.observables.conductivity.solver import Conductivity, Mesh


@dataclass(frozen=True)
class MeshLimits:
    """Numbers that decide meshes.

    Attributes
    ----------
    spacings_per_angstrom : tuple of float
        Steps between wave vectors, 2π included, of the meshes that are tried one after the other.
    coarse : float
        Points along an axis of the mesh that a given one is compared with, in parts of it.
    most_minutes : float
        Expected time of a mesh that is tried on its own accord, on one core. Twice it reaches meshes with
        a tenth more points along each axis.
    elements_per_second : float
        Force constants transformed for each triplet of wave vectors, on one core of an AMD EPYC (Zen 4).
    """

    spacings_per_angstrom: tuple[float, ...] = (0.4, 0.28, 0.2, 0.14, 0.1, 0.07)
    coarse: float = 0.6
    most_minutes: float = 10.0
    elements_per_second: float = 2.5e9


LIMITS = MeshLimits()


def mesh_of_spacing(torus: Torus, spacing_per_angstrom: float) -> Mesh:
    """Odd numbers of wave vectors along each periodic axis whose steps are about a length, 2π included."""
    crystal = torus.crystal
    lengths = 2.0 * np.pi * np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    numbers = 2 * np.rint((lengths / spacing_per_angstrom - 1.0) / 2.0).astype(int) + 1
    first, second, third = np.where(np.array(crystal.periodic), np.maximum(numbers, 1), 1).tolist()
    return (first, second, third)


def meshes_to_try(torus: Torus, limits: MeshLimits = LIMITS) -> tuple[Mesh, ...]:
    """Meshes from coarse to fine, each a different one, as far as the time allows; two at least."""
    meshes = list(dict.fromkeys(mesh_of_spacing(torus, each) for each in limits.spacings_per_angstrom))
    kept = [each for each in meshes if expected_minutes(torus, each) <= limits.most_minutes]
    return tuple(meshes[: max(2, len(kept))])


def coarse_mesh_of(mesh: Mesh, limits: MeshLimits = LIMITS) -> Mesh:
    """Mesh that tells how far a given one has converged."""
    first, second, third = (min(n, max(2, 2 * round((limits.coarse * n - 1) / 2) + 1)) for n in mesh)
    return (first, second, third)


def slope_mesh_of(torus: Torus, mesh: Mesh, limits: MeshLimits = LIMITS) -> Mesh:
    """Mesh for error bars: relative changes hardly depend on it."""
    coarse = mesh_of_spacing(torus, limits.spacings_per_angstrom[0])
    first, second, third = (min(pair) for pair in zip(coarse, mesh, strict=True))
    return (first, second, third)


def n_irreducible(torus: Torus, mesh: Mesh) -> int:
    """Irreducible wave vectors of a mesh, by the point group of the crystal."""
    from phonopy.phonon.grid import BZGrid, get_ir_grid_points
    from phonopy.structure.cells import get_primitive
    from phonopy.structure.symmetry import Symmetry

    from mlff_dyn.formats.phonopy_cells import input_cell

    crystal = torus.crystal
    primitive = get_primitive(
        input_cell(crystal), np.linalg.inv(crystal.input_matrix).T, symprec=crystal.symprec
    )
    symmetry = Symmetry(primitive, symprec=crystal.symprec)
    grid = BZGrid(list(mesh), lattice=primitive.cell, symmetry_dataset=symmetry.dataset)
    return len(get_ir_grid_points(grid)[0])


def expected_minutes(torus: Torus, mesh: Mesh, limits: MeshLimits = LIMITS) -> float:
    """Time that a mesh takes, on one core."""
    n_triplets = n_irreducible(torus, mesh) * (int(np.prod(mesh)) / 2 + 1)
    elements = 27 * torus.crystal.n_sites * torus.n_atoms**2
    modes = (3 * torus.crystal.n_sites) ** 4
    return n_triplets * (elements + 27 * modes) / limits.elements_per_second / 60.0


def expected_bytes(torus: Torus, mesh: Mesh, n_temperatures: int, *, is_lbte: bool) -> int:
    """Memory that a conductivity and its slopes take."""
    n_modes, n_points = 3 * torus.crystal.n_sites, int(np.prod(mesh))
    third = 8 * 27 * torus.crystal.n_sites * torus.n_atoms**2
    phonons = 16 * n_points * n_modes**2
    triplets = 8 * (3 + n_temperatures) * (n_points / 2) * n_modes**3
    found = 8.0 * third + phonons + triplets
    if is_lbte:
        found += 8 * (1 + n_temperatures) * (3 * n_modes * n_irreducible(torus, mesh)) ** 2
    return int(found)


def extrapolated(found: Sequence[Conductivity]) -> NDArray[np.float64]:
    """Tensor on an endless mesh, from the last two: the error falls as one over their square along an axis.

    Returns
    -------
    ndarray, shape (n_temperatures, 6), W/mK
    """
    if len(found) < 2:
        return found[-1].kappa
    fine, coarse = found[-1], found[-2]
    n_axes = max(1, sum(n > 1 for n in fine.mesh))
    ratio = float(np.prod(coarse.mesh) / np.prod(fine.mesh)) ** (2.0 / n_axes)
    return np.asarray((fine.kappa - ratio * coarse.kappa) / (1.0 - ratio))
