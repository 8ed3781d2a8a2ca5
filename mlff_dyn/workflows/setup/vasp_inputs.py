"""A user's VASP calculation as an engine section: its physics for static cells of another size."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.engines.vasp.incar import (
    FIXED,
    LOOSEST_EDIFF_EV,
    MACHINE_TAGS,
    SPECIES_TAGS,
    is_static_algorithm,
    parse_incar,
    refuse_tag,
    typed_value,
)
from mlff_dyn.engines.vasp.kpoints import Mesh, folded_mesh, mesh_of_spacing, parse_kpoints
from mlff_dyn.engines.vasp.potcar import DEFAULT_FOLDER, FUNCTIONALS, LIBRARY_VARIABLES, parse_potentials
from mlff_dyn.errors import ConfigError, DataError, UsageError
from mlff_dyn.lattice.magnetism import MAGNETIC_LIMITS
from mlff_dyn.store.source import Source
from mlff_dyn.store.structure_file import read_structure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.engines.vasp.potcar import Potential

STRUCTURE_NAMES = ("POSCAR", "CONTCAR")
INPUT_NAMES = ("INCAR", "POTCAR", "KPOINTS")
DEFAULT_SPACING_PER_ANGSTROM = 0.25
"""Of k-points where the files say nothing; with 2 pi."""

DEFAULT_CUTOFF_EV = 520.0
CUTOFF_OVER_ENMAX = 1.3
"""What stress wants: its error falls with the cutoff more slowly than that of forces."""

LOOSE_EDIFF_EV = 1.0e-6
_RELAXATIONS = ("1", "2", "3")
_CELL_NAMES = "NBANDS NELECT NGX NGY NGZ NGXF NGYF NGZF FERWE FERDO NKRED NKREDX NKREDY NKREDZ"
_OF_THE_CELL = frozenset(_CELL_NAMES.split())
_ALGORITHMS = {38: "Normal", 48: "VeryFast", 68: "Fast", 58: "All"}
_TETRAHEDRA, _LEAST_FOR_THEM = (-4, -5), 4
_KEPT_NAMES = "NCORE NPAR KPAR NSIM LPLANE LSCALU LSCALAPACK ALGO NELM NELMIN LMAXMIX"
_KEPT_MACHINE_TAGS = frozenset(_KEPT_NAMES.split())

_logger = logging.getLogger(__name__)


@dataclass
class _Incar:
    """Tags that are kept, and what was changed, reason by reason."""

    tags: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, tag: str, reason: str) -> None:
        self.left_out.setdefault(reason, []).append(tag)

    def all_notes(self) -> list[str]:
        out = [
            f"INCAR: {', '.join(tags)} left out: {reason.rstrip('?')}."
            for reason, tags in self.left_out.items()
        ]
        return [*out, *self.notes]


def structure_of_directory(folder: Path) -> Path:
    """Return the structure file of a directory of a VASP calculation: of a relaxation its end.

    Raises
    ------
    UsageError
        If there is none.
    """
    found = [folder / name for name in STRUCTURE_NAMES if (folder / name).is_file()]
    if len(found) > 1 and found[1].stat().st_size and _tags(folder).get("IBRION") in _RELAXATIONS:
        _logger.info("%s: taken, for it is where the relaxation ended", found[1])
        return found[1]
    if found:
        return found[0]
    raise UsageError(
        f"{folder} has no {' or '.join(STRUCTURE_NAMES)}", fix="give a structure file, or a directory of VASP"
    )


def is_vasp_input(structure: Path) -> bool:
    """Whether a structure belongs to VASP: by its name, or by what lies beside it."""
    folder = structure.absolute().parent
    return structure.name.upper().startswith(STRUCTURE_NAMES) or any(
        (folder / name).is_file() for name in INPUT_NAMES
    )


def moments_of_incar(structure: Path) -> list[float] | None:
    """Collinear moments that the INCAR beside a structure gives its atoms, Bohr magnetons.

    Moments as small as those that neighbors induce are none: they come by themselves.

    Parameters
    ----------
    structure : Path

    Returns
    -------
    list of float or None
        None where there are no others.
    """
    path = structure.absolute().parent / "INCAR"
    tags = _tags(path.parent)
    if not _has_order_of_poscar(structure) or "MAGMOM" not in tags or tags.get("ISPIN") != "2":
        return None
    moments = np.array(_typed(path, "MAGMOM", tags["MAGMOM"]))
    if len(moments) != len(read_structure(structure)):
        return None
    moments[np.abs(moments) <= MAGNETIC_LIMITS.induced_bohr_magneton] = 0.0
    found: list[float] = moments.tolist()
    return found if any(found) else None


def vasp_engine(
    structure: Path,
    lattice: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: tuple[bool, bool, bool],
) -> tuple[dict[str, Any], list[str]]:
    """Write an engine section from INCAR, KPOINTS and POTCAR beside a structure, as far as they are there.

    Parameters
    ----------
    structure : Path
    lattice : ndarray, shape (3, 3)          cell of the structure file, rows, Å
    cell : ndarray, shape (3, 3)             training cell, rows, Å
    periodic : tuple of 3 bool

    Returns
    -------
    section : dict
    notes : list of str                      what was changed, and why

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    folder, symbols = structure.absolute().parent, read_structure(structure).get_chemical_symbols()
    elements = list(dict.fromkeys(symbols))
    given = _tags(folder)
    lists = sorted(set(given) & set(SPECIES_TAGS))
    if lists and not _has_order_of_poscar(structure):
        _logger.warning("INCAR: %s left out: they follow POSCAR, not %s", ", ".join(lists), structure.name)
        given = {tag: text for tag, text in given.items() if tag not in lists}
    mesh, notes = _mesh(folder, given, lattice, cell, np.array(periodic))
    n_cells = round(abs(np.linalg.det(cell) / np.linalg.det(lattice)))
    incar = _static_incar(folder / "INCAR", given, symbols, n_cells)
    _check_smearing(incar, mesh, has_incar=bool(given))
    potentials, library, lines = _potentials(folder, elements)
    _check_cutoff(incar, potentials)
    notes = [*incar.all_notes(), *notes, *lines]
    for line in notes:
        _logger.info("%s", line)
    names = {element: element for element in elements} | {each.element: each.name for each in potentials}
    functional = potentials[0].functional if potentials else ""
    return {
        "kind": "vasp",
        "parameters": {
            "incar": incar.tags,
            "kpoints": _configured(mesh),
            "potcar_folder": FUNCTIONALS.get(functional, DEFAULT_FOLDER),
            "pseudopotentials": {element: names[element] for element in elements},
        },
        "profile": {
            "command": "{program}",
            "pseudo_dir": library,
            "environment": {"OMP_NUM_THREADS": "1"},
            "timeout_minutes": 600,
        },
    }, [*notes, "command: put your launcher before {program}, as in srun {program}."]


