"""Forces on displaced supercells in the files of phonopy and phono3py.

The YAML file holds cells and displacements, and forces where it is one of ``params``; else they are in
``FORCE_SETS``, or ``FORCES_FC3`` and ``FORCES_FC2``, beside it. All are in the units of the calculator that
the YAML file names; energies are in eV.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from phonopy.physical_units import get_calculator_physical_units

from mlff_dyn.errors import DataError, UsageError, reason_of
from mlff_dyn.formats.label_files.displaced import (
    Cell,
    Displaced,
    displaced_snapshots,
    read_numbers,
    whole_text,
)
from mlff_dyn.formats.plain_yaml import check_plain
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source

    Set = tuple[NDArray[np.float64], NDArray[np.float64] | None, float | None]

_HEAD = re.compile(rb"^(phonopy|phono3py):", re.MULTILINE)
_CUT = re.compile(r"^\s*- [-+.\deE]+\Z", re.MULTILINE)
_YAML_NAMES = ("{}_params.yaml", "{}_disp.yaml", "{}.yaml")
_FORCE_FILES = {"FORCE_SETS": "phonopy", "FORCES_FC3": "phono3py", "FORCES_FC2": "phono3py"}


@dataclass(frozen=True)
class _Units:
    """Å and eV/Å of the units of a calculator."""

    length: float
    force: float


def yaml_of_forces(source: Source) -> Source | None:
    """YAML file beside a file of forces; None where the source is no such file, or there is none.

    Raises
    ------
    DataError
        If it is a file of forces, and there is none.
    """
    program = next((_FORCE_FILES[each] for each in _FORCE_FILES if source.name.split(".")[0] == each), None)
    if program is None:
        return None
    names = [name.format(program) for name in _YAML_NAMES]
    found = [each for each in map(source.sibling, names) if each is not None]
    if not found:
        raise DataError(
            f"{source} holds forces alone, and none of {', '.join(names)} is beside it",
            fix="put the file of the displacements beside it",
        )
    return found[0]


def _recognizes(source: Source, head: bytes) -> bool:
    return _HEAD.search(head) is not None and ".y" in source.name


def _beside(source: Source) -> tuple[Source, ...]:
    found = map(source.sibling, _FORCE_FILES)
    return tuple(each for each in found if each is not None)


def _read(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    text = source.read_text()
    if _CUT.search(text):
        raise DataError(f"{source} is cut: its last line is not complete", fix="write it again")
    check_plain(source, text)
    is_cubic = re.search(r"^phono3py:", text, re.MULTILINE) is not None
    content = _parse(source, text, is_cubic=is_cubic)
    found = get_calculator_physical_units(content.calculator)
    units = _Units(found.distance_to_A, found.force_to_eVperA)
    if content.unitcell is None:
        raise DataError(f"{source} has no cell", fix="give a file that phonopy or phono3py wrote")
    parts = [
        ("supercell_matrix", content.supercell, content.dataset, "FORCES_FC3" if is_cubic else "FORCE_SETS")
    ]
    if is_cubic:
        cell = content.phonon_supercell or content.supercell
        parts.append(("phonon_supercell_matrix", cell, content.phonon_dataset, "FORCES_FC2"))
    displaced: list[Displaced | None] = []
    missing = []
    for matrix, supercell, dataset, name in parts:
        forces = source.sibling(name)
        if dataset is None and (forces is None or name != "FORCE_SETS"):
            continue
        with _damage_told(source):
            cell = _cell(content, matrix, supercell, units)
            sets = _with_forces(source, dataset or {}, forces, len(cell.numbers))
            if not any(each is not None and each[1] is not None for each in sets):
                missing.append(name)
                continue
            displaced += [_displaced(cell, each, units) for each in sets]
    for name in missing or ([] if displaced else [parts[0][3]]):
        fix = f"put {name} beside it, or give the outputs of the calculations"
        yield RefusedStep(source, None, f"it holds no forces, and there is no {name} beside it", fix)
    yield from displaced_snapshots(source, displaced, options.steps, content.calculator)


@contextmanager
def _damage_told(source: Source) -> Iterator[None]:
    """Name the file where what it holds does not fit together."""
    try:
        yield
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{source} is damaged: {type(error).__name__} {reason_of(error)}", fix="write it again"
        ) from error


def _parse(source: Source, text: str, *, is_cubic: bool) -> Any:  # noqa: ANN401 (of phonopy or phono3py)
    if is_cubic:
        try:
            from phono3py.interface.phono3py_yaml import Phono3pyYaml as Reader
        except ImportError as error:
            raise UsageError(
                f"{source} needs phono3py: {error}", fix="pip install 'mlff-dyn[phono3py]'"
            ) from None
    else:
        from phonopy.interface.phonopy_yaml import PhonopyYaml as Reader
    try:
        return Reader().read(io.StringIO(text))
    except Exception as error:
        raise DataError(
            f"{source} is damaged: {type(error).__name__} {reason_of(error)}", fix="write it again"
        ) from error


def _cell(content: Any, matrix: str, supercell: Any, units: _Units) -> Cell:  # noqa: ANN401 (of phonopy)
    if supercell is None:
        from phonopy.structure.cells import get_supercell

        supercell = get_supercell(content.unitcell, getattr(content, matrix))
    return Cell(
        supercell.numbers.astype(np.int64), supercell.positions * units.length, supercell.cell * units.length
    )


def _displaced(cell: Cell, each: Set | None, units: _Units) -> Displaced | None:
    if each is None or each[1] is None:
        return None
    return Displaced(cell, each[0] * units.length, each[1] * units.force, each[2])


def _with_forces(
    source: Source, dataset: Mapping[str, Any], forces: Source | None, n_atoms: int
) -> Sequence[Set | None]:
    """Displacements with their forces, from the YAML file or else from the file beside it."""
    sets = _sets(dataset, n_atoms)
    if any(each is not None and each[1] is not None for each in sets) or forces is None:
        return sets
    if forces.name.startswith("FORCE_SETS"):
        return _force_sets(forces, n_atoms)
    table = _table(forces, n_atoms)
    if table.shape[-1] == 6:
        return [(each[:, :3], each[:, 3:], None) for each in table]
    if len(table) != len(sets):
        raise DataError(
            f"{forces} holds forces of {len(table)} supercells of {n_atoms} atoms, {source} has {len(sets)}",
            fix="put files of the same calculation beside each other",
        )
    pairs = zip(sets, table, strict=True)
    return [None if each is None else (each[0], found, None) for each, found in pairs]


def _table(forces: Source, n_atoms: int) -> NDArray[np.float64]:
    rows = read_numbers(forces, (3, 6))
    if len(rows) % n_atoms:
        raise DataError(
            f"{forces} holds {len(rows)} lines, which are not those of supercells of {n_atoms} atoms",
            fix="put files of the same calculation beside each other",
        )
    return rows.reshape(-1, n_atoms, rows.shape[1])


def _sets(dataset: Mapping[str, Any], n_atoms: int) -> list[Set | None]:
    """Displacements of a dataset of phonopy or phono3py; None for pairs beyond its cutoff."""
    if "displacements" in dataset:
        n_sets = len(dataset["displacements"])
        forces = dataset.get("forces", [None] * n_sets)
        energies = dataset.get("supercell_energies", [None] * n_sets)
        return list(zip(dataset["displacements"], forces, energies, strict=True))
    singles = dataset.get("first_atoms", [])
    sets: list[Set | None] = [_set([each], n_atoms) for each in singles]
    sets += [_set([first, each], n_atoms) for first in singles for each in first.get("second_atoms", [])]
    return sets


def _set(atoms: Sequence[Mapping[str, Any]], n_atoms: int) -> Set | None:
    if not atoms[-1].get("included", True):
        return None
    displacements = np.zeros((n_atoms, 3))
    for each in atoms:
        if not 0 <= each["number"] < n_atoms:
            raise IndexError(f"there is no atom {each['number'] + 1} among {n_atoms}")
        displacements[each["number"]] += each["displacement"]
    return displacements, atoms[-1].get("forces"), atoms[-1].get("supercell_energy")


def _force_sets(forces: Source, n_atoms: int) -> list[Set | None]:
    """Read ``FORCE_SETS``: one displaced atom a set, or the displacements of all."""
    lines = [line for line in whole_text(forces).splitlines() if line.partition("#")[0].strip()]
    if lines and len(lines[0].split()) == 6:
        return [(each[:, :3], each[:, 3:], None) for each in _table(forces, n_atoms)]
    try:
        values = np.array(" ".join(line.partition("#")[0] for line in lines).split(), dtype=float)
    except ValueError as error:
        raise DataError(
            f"{forces} holds something else than numbers: {error}", fix="write it again"
        ) from None
    n_values = 4 + 3 * n_atoms
    if len(values) < 2 or values[0] != n_atoms or len(values) != 2 + values[1] * n_values:
        raise DataError(
            f"{forces} is cut, or does not belong to a supercell of {n_atoms} atoms",
            fix="put files of the same calculation beside each other",
        )
    rows = values[2:].reshape(-1, n_values)
    atoms = [{"number": int(row[0]) - 1, "displacement": row[1:4]} for row in rows]
    return [
        _set([{**atom, "forces": row[4:].reshape(n_atoms, 3)}], n_atoms)
        for atom, row in zip(atoms, rows, strict=True)
    ]


PHONOPY = LabelFormat("phonopy or phono3py YAML", _recognizes, _read, _beside)
