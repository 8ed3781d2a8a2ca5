"""Structures in the marks of calculation directories, to the last bit: inputs of programs round them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase import Atoms

from mlff_dyn.errors import DataError
from mlff_dyn.store.json_file import to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

MOMENTS = "initial_magmoms"


def structure_to_json(atoms: Atoms) -> dict[str, Any]:
    """Return a structure, and where it comes from (its info), as JSON values."""
    values: dict[str, object] = {
        "numbers": atoms.numbers,
        "cell": atoms.cell.array,
        "positions": atoms.positions,
        "periodic": atoms.pbc,
        "masses": atoms.get_masses(),
    }
    if atoms.has(MOMENTS):
        values["magnetic_moments"] = atoms.get_initial_magnetic_moments()
    if atoms.info:
        values["origin"] = atoms.info
    return {name: to_plain(value) for name, value in values.items()}


def structure_from_json(content: Mapping[str, Any]) -> Atoms:
    """Build a structure from the values of `structure_to_json`.

    Raises
    ------
    DataError
        If they are damaged.
    """
    try:
        return Atoms(
            numbers=content["numbers"],
            positions=content["positions"],
            cell=content["cell"],
            pbc=content["periodic"],
            masses=content["masses"],
            magmoms=content.get("magnetic_moments"),
            info=dict(content.get("origin", {})),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the structure is damaged: {error}", fix="remove the directory") from error