def _tags(folder: Path) -> dict[str, str]:
    path = folder / "INCAR"
    tags = parse_incar(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}
    old = tags.pop("ENMAX", None)
    return tags if old is None else {"ENCUT": old, **tags}


def _has_order_of_poscar(structure: Path) -> bool:
    """Whether lists of the INCAR beside a structure follow the order of its atoms."""
    return structure.name.upper().startswith(STRUCTURE_NAMES)


def _static_incar(path: Path, given: Mapping[str, str], symbols: Sequence[str], n_cells: int) -> _Incar:
    """Tags of an INCAR that a static calculation of a larger cell keeps."""
    incar = _Incar()
    for tag, text in given.items():
        if tag in FIXED:
            if _typed(path, tag, text) != FIXED[tag]:
                incar.leave_out(f"{tag} = {text}", "every structure is calculated as it is")
            continue
        if tag == "MAGMOM":
            _take_moments(incar, path, text, symbols)
        elif tag == "IALGO" and _typed(path, tag, text) in _ALGORITHMS:
            incar.tags["ALGO"] = _ALGORITHMS[_typed(path, tag, text)]
        elif tag in MACHINE_TAGS and tag not in _KEPT_MACHINE_TAGS:
            incar.leave_out(tag, "it changes what is written or how it converges, not the result")
        elif tag == "ISYM":
            incar.leave_out(f"{tag} = {text}", "displaced atoms have no symmetry; it is 0")
        elif tag in _OF_THE_CELL and n_cells > 1:
            incar.leave_out(
                tag, f"it belongs to the cell of the file; the training cell is {n_cells} times larger"
            )
        else:
            _take(incar, path, tag, text, symbols)
    _adjust(incar, n_cells)
    return incar


