"""Symmetric strains of the reference crystal: deformation of cells, and stress.

Sites R of the crystal are at (1 + strain) R, and a cell with vectors a has (1 + strain) a. The slope of an
energy with respect to the strain becomes the Cauchy stress with the eigenvalues f of 1 + strain: a small
further deformation (1 + h) of space, h symmetric, changes the strain by 2 f_i f_j / (f_i + f_j) h_ij in the
basis of its eigenvectors and turns the crystal by w_ij = (f_j - f_i) / (f_i + f_j) h_ij.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.kernels.strain.moves import VOIGT

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Deformation(NamedTuple):
    """Rotation after a symmetric strain: a cell vector a becomes rotation @ (1 + strain) @ a."""

    strain: NDArray[np.float64]
    rotation: NDArray[np.float64]


def polar(gradient: NDArray[np.float64]) -> Deformation:
    """Split a deformation gradient F, new vector = F @ old one.

    Parameters
    ----------
    gradient : ndarray, shape (3, 3)
        Of positive determinant.
    """
    left, sizes, right = np.linalg.svd(gradient)
    stretch = right.T @ np.diag(sizes) @ right
    return Deformation(0.5 * (stretch + stretch.T) - np.eye(3), left @ right)


def strained_lattice(lattice: NDArray[np.float64], strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors (rows) of a strained cell."""
    return np.asarray(lattice + lattice @ strain)


def stress_of_strain_slope(slope: NDArray[np.float64], strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cauchy stress times volume from dE/dstrain at constant displacements.

    Parameters
    ----------
    slope : ndarray, shape (6, ...)
        Components xx, yy, zz, yz, xz, xy of the symmetric tensor.
    strain : ndarray, shape (3, 3)

    Returns
    -------
    ndarray, shape (6, ...)
        Without the work of taking displacements along, see `stress_of_displacing`.
    """
    if not strain.any():
        return slope
    sizes, axes = _stretches(strain)
    tensor = from_voigt(slope)
    in_axes = np.einsum("ia,jb,ij...->ab...", axes, axes, tensor)
    weights = 2.0 * np.outer(sizes, sizes) / np.add.outer(sizes, sizes)
    weighted = in_axes * weights.reshape(3, 3, *(1,) * (tensor.ndim - 2))
    return to_voigt(np.einsum("ia,jb,ab...->ij...", axes, axes, weighted))


def stress_of_displacing(
    forces: NDArray[np.float64], displacements: NDArray[np.float64], strain: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Stress times volume, because a deformation of space takes the displacements along.

    Parameters
    ----------
    forces : ndarray, shape (n_atoms, 3, ...)         eV/Å
    displacements : ndarray, shape (n_atoms, 3)       Å
    strain : ndarray, shape (3, 3)

    Returns
    -------
    ndarray, shape (6, ...)
        Components xx, yy, zz, yz, xz, xy, eV.
    """
    work = -np.einsum("ia...,ib->ab...", forces, displacements, optimize=True)
    if strain.any():
        sizes, axes = _stretches(strain)
        weights = 2.0 * sizes[:, None] / np.add.outer(sizes, sizes)
        turned = np.einsum("ia,jb,ij...->ab...", axes, axes, work)
        turned = turned * weights.reshape(3, 3, *(1,) * (work.ndim - 2))
        work = np.einsum("ia,jb,ab...->ij...", axes, axes, turned)
    return to_voigt(0.5 * (work + np.swapaxes(work, 0, 1)))


def stress_of_virial(
    virial: NDArray[np.float64],
    forces: NDArray[np.float64],
    displacements: NDArray[np.float64],
    strain: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Stress times volume, of a deformation that moves sites and displaced atoms alike.

    Parameters
    ----------
    virial : ndarray, shape (3, 3)                    dE/dstrain at constant displacements, eV
    forces : ndarray, shape (n_atoms, 3)              eV/Å
    displacements : ndarray, shape (n_atoms, 3)       Å
    strain : ndarray, shape (3, 3)

    Returns
    -------
    ndarray, shape (6,)
        Components xx, yy, zz, yz, xz, xy, eV.
    """
    of_strain = stress_of_strain_slope(to_voigt(virial), strain)
    return np.asarray(of_strain + stress_of_displacing(forces, displacements, strain))


def rotated_back(stress: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stress (6,) of a rotated crystal as it is before the rotation."""
    return to_voigt(rotation.T @ from_voigt(stress) @ rotation)


def to_voigt(tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Components xx, yy, zz, yz, xz, xy of symmetric tensors, (3, 3, ...) to (6, ...)."""
    return np.array([tensor[pair] for pair in VOIGT])


def from_voigt(components: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric tensors, (6, ...) to (3, 3, ...)."""
    tensor = np.zeros((3, 3, *components.shape[1:]))
    for (a, b), component in zip(VOIGT, components, strict=True):
        tensor[a, b] = tensor[b, a] = component
    return tensor


def _stretches(strain: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sizes, axes = np.linalg.eigh(np.eye(3) + strain)
    return sizes, axes
