"""Collinear moments of a structure as VASP takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.vasp.incar import WHERE
from mlff_dyn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

_MOMENTS_IN_OUTCAR = 10


def with_moments(tags: Mapping[str, Any], atoms: Atoms, order: NDArray[Any]) -> dict[str, Any]:
    """Tags with MAGMOM and ISPIN.

    Moments of the structure come first; without them those of the configuration, one an element.

    Parameters
    ----------
    tags : mapping
        With MAGMOM by species, if given.
    atoms : Atoms
    order : ndarray of int, shape (n_atoms,)
        Index of the given atom at each place of the POSCAR.

    Raises
    ------
    ConfigError
        If the tags contradict the moments.
    """
    complete = dict(tags)
    by_species = complete.pop("MAGMOM", None)
    moments = atoms.get_initial_magnetic_moments()[order].tolist()
    if any(moments):
        if by_species is not None:
            raise ConfigError(
                f"{WHERE}.MAGMOM: the structure has magnetic moments of its own",
                fix="remove it, or set structure.magnetic_moments",
            )
        _check_collinear(tags)
    elif by_species is not None:
        names = list(dict.fromkeys(atoms.symbols))
        moments = [by_species[names.index(atoms.symbols[index])] for index in order]
    if complete.get("LSORBIT"):
        if by_species is not None:
            raise ConfigError(
                f"{WHERE}.MAGMOM: moments with spin-orbit coupling are vectors", fix="remove it"
            )
        complete["MAGMOM"] = [0.0] * (3 * len(moments))
    elif any(moments) or complete.get("ISPIN") == 2:
        complete["ISPIN"] = 2
        complete.setdefault("LORBIT", _MOMENTS_IN_OUTCAR)
        if any(moments):
            complete["MAGMOM"] = moments
    return complete


def _check_collinear(tags: Mapping[str, Any]) -> None:
    if tags.get("ISPIN", 2) != 2:
        raise ConfigError(
            f"{WHERE}.ISPIN: is {tags['ISPIN']}, but the structure has magnetic moments",
            fix="set it to 2, or structure.magnetic_moments to {} for none",
        )
    if tags.get("LSORBIT"):
        raise ConfigError(
            f"{WHERE}.LSORBIT: the moments of the structure are collinear, without spin-orbit coupling",
            fix="remove it",
        )