def _adjust(incar: _Incar, n_cells: int) -> None:
    """Change what a larger cell and small displacements want otherwise, and say what makes forces worse."""
    if incar.tags.get("NUPDOWN", -1) > 0:
        incar.tags["NUPDOWN"] *= n_cells
        incar.notes.append(f"INCAR: NUPDOWN times {n_cells}, the number of cells in the training cell.")
    if incar.tags.get("EDIFF", 0.0) > LOOSEST_EDIFF_EV:
        incar.notes.append(
            f"INCAR: EDIFF = {incar.tags.pop('EDIFF'):g} is too loose for forces; 1e-7 is taken."
        )
    elif incar.tags.get("EDIFF", 0.0) > LOOSE_EDIFF_EV:
        incar.notes.append(
            f"EDIFF = {incar.tags['EDIFF']:g} is loose for forces; 1e-7 costs a few steps more."
        )
    if str(incar.tags.get("LREAL", False)) != "False":
        incar.notes.append("LREAL other than false makes forces of small displacements less exact; test it.")


def _take(incar: _Incar, path: Path, tag: str, text: str, symbols: Sequence[str]) -> None:
    """Keep a tag, unless it does not belong to a static calculation."""
    try:
        refuse_tag(tag, text)
    except ConfigError as error:
        reason = error.message.partition(": ")[2]
        incar.leave_out(f"{tag} = {text}", reason)
        return
    value = _typed(path, tag, text)
    if tag in SPECIES_TAGS:
        value = _by_element(path, tag, value, symbols)
    elif tag == "ALGO" and not is_static_algorithm(value):
        incar.notes.append(f"INCAR: ALGO = {value} becomes Normal: it is no way to the ground state.")
        value = "Normal"
    incar.tags[tag] = value


def _take_moments(incar: _Incar, path: Path, text: str, symbols: Sequence[str]) -> None:
    """Moments are a part of the structure; small ones are a start of the spins, by element."""
    moments = _typed(path, "MAGMOM", text)
    if len(moments) != len(symbols):
        incar.leave_out("MAGMOM", f"it has {len(moments)} numbers, the structure {len(symbols)} atoms")
        return
    limit = MAGNETIC_LIMITS.induced_bohr_magneton
    if max(map(abs, moments)) > limit:
        dropped = (
            " without those up to 0.75, which come by themselves" if min(map(abs, moments)) <= limit else ""
        )
        incar.notes.append(f"INCAR: MAGMOM is now structure.magnetic_moments{dropped}.")
        return
    by_element = dict(zip(symbols, moments, strict=True))
    if all(by_element[symbol] == moment for symbol, moment in zip(symbols, moments, strict=True)):
        incar.tags["MAGMOM"] = by_element
    else:
        incar.leave_out("MAGMOM", f"moments up to {limit:g} Bohr magnetons come by themselves")


def _by_element(path: Path, tag: str, values: Sequence[float], symbols: Sequence[str]) -> dict[str, float]:
    """Values of species as values of elements."""
    species = [symbol for symbol, _ in groupby(symbols)]
    if len(values) != len(species):
        raise DataError(
            f"{path}: {tag} has {len(values)} values, the structure {len(species)} species",
            fix="correct it, or remove it and set it by element in the configuration",
        )
    found: dict[str, float] = {}
    for element, value in zip(species, values, strict=True):
        if found.setdefault(element, value) != value:
            raise DataError(
                f"{path}: {tag} gives {element} both {found[element]:g} and {value:g}",
                fix="remove it and set one value by element in the configuration",
            )
    return found


def _typed(path: Path, tag: str, text: str) -> Any:  # noqa: ANN401 (flag, number, text, or a list of one kind)
    try:
        return typed_value(tag, text)
    except ConfigError as error:
        raise DataError(
            f"{path}: {tag} = {text}: {error.message.partition(': ')[2]}", fix=error.fix
        ) from error


