"""Born charges and dielectric tensor in phonopy's BORN file, or in a YAML file of phonopy or phono3py.

The file lists the tensors of the symmetry-independent atoms of the primitive cell that phonopy makes of the
input cell. Its first line may give phonopy's unit conversion and two cutoffs of the dipole-dipole sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from phonopy.file_IO import parse_BORN
from phonopy.structure.cells import Primitive, get_primitive
from phonopy.structure.symmetry import Symmetry

from mlff_dyn.errors import ConfigError, DataError
from mlff_dyn.formats.born_yaml import read_born_yaml
from mlff_dyn.formats.phonopy_cells import input_cell
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.long_range import LongRange
from mlff_dyn.store.structure_yaml import is_phonopy_yaml
from mlff_dyn.units import BOHR_ANGSTROM, HARTREE_EV

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.model.force_field import ForceField

COULOMB_EV_ANGSTROM = HARTREE_EV * BOHR_ANGSTROM
NAME = "BORN"
_FIX = (
    "give phonopy's BORN file of the cell in structure.file, or a YAML file with nac, in the same orientation"
)
_SAME_UNITS = 1e-3
_N_VECTORS = 300
_DAMPED = -np.log(1e-10)
_LARGEST_MISFIT = 0.1


def read_born(path: Path, crystal: Crystal) -> LongRange:
    """Read the dipoles of a crystal.

    A unit conversion in the first line is taken where it is that of eV and Å (14.4). One of other units says
    how phonopy counts then, and is left aside together with its cutoffs.

    Parameters
    ----------
    path : Path
        BORN, or a YAML file of phonopy or phono3py, also compressed.
    crystal : Crystal

    Raises
    ------
    ConfigError
        If the file is missing or damaged, or its tensors do not fit the crystal.
    """
    try:
        given = read_born_yaml(path, crystal) if is_phonopy_yaml(path) else _read_plain(path, crystal)
    except OSError as error:
        raise ConfigError(f"cannot read expansion.born_file {path}: {error.strerror}", fix=_FIX) from None
    except DataError as error:
        raise ConfigError(f"expansion.born_file {path}: {error.message}", fix=_FIX) from None
    except (RuntimeError, ValueError, IndexError) as error:
        raise ConfigError(f"expansion.born_file {path} is damaged: {error}", fix=_FIX) from None
    charges, dielectric = _symmetrized(path, crystal, given["born"], np.array(given["dielectric"], float))
    coulomb, damping = _sum_parameters(given, dielectric, crystal)
    try:
        return LongRange(charges, dielectric, damping, coulomb)
    except DataError as error:
        raise ConfigError(f"expansion.born_file {path} cannot be used: {error.message}", fix=_FIX) from None


def write_born(path: Path, long_range: LongRange, primitive: Primitive, sites: NDArray[np.int64]) -> None:
    """Write the dipoles so that phonopy splits the interaction in the same way.

    Parameters
    ----------
    path : Path
    long_range : LongRange
    primitive : Primitive
        Primitive cell of phonopy.
    sites : ndarray of int, shape (n_sites,)
        Site of each of its atoms.
    """
    cutoff = reciprocal_cutoff(long_range)
    tensors = [long_range.dielectric]
    tensors += [long_range.charges[sites[i]] for i in Symmetry(primitive).get_independent_atoms()]
    lines = [f"{long_range.coulomb:.12f} {cutoff:.12f} {long_range.damping:.12f}"]
    lines += [" ".join(f"{value:.12f}" for value in tensor.reshape(-1)) for tensor in tensors]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def add_dipoles(phonon: Any, force_field: ForceField, torus: Torus, directory: Path) -> tuple[str, ...]:  # noqa: ANN401
    """Give phonopy or phono3py the dipoles of a force field, and write them beside the force constants.

    Parameters
    ----------
    phonon : Phonopy or Phono3py
    force_field : ForceField
    torus : Torus
    directory : Path

    Returns
    -------
    tuple of str
        Name of the file; nothing where the force field has no dipoles.
    """
    long_range, dipoles = force_field.long_range, phonopy_dipoles(phonon, force_field, torus)
    if long_range is None or dipoles is None:
        return ()
    phonon.nac_params = dipoles
    sites = sites_of_primitive(phonon.primitive, torus.crystal)
    write_born(directory / NAME, long_range, phonon.primitive, sites)
    return (NAME,)


def phonopy_dipoles(phonon: Any, force_field: ForceField, torus: Torus) -> dict[str, Any] | None:  # noqa: ANN401
    """Return the dipoles of a force field as ``nac_params`` of phonopy or phono3py; None without any."""
    long_range = force_field.long_range
    if long_range is None:
        return None
    return {
        "born": long_range.charges[sites_of_primitive(phonon.primitive, torus.crystal)],
        "dielectric": long_range.dielectric,
        "factor": long_range.coulomb,
        "G_cutoff": reciprocal_cutoff(long_range),
        "Lambda": long_range.damping,
    }


def reciprocal_cutoff(long_range: LongRange) -> float:
    """Cutoff of phonopy's reciprocal sum that goes with the damping, 1/Å without 2π."""
    return 2.0 * long_range.damping * float(np.sqrt(_DAMPED * 3.0 / np.trace(long_range.dielectric)))


