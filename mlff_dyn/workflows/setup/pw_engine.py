"""The physics of an input of pw.x as parameters of the engine, and what of it is not taken, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.engines.espresso.species_keys import SPECIES_KEYS
from mlff_dyn.errors import DataError, located
from mlff_dyn.store.pw_input import read_pw_input, symbol_of
from mlff_dyn.store.structure_pw import pseudopotential_folder, starting_magnetizations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from mlff_dyn.store.pw_input import PwInput, Value

_ALWAYS = "each structure is one self-consistent calculation with forces and stress"
_CELL = "cell and atoms are those of each structure"
_FILES = "each calculation has a directory of its own"
_NOT_TAKEN: dict[str, dict[str, tuple[str, ...]]] = {
    "control": {
        _ALWAYS: ("calculation", "tprnfor", "tstress", "nstep", "dt", "etot_conv_thr", "forc_conv_thr"),
        _FILES: (
            "outdir",
            "prefix",
            "wfcdir",
            "restart_mode",
            "title",
            "iprint",
            "lkpoint_dir",
            "disk_io",
            "wf_collect",
        ),
        "engine.profile has it": ("pseudo_dir", "max_seconds"),
    },
    "system": {
        _CELL: (
            *("ibrav", "celldm", "a", "b", "c", "cosab", "cosac", "cosbc", "nat", "ntyp"),
            *("space_group", "uniqueb", "origin_choice", "rhombohedral"),
        ),
        "the grid follows from cell and cutoff": ("nr1", "nr2", "nr3", "nr1s", "nr2s", "nr3s"),
        "it is the magnetic order of the structure": ("starting_magnetization",),
        "it counts atoms of the input": ("starting_ns_eigenvalue",),
    },
    "electrons": {
        "nothing is there to start from": ("startingpot", "startingwfc"),
        "results that are not converged are refused": ("scf_must_converge",),
    },
    "ions": {_ALWAYS: ("",)},
    "cell": {_ALWAYS: ("",)},
}
"""Why keys are left out, by namelist; an empty key stands for all."""

_LOOSEST_CONV_THR_RYDBERG = 1e-6
"""From here on, forces are wrong by more than force fields aim at; the default of pw.x."""

_LOOSE_CONV_THR_RYDBERG = 1e-8
_CONV_THR_RYDBERG = 1e-9

_EXTENSIVE = ("nbnd", "tot_charge", "tot_magnetization")
_INDEXED = re.compile(r"(\w+)\((\d+)\)")
_NO_CARD = {
    "CONSTRAINTS": "atoms are not constrained",
    "OCCUPATIONS": "give occupations by smearing; bands are others in the training cell",
    "SOLVENTS": "solvents are not supported",
    "ADDITIONAL_K_POINTS": "energies need the mesh alone",
    "ATOMIC_FORCES": "forces from outside are not supported",
}


@dataclass(frozen=True)
class PwPhysics:
    """What becomes of an input.

    Attributes
    ----------
    parameters : dict
        Of the engine.
    pseudo_dir : str
    notes : list of str
    """

    parameters: dict[str, Any]
    pseudo_dir: str
    notes: list[str]


def physics_of_input(
    path: Path, supercell: NDArray[np.int64], spacing_per_angstrom: float, lengths: NDArray[np.float64]
) -> PwPhysics:
    """Take the physics of an input for its training cell.

    Parameters
    ----------
    path : Path
    supercell : ndarray of int, shape (3, 3)
        Cell vectors of the training cell as sums of those of the input.
    spacing_per_angstrom : float
        Of k-points where the input has no mesh, with 2 pi.
    lengths : ndarray, shape (2, 3)
        Of the reciprocal vectors of the input and of the training cell, 1/Å, with 2 pi; 0 along vacuum.

    Raises
    ------
    DataError
        If the input cannot be read, or asks for what the engine cannot do.
    """
    given = read_pw_input(path)
    with located(f"structure file {path}"):
        return _physics(path, given, _TrainingCell(supercell, spacing_per_angstrom, lengths))


@dataclass(frozen=True)
class _TrainingCell:
    """See `physics_of_input`."""

    supercell: NDArray[np.int64]
    spacing_per_angstrom: float
    lengths: NDArray[np.float64]

    @property
    def repeats(self) -> NDArray[np.int64] | None:
        """Repeats along each vector; None for a skewed cell."""
        diagonal = np.diag(self.supercell)
        is_plain = np.array_equal(np.diag(diagonal), self.supercell) and bool(np.all(diagonal > 0))
        return diagonal if is_plain else None


def _physics(path: Path, given: PwInput, cell: _TrainingCell) -> PwPhysics:
    for key in ("lfcp", "trism"):
        if given.namelists.get("control", {}).get(key) is True:
            raise DataError(
                f"control.{key}: a force field needs structures of fixed numbers of electrons, "
                "without a solvent",
                fix="remove it",
            )
    notes = [f"The physics of {path.name}."]
    kpoints, reason = _kpoints(given, cell)
    input_data = _input_data(given, round(abs(np.linalg.det(cell.supercell))), notes)
    _divide_exchange_mesh(input_data["system"], cell, notes)
    _tighten(input_data.setdefault("electrons", {}), notes)
    parameters: dict[str, Any] = {
        "input_data": input_data,
        "pseudopotentials": {symbol_of(label): Path(file).name for label, file in given.species.items()},
        "kpoints": kpoints,
    }
    hubbard = given.cards.get("HUBBARD")
    if hubbard is not None:
        parameters["hubbard"] = _hubbard(given)
    if given.system.get("noncolin") is True:
        by_element = {symbol_of(label): share for label, share in starting_magnetizations(given).items()}
        parameters |= {"starting_magnetization": by_element} if any(by_element.values()) else {}
    notes += [
        reason,
        *(f"Card {name} is left out: {why}." for name, why in _NO_CARD.items() if name in given.cards),
    ]
    folder = pseudopotential_folder(path, given)
    named = Path(str(given.namelists.get("control", {}).get("pseudo_dir", "."))).expanduser()
    if folder is None:
        notes.append("Give the folder of the pseudopotentials: not all are where the input says.")
    return PwPhysics(parameters, str(folder or path.absolute().parent / named), notes)


def _input_data(given: PwInput, n_cells: int, notes: list[str]) -> dict[str, dict[str, Any]]:
    taken: dict[str, dict[str, Any]] = {}
    left_out: dict[str, list[str]] = {}
    for section, values in given.namelists.items():
        reasons = {key: why for why, keys in _NOT_TAKEN.get(section, {}).items() for key in keys}
        for key, value in values.items():
            why = reasons.get("") or reasons.get(key.partition("(")[0])
            if why is not None:
                left_out.setdefault(why, []).append(key if why is not _CELL else key.partition("(")[0])
            else:
                taken.setdefault(section, {})[key] = value
    notes += [f"Left out, as {why}: {', '.join(dict.fromkeys(keys))}." for why, keys in left_out.items()]
    taken["system"] = _by_element(given, taken.get("system", {}), notes)
    for key in _EXTENSIVE:
        of_input = taken["system"].get(key)
        if n_cells > 1 and isinstance(of_input, (int, float)) and of_input:
            taken["system"][key] = of_input * n_cells
            notes.append(f"{key}: {n_cells} times that of the input, {of_input:g}, whose cell is smaller.")
    return taken


def _tighten(electrons: dict[str, Any], notes: list[str]) -> None:
    """Make the cycle converge far enough for forces, or say that it might not."""
    given = electrons.get("conv_thr", _LOOSEST_CONV_THR_RYDBERG)
    if not isinstance(given, (int, float)) or given <= _LOOSE_CONV_THR_RYDBERG:
        return
    if given >= _LOOSEST_CONV_THR_RYDBERG:
        electrons["conv_thr"] = _CONV_THR_RYDBERG
        whose = "" if given > _LOOSEST_CONV_THR_RYDBERG else ", the default of pw.x,"
        notes.append(f"conv_thr: {given:g}{whose} is too loose for forces; {_CONV_THR_RYDBERG:g} is taken.")
    else:
        notes.append(
            f"conv_thr: {given:g} is loose for forces; {_CONV_THR_RYDBERG:g} costs a few steps more."
        )


def _divide_exchange_mesh(system: dict[str, Any], cell: _TrainingCell, notes: list[str]) -> None:
    """Divide the mesh of the exact exchange, which has to be a part of that of k-points."""
    repeats = cell.repeats
    if repeats is None:
        repeats = np.full(3, round(abs(np.linalg.det(cell.supercell)) ** (1 / 3)))
    for key, n in zip(("nqx1", "nqx2", "nqx3"), repeats, strict=True):
        of_input = system.get(key, 1)
        if isinstance(of_input, int) and of_input > 1:
            system[key] = -(-of_input // int(n))
            notes.append(f"{key}: {of_input} of the input divided by {n} repeats of the training cell.")


def _by_element(given: PwInput, system: Mapping[str, Value], notes: list[str]) -> dict[str, Any]:
    """Write keys of species by element: their numbers are others in the training cell."""
    symbols = [symbol_of(label) for label in given.species]
    found: dict[str, Any] = {}
    for key, value in system.items():
        match = _INDEXED.fullmatch(key)
        if match is None or match[1] not in SPECIES_KEYS or int(match[2]) > len(symbols):
            found[key] = value
            continue
        element = symbols[int(match[2]) - 1]
        known = found.setdefault(match[1], {})
        if known.setdefault(element, value) != value:
            notes.append(f"{key}: species of {element} have different values; that of the first is taken.")
    return found


def _hubbard(given: PwInput) -> dict[str, Any]:
    card = given.cards["HUBBARD"]
    lines: list[str] = []
    for row in card.rows:
        label, _, manifold = row[1].partition("-") if len(row) > 1 else ("", "", "")
        if row[0].upper() == "V" or len(row) != 3:
            raise DataError(
                f"card HUBBARD: {' '.join(row)}: V between atoms names atoms by number, which other "
                "structures have otherwise",
                fix="use U alone",
            )
        line = f"{row[0].upper()} {symbol_of(label)}-{manifold.lower()} {row[2]}"
        if line not in lines:
            lines.append(line)
    return {"projectors": card.option or "atomic", "lines": lines}


def _kpoints(given: PwInput, cell: _TrainingCell) -> tuple[Any, str]:
    """K-points of the training cell, and the reason."""
    default, lengths, repeats = cell.spacing_per_angstrom, cell.lengths, cell.repeats
    card = given.cards.get("K_POINTS")
    kind = "" if card is None else card.option
    rows = [] if card is None else [word for row in card.rows[:1] for word in row]
    if kind == "gamma":
        return "gamma", "k-points: the Gamma point alone, as in the input."
    numbers = [int(word) for word in rows[:6] if re.fullmatch(r"\d+", word)]
    if kind == "automatic" and len(numbers) >= 3 and min(numbers[:3]) > 0:
        mesh, shift = np.array(numbers[:3]), [n % 2 for n in [*numbers[3:], 0, 0, 0][:3]]
        if repeats is not None:
            found = np.ceil(mesh / repeats - 1e-9)
            how = f"divided by the repeats of the training cell, {_times(repeats)}"
        else:
            spacing = min(s for s in lengths[0] / mesh if s > 0.0)
            found = np.ceil(lengths[1] / spacing - 0.05)
            how = f"as close in the training cell: not more than {spacing:.3f} 1/Å apart"
        grid = [int(n) for n in np.where(lengths[1] > 0.0, found, 1).clip(1)]
        shift = [s if length > 0.0 else 0 for s, length in zip(shift, lengths[1], strict=True)]
        chosen: Any = {"grid": grid, "shift": shift} if any(shift) else grid
        return (
            "gamma" if chosen == [1, 1, 1] else chosen,
            f"k-points: {_times(mesh)} of the input {how}: {_times(grid)}.",
        )
    grid = [int(n) for n in np.ceil(lengths[1] / default - 0.05).clip(1)]
    return (
        "gamma" if grid == [1, 1, 1] else grid,
        f"k-points: a mesh with {default:g} 1/Å instead of the list of the input, which fits its own cell.",
    )


def _times(numbers: Iterable[int]) -> str:
    return " x ".join(str(int(n)) for n in numbers)
