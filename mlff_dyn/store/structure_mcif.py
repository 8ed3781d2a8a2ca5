"""Magnetic CIF files: operations with and without reversal of time, moments along the crystal axes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.geometry import cellpar_to_cell
from ase.io.cif import parse_cif
from ase.spacegroup.spacegroup import parse_sitesym

from mlff_dyn.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_SUFFIXES = (".cif", ".mcif")
_MOMENT = re.compile(rb"^\s*_atom_site_moment[._]crystalaxis_x", re.MULTILINE | re.IGNORECASE)
_AXES = (
    "_atom_site_moment_crystalaxis_x",
    "_atom_site_moment_crystalaxis_y",
    "_atom_site_moment_crystalaxis_z",
)
_OPERATIONS = (
    "_space_group_symop_magn_operation_xyz",
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
_CENTERINGS = "_space_group_symop_magn_centering_xyz"
_CELL = tuple(
    f"_cell_{name}"
    for name in ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
)
_SAME_SITE_ANGSTROM = 0.02
_SAME_MOMENT_BOHR_MAGNETON = 0.05

Operations = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]"]


def is_magnetic_cif(path: Path) -> bool:
    """Tell a CIF file with magnetic moments by its name and content."""
    return path.suffix.lower() in _SUFFIXES and _MOMENT.search(path.read_bytes()) is not None


def read_magnetic_cif(path: Path) -> Atoms:
    """Read all atoms of a magnetic CIF file with their moments.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Atoms
        Moments are Cartesian vectors, Bohr magnetons.

    Raises
    ------
    DataError
        If the file is damaged, a site is not one whole atom of a known element, or moments contradict the
        operations.
    """
    try:
        block = _last_block(path)
        lattice = np.array(cellpar_to_cell([float(block[key]) for key in _CELL]))
        positions = np.stack([_numbers(block[f"_atom_site_fract_{axis}"]) for axis in "xyz"], axis=1)
        labels = [str(label) for label in block["_atom_site_label"]]
        elements = [_element(text) for text in block.get("_atom_site_type_symbol", labels)]
        vectors = _site_moments(block, labels) / np.linalg.norm(lattice, axis=1)
        operations = _operations(block)
        occupancies = _numbers(block.get("_atom_site_occupancy", [1.0] * len(labels)))
    except DataError as error:
        raise DataError(f"structure file {path}: {error.message}", fix=error.fix) from None
    except Exception as error:
        raise DataError(
            f"structure file {path} cannot be read as a magnetic CIF: {type(error).__name__}: {error}",
            fix="give a complete file",
        ) from error
    if np.abs(occupancies - 1.0).max() > 1e-6:
        raise DataError(f"structure file {path} has partly occupied sites", fix="give an ordered structure")
    sites, places, moments = _expand(path, positions, vectors, operations, lattice)
    return Atoms(
        numbers=np.array(elements)[sites],
        positions=places @ lattice,
        cell=lattice,
        pbc=True,
        magmoms=moments @ lattice,
    )


def _last_block(path: Path) -> dict[str, Any]:
    """Tags of the last structure; the dots of newer names are underscores."""
    with path.open("rb") as file:
        blocks = [{key.replace(".", "_"): value for key, value in block.items()} for block in parse_cif(file)]
    return [block for block in blocks if _AXES[0] in block][-1]


def _numbers(values: list[Any]) -> NDArray[np.float64]:
    return np.array([float(value) for value in values])


def _element(text: object) -> int:
    found = re.match(r"[A-Z][a-z]?", str(text))
    symbol = "" if found is None else found.group()
    number = int(atomic_numbers.get(symbol, 0))
    if number < 1:
        raise DataError(
            f"{text!r} is no chemical element",
            fix="write a symbol of the periodic table as _atom_site_type_symbol",
        )
    return number


def _site_moments(block: dict[str, Any], labels: list[str]) -> NDArray[np.float64]:
    """Components of the moment of each site along the unit vectors of the axes; zero where none is listed."""
    moments = np.zeros((len(labels), 3))
    components = np.stack([_numbers(block[key]) for key in _AXES], axis=1)
    for label, moment in zip(block["_atom_site_moment_label"], components, strict=True):
        moments[labels.index(str(label))] = moment
    return moments


def _operations(block: dict[str, Any]) -> Operations:
    """Rotations, translations and signs of time of all operations times all centerings."""
    listed = next((block[key] for key in _OPERATIONS if key in block), ["x,y,z"])
    rotations, translations, times = _parse(listed)
    _, shifts, turns = _parse(block.get(_CENTERINGS, ["x,y,z,+1"]))
    n_shifts = len(shifts)
    return (
        np.tile(rotations, (n_shifts, 1, 1)),
        np.tile(translations, (n_shifts, 1)) + np.repeat(shifts, len(rotations), axis=0),
        np.tile(times, n_shifts) * np.repeat(turns, len(rotations)),
    )


def _parse(listed: list[Any]) -> Operations:
    parts = [str(text).replace(" ", "").lower().split(",") for text in listed]
    rotations, translations = parse_sitesym([",".join(part[:3]) for part in parts])
    if not np.all(np.abs(np.rint(np.linalg.det(rotations))) == 1.0):
        raise ValueError(f"an operation is no rotation: {listed}")
    times = [-1.0 if part[3:] == ["-1"] else 1.0 for part in parts]
    return np.array(rotations, float), np.array(translations, float), np.array(times)


def _expand(
    path: Path,
    positions: NDArray[np.float64],
    vectors: NDArray[np.float64],
    operations: Operations,
    lattice: NDArray[np.float64],
) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
    """Site, position and moment of every atom, in fractional coordinates; moments are axial vectors."""
    rotations, translations, times = operations
    turns = times * np.rint(np.linalg.det(rotations))
    sites: list[int] = []
    places: list[NDArray[np.float64]] = []
    moments: list[NDArray[np.float64]] = []
    for site, (position, vector) in enumerate(zip(positions, vectors, strict=True)):
        for place, moment in zip(
            rotations @ position + translations, turns[:, None] * (rotations @ vector), strict=True
        ):
            apart = np.array(places).reshape(-1, 3) - place
            distance = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=1)
            if not len(distance) or distance.min() > _SAME_SITE_ANGSTROM:
                sites.append(site)
                places.append(place)
                moments.append(moment)
                continue
            known = moments[int(distance.argmin())]
            if np.linalg.norm((known - moment) @ lattice) > _SAME_MOMENT_BOHR_MAGNETON:
                raise DataError(
                    f"structure file {path}: the moment of site {site + 1} is not invariant under the "
                    "operations",
                    fix="give the magnetic operations and moments of one setting",
                )
    return sites, np.array(places), np.array(moments)