def sites_of_primitive(primitive: Primitive, crystal: Crystal) -> NDArray[np.int64]:
    """Site of each atom of a primitive cell of phonopy."""
    one_cell = Torus(crystal, np.eye(3, dtype=np.int64))
    return one_cell.match(primitive.positions)[0]


def _read_plain(path: Path, crystal: Crystal) -> dict[str, Any]:
    """Read a BORN file, charges site by site."""
    primitive = _phonopy_primitive(crystal)
    given: dict[str, Any] = dict(parse_BORN(primitive, symprec=crystal.symprec, filename=path))
    charges = np.empty((crystal.n_sites, 3, 3))
    charges[sites_of_primitive(primitive, crystal)] = given["born"]
    return {**given, "born": charges}


def _phonopy_primitive(crystal: Crystal) -> Primitive:
    return get_primitive(input_cell(crystal), np.linalg.inv(crystal.input_matrix).T, symprec=crystal.symprec)


def _symmetrized(
    path: Path, crystal: Crystal, charges: NDArray[np.float64], dielectric: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average over the space group, without the mean charge; refused where that changes much.

    Raises
    ------
    ConfigError
        If the tensors are not those of the crystal.
    """
    rotations = crystal.cartesian_rotations
    average = np.einsum("gab,bc,gdc->ad", rotations, dielectric, rotations) / len(rotations)
    symmetric = np.zeros_like(charges)
    for rotation, images in zip(rotations, crystal.site_map, strict=True):
        symmetric[images] += rotation @ charges @ rotation.T / len(rotations)
    neutral = symmetric - symmetric.mean(axis=0)
    size = float(np.abs(charges).max())
    for found, kept, limit in ((charges, neutral, size), (dielectric, average, float(np.abs(average).max()))):
        misfit = float(np.abs(found - kept).max())
        if not misfit <= _LARGEST_MISFIT * limit:
            what = "Born charges" if found is charges else "dielectric tensor"
            raise ConfigError(
                f"expansion.born_file {path} does not fit the crystal: symmetry and a vanishing sum "
                f"change the {what} by {misfit:.3g} (largest component {limit:.3g})",
                fix=_FIX,
            )
    dielectric = 0.5 * (average + average.T)
    if np.linalg.eigvalsh(dielectric)[0] <= 0.0:
        raise ConfigError(f"expansion.born_file {path}: the dielectric tensor is not positive", fix=_FIX)
    return neutral, dielectric


def _sum_parameters(
    given: Mapping[str, Any], dielectric: NDArray[np.float64], crystal: Crystal
) -> tuple[float, float]:
    """Coulomb constant (eV Å) and damping (1/Å), those of phonopy for the same file."""
    coulomb = float(given.get("factor", COULOMB_EV_ANGSTROM))
    if abs(coulomb / COULOMB_EV_ANGSTROM - 1.0) > _SAME_UNITS:
        given, coulomb = {}, COULOMB_EV_ANGSTROM
    volume = abs(float(np.linalg.det(crystal.lattice)))
    cutoff = float(given.get("G_cutoff", np.cbrt(3.0 * _N_VECTORS / (4.0 * np.pi * volume))))
    derived = 0.5 * cutoff * float(np.sqrt(np.trace(dielectric) / 3.0 / _DAMPED))
    return coulomb, float(given.get("Lambda", derived))
