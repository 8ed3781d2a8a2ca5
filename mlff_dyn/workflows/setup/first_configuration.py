"""A first configuration for a structure: training cell, cutoffs and engine, and what else could be chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.config.fields import shorten_supercell
from mlff_dyn.config.load import parse_config
from mlff_dyn.config.template import config_template
from mlff_dyn.config.yaml_source import format_yaml
from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.basis import FULL
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.lattice.wigner_seitz import largest_safe_cutoff
from mlff_dyn.training.proposed_cell import propose_cell
from mlff_dyn.training.proposed_expansion import EXPANSION_LIMITS, WIDER_LIMITS, propose_expansion
from mlff_dyn.training.proposed_local import ProposedLocal, SizedLocal, propose_local
from mlff_dyn.workflows.setup.cell_of_forces import with_cell_of_forces
from mlff_dyn.workflows.setup.first_born import born_charges_beside
from mlff_dyn.workflows.setup.first_engine import first_engine
from mlff_dyn.workflows.setup.vasp_inputs import moments_of_incar
from mlff_dyn.workflows.setup.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.training.proposed_cell import CellProposal, TrainingCell
    from mlff_dyn.training.proposed_expansion import ExpansionLimits, ProposedExpansion

Notes = dict[tuple[str, ...], list[str]]
_LOCAL = ("expansion", "local")
_CUTOFFS = ("expansion", "cutoffs_angstrom")


@dataclass(frozen=True)
class _Wanted:
    """What a proposal of cutoffs heeds."""

    rules: tuple[str, ...]
    has_local: bool

    def expansion(self, torus: Torus, limits: ExpansionLimits = EXPANSION_LIMITS) -> ProposedExpansion:
        limits = limits.beside_local() if self.has_local else limits
        return propose_expansion(torus, limits, rotational_sum_rules=self.rules)

    def expansion_or_none(self, torus: Torus, limits: ExpansionLimits) -> ProposedExpansion | None:
        try:
            return self.expansion(torus, limits)
        except BasisError:
            return None


def first_configuration(structure: Path, folder: Path, overrides: Sequence[str]) -> tuple[Config, str]:
    """Propose a configuration that runs for a structure.

    Parameters
    ----------
    structure : Path
    folder : Path
        Where the configuration will lie.
    overrides : sequence of str
        ``key.path=value`` each, which the proposal heeds.

    Returns
    -------
    config : Config
    text : str
        The configuration with comments.

    Raises
    ------
    DataError
        If the structure cannot be used.
    ConfigError
        If an override is not valid.
    """
    moments = moments_of_incar(structure)
    file: dict[str, Any] = {"file": str(structure.absolute())}
    if moments is not None:
        file["magnetic_moments"] = moments
    first, other = _as_given(file, structure, folder, overrides)
    workspace, notes = Workspace(first), Notes()
    crystal, rules = workspace.crystal, workspace.rotational_sum_rules
    expanded: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    wanted = _Wanted(rules, first.expansion.local is not None)
    if first.expansion.local != other.expansion.local:
        local = propose_local(crystal, is_at_rest=bool(rules))
        expanded["local"] = None if local is None else asdict(local.chosen.settings)
        wanted = _Wanted(rules, local is not None)
        notes[_LOCAL] = [] if local is None else _local_notes(local)
    if first.structure.supercell == other.structure.supercell:
        supercell = np.array(first.structure.supercell)
        expansion = wanted.expansion(input_supercell(crystal, supercell))
    else:
        supercell, expansion, sections = _propose(crystal, structure, wanted, notes)
    torus = input_supercell(crystal, supercell)
    notes[_CUTOFFS] = _expansion_notes(torus, wanted, expansion)
    kinds: set[str] = {first.require_engine().kind, other.require_engine().kind}
    engine = _engine(kinds, structure, crystal, supercell, notes)
    vacuum = {} if all(crystal.periodic) else {"periodic": list(crystal.periodic)}
    born = born_charges_beside(structure, crystal)
    if born is not None:
        expanded["born_file"] = str(born.absolute())
    values = {
        "structure": {**file, "supercell": shorten_supercell(_rows(supercell)), **vacuum},
        "expansion": {"cutoffs_angstrom": expansion.cutoffs_angstrom, **expanded},
        "engine": engine,
        **sections,
    }
    config = _parse(values, structure, folder, overrides)
    return config, config_template(config, folder, _still_true(notes, config, values))


def _as_given(
    file: dict[str, Any], structure: Path, folder: Path, overrides: Sequence[str]
) -> tuple[Config, Config]:
    """Two configurations that differ in all that is proposed, and agree in what the overrides set."""
    least = {"n_radial": 1, "l_max": 0}
    first, other = (
        _parse(
            {
                "structure": {**file, "supercell": [n] * 3},
                "expansion": {"cutoffs_angstrom": {2: "full"}, "local": local},
                "engine": {"kind": kind},
            },
            structure,
            folder,
            overrides,
        )
        for n, kind, local in ((1, "espresso", least), (2, "ase", None))
    )
    return first, other


def _engine(
    kinds: set[str], structure: Path, crystal: Crystal, supercell: np.ndarray, notes: Notes
) -> dict[str, Any]:
    if len(kinds) == 1:
        return {"kind": kinds.pop()}
    elements = list(dict.fromkeys(chemical_symbols[n] for n in crystal.input_numbers))
    lattice = crystal.input_lattice
    cells = (lattice, supercell @ lattice)
    engine, notes["engine",] = first_engine(structure, elements, *cells, periodic=crystal.periodic)
    return engine


def _parse(values: dict[str, Any], structure: Path, folder: Path, overrides: Sequence[str]) -> Config:
    return parse_config(
        format_yaml(values, flow=False, width=100),
        source=f"configuration of {structure}",
        folder=folder,
        overrides=overrides,
    )


def _still_true(notes: Notes, config: Config, values: Mapping[str, Any]) -> Notes:
    """Leave out notes on what an override has changed."""
    local = config.expansion.local
    changed: dict[tuple[str, ...], bool] = {
        _LOCAL: (None if local is None else local.model_dump()) != values["expansion"].get("local"),
        ("structure", "supercell"): shorten_supercell(config.structure.supercell)
        != values["structure"]["supercell"],
        _CUTOFFS: config.expansion.cutoffs_angstrom != values["expansion"]["cutoffs_angstrom"],
    }
    return {key: lines for key, lines in notes.items() if not changed.get(key)}


def _propose(
    crystal: Crystal, structure: Path, wanted: _Wanted, notes: Notes
) -> tuple[np.ndarray, ProposedExpansion, dict[str, Any]]:
    usual = propose_cell(crystal)
    cells = with_cell_of_forces(usual, structure, crystal)
    torus = input_supercell(crystal, cells.proposed.matrix)
    expansion = wanted.expansion(torus)
    lines = [f"This one: {_describe(cells.proposed, expansion)}."]
    if not cells.proposed.is_plain:
        lines.append("Its rows: " + "; ".join(_row(row, crystal) for row in cells.proposed.matrix) + ".")
    for name, cell in (("Cheaper", cells.cheaper), ("Larger", cells.larger)):
        other = None
        if cell is not None:
            other = wanted.expansion_or_none(input_supercell(crystal, cell.matrix), EXPANSION_LIMITS)
        if cell is not None and other is not None:
            matrix = _flow(shorten_supercell(_rows(np.array(cell.matrix))))
            counted = f"{other.n_parameters} parameters"
            if other.cutoffs_angstrom != expansion.cutoffs_angstrom:
                counted += f" with {_flow(other.cutoffs_angstrom)}"
            lines.append(f"{name}: {matrix}: {_describe(cell, other)}, {counted}.")
    notes["structure", "supercell"] = lines
    sections = {} if cells is usual else _of_conductivity(crystal, cells, expansion)
    return np.array(cells.proposed.matrix), expansion, sections


def _of_conductivity(crystal: Crystal, cells: CellProposal, expansion: ProposedExpansion) -> dict[str, Any]:
    """Cells of orders 3 and 2, where the usual training cell holds order 3: it costs far less."""
    third, second = (np.array(each.matrix) for each in (cells.cheaper or cells.proposed, cells.proposed))
    reach = expansion.cutoffs_angstrom.get(3, 0.0)
    if reach == FULL or float(reach) > largest_safe_cutoff(input_supercell(crystal, third)):
        return {}
    named = {"supercell": third, "supercell_2": second}
    return {"conductivity": {name: shorten_supercell(_rows(each)) for name, each in named.items()}}


def _expansion_notes(torus: Torus, wanted: _Wanted, chosen: ProposedExpansion) -> list[str]:
    lines = [f"This one: {chosen.n_parameters} parameters."]
    counts, cutoffs = chosen.n_parameters_per_order, chosen.cutoffs_angstrom
    highest = max(cutoffs)
    if highest > 2:
        fewer = {order: cutoff for order, cutoff in cutoffs.items() if order < highest}
        n_fewer = sum(n for order, n in counts.items() if order < highest)
        lines.append(f"Cheaper: {_flow(fewer)}: {n_fewer} parameters.")
    wider = wanted.expansion_or_none(torus, WIDER_LIMITS)
    if wider is not None and wider.n_parameters > chosen.n_parameters:
        lines.append(f"Larger: {_flow(wider.cutoffs_angstrom)}: {wider.n_parameters} parameters.")
    return lines


def _local_notes(local: ProposedLocal) -> list[str]:
    lines = [f"This one: {local.chosen.n_parameters} parameters."]
    others = (("Cheaper", local.cheaper), ("Larger", local.larger))
    return lines + [f"{name}: {_sized(other)}." for name, other in others if other is not None]


def _sized(local: SizedLocal) -> str:
    return f"{_flow(asdict(local.settings))}: {local.n_parameters} parameters"


def _describe(cell: TrainingCell, expansion: ProposedExpansion) -> str:
    return (
        f"{cell.n_atoms} atoms, images {cell.image_distance_angstrom:.2f} Å apart, "
        f"safe cutoffs up to {expansion.largest_safe_cutoff_angstrom:.2f} Å"
    )


def _row(row: Sequence[int], crystal: Crystal) -> str:
    counted = [(n, f"{abs(n) if abs(n) > 1 else ''}{axis}") for n, axis in zip(row, "abc", strict=True) if n]
    terms = [f"{'-' if n < 0 else '+'} {term}" for n, term in counted]
    length = float(np.linalg.norm(np.array(row) @ crystal.input_lattice))
    return f"{' '.join(terms).removeprefix('+ ')} ({length:.2f} Å)"


def _rows(matrix: np.ndarray) -> Any:  # noqa: ANN401 (three rows of three integers)
    return tuple(tuple(int(n) for n in row) for row in matrix)


def _flow(value: object) -> str:
    return format_yaml(value, flow=True, width=10**6).strip()