def _check_smearing(incar: _Incar, mesh: Mesh, *, has_incar: bool) -> None:
    """Replace tetrahedra where the mesh has too few points; write VASP's own default where it was used."""
    tags = incar.tags
    if has_incar and "ISMEAR" not in tags:
        tags |= {"ISMEAR": 1, "SIGMA": tags.get("SIGMA", 0.2)}
        incar.notes.append(
            "INCAR has no ISMEAR: 1 and SIGMA 0.2 are what VASP takes then; insulators want 0."
        )
    if tags.get("ISMEAR") in _TETRAHEDRA and mesh.n_points < _LEAST_FOR_THEM:
        incar.notes.append(
            f"INCAR: ISMEAR = {tags['ISMEAR']} becomes 0 with SIGMA 0.05: tetrahedra need 4 k-points, the "
            f"training cell has {mesh.n_points}."
        )
        tags |= {"ISMEAR": 0, "SIGMA": 0.05}


def _check_cutoff(incar: _Incar, potentials: Sequence[Potential]) -> None:
    """Write a cutoff where INCAR has none."""
    if "ENCUT" in incar.tags:
        return
    highest = max((each.enmax_ev for each in potentials), default=None)
    value = DEFAULT_CUTOFF_EV if highest is None else 5.0 * np.ceil(CUTOFF_OVER_ENMAX * highest / 5.0)
    incar.tags["ENCUT"] = float(value)
    source = "a guess" if highest is None else f"1.3 times ENMAX = {highest:g} eV"
    incar.notes.append(f"ENCUT: {source}; test it.")


def _mesh(
    folder: Path,
    given: Mapping[str, str],
    lattice: NDArray[np.float64],
    cell: NDArray[np.float64],
    periodic: NDArray[np.bool_],
) -> tuple[Mesh, list[str]]:
    """Mesh of the training cell, and where it is from."""
    path = folder / "KPOINTS"
    if path.is_file():
        mesh = parse_kpoints(path.read_text(encoding="utf-8", errors="replace"), lattice)
        if mesh is not None:
            divided, is_same = folded_mesh(mesh, lattice, cell, periodic)
            same = "the same points, folded" if is_same else "at least as dense"
            return divided, [
                f"KPOINTS: {_words(mesh)} becomes {_words(divided)} in the training cell: {same}."
            ]
        lines = ["KPOINTS is no mesh, which another cell could be given; a new one is proposed."]
    elif "KSPACING" in given:
        spacing = float(_typed(folder / "INCAR", "KSPACING", given["KSPACING"]))
        mesh = mesh_of_spacing(cell, spacing, periodic)
        return mesh, [
            f"KSPACING = {spacing:g} is {_words(mesh)} in the training cell; every structure has it."
        ]
    else:
        lines = []
    mesh = mesh_of_spacing(cell, DEFAULT_SPACING_PER_ANGSTROM, periodic)
    return mesh, [*lines, f"kpoints: at most {DEFAULT_SPACING_PER_ANGSTROM:g} 1/Å apart; test them."]


def _words(mesh: Mesh) -> str:
    return " x ".join(map(str, mesh.grid))


def _configured(mesh: Mesh) -> Any:  # noqa: ANN401 (one of the forms of the configuration)
    if mesh.is_gamma:
        return "gamma"
    return {"grid": list(mesh.grid), "shift": list(mesh.shift)} if any(mesh.shift) else list(mesh.grid)


def _potentials(folder: Path, elements: Sequence[str]) -> tuple[list[Potential], str, list[str]]:
    """Data sets of the POTCAR beside the structure, the library, and what is missing."""
    source = Source(folder / "INCAR").sibling("POTCAR")
    if source is not None:
        found = parse_potentials(source.read_text(), source)
        missing = [element for element in elements if element not in {each.element for each in found}]
        if missing:
            raise DataError(
                f"{source} has no {missing[0]}", fix="let POTCAR and POSCAR be of one calculation"
            )
        kept = [each for each in found if each.element in elements]
        return kept, str(folder), ["pseudopotentials: those of POTCAR, which stays where it is."]
    note = "Name the POTCARs, such as Sn_d for Sn, and the folder of the library (pseudo_dir)."
    library = next(filter(None, map(os.environ.get, LIBRARY_VARIABLES)), "potcars")
    return [], library, [note]
