"""`init`: reference structure, basis and first structures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ase.io
from ase.data import chemical_symbols

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.ideal_cell import distance_from_given
from mlff_dyn.lattice.wigner_seitz import largest_safe_cutoff
from mlff_dyn.model.harmonic_modes import modes_of_order_2
from mlff_dyn.report.answer import Report
from mlff_dyn.store.atomic import atomic_write
from mlff_dyn.store.lock import RunLock
from mlff_dyn.training.initial import rattled_displacements, thermal_displacements
from mlff_dyn.training.springs import spring_displacements
from mlff_dyn.workflows.setup.bond_lengths import distance_warnings
from mlff_dyn.workflows.setup.looser_symmetry import looser_symmetry
from mlff_dyn.workflows.setup.magnetic_order import describe_order
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import displaced_atoms
from mlff_dyn.workflows.training.prior_stability import prior_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.fitting.prior_guess import PriorGuess
    from mlff_dyn.workflows.setup.looser_symmetry import LooserSymmetry

_PRIOR_STREAM = 4
_ROUNDING_ANGSTROM = 1e-6
_MANY_SITES = 32


@dataclass(frozen=True)
class InitReport(Report):
    """What a configuration means.

    Attributes
    ----------
    formula : str                             of the structure file
    n_atoms_structure : int                   atoms in it
    n_atoms : int                             atoms of the training cell
    n_sites : int                             atoms of the primitive cell
    space_group : str
    looser : LooserSymmetry or None           more symmetry at a looser tolerance
    parameters_per_order : dict
    largest_safe_cutoff_angstrom : float      for any order that is not `full`
    distance_from_ideal_angstrom : float
        Largest distance of a cell vector or an atom of the given cell from the ideal crystal.
    warnings : tuple of str
    magnetic_order : str or None
    again : str                               command that writes the configuration anew; may be empty
    n_parameters_local : int                  functions of distances and angles beside the orders
    """

    verb = "init"
    formula: str
    n_atoms_structure: int
    n_atoms: int
    n_sites: int
    space_group: str
    looser: LooserSymmetry | None
    parameters_per_order: dict[int, int]
    largest_safe_cutoff_angstrom: float
    distance_from_ideal_angstrom: float
    warnings: tuple[str, ...] = ()
    magnetic_order: str | None = None
    again: str = ""
    n_parameters_local: int = 0

    @property
    def n_parameters(self) -> int:
        """Number of parameters of all orders and of the local part."""
        return sum(self.parameters_per_order.values()) + self.n_parameters_local

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        return {"looser_symmetry": "no looser tolerance finds more symmetry"}

    def values(self) -> dict[str, object]:
        """Return the JSON values."""
        counts, cutoff = self.parameters_per_order, self.largest_safe_cutoff_angstrom
        return {
            "formula": self.formula,
            "n_atoms_structure": self.n_atoms_structure,
            "n_atoms": self.n_atoms,
            "n_atoms_primitive": self.n_sites,
            "space_group": self.space_group,
            **({} if self.magnetic_order is None else {"magnetic_order": self.magnetic_order}),
            "looser_symmetry": None if self.looser is None else vars(self.looser),
            "orders": list(counts),
            "n_parameters": self.n_parameters,
            "n_parameters_per_order": counts,
            "n_parameters_local": self.n_parameters_local,
            "largest_safe_cutoffs_angstrom": dict.fromkeys((order for order in counts if order > 1), cutoff),
            "distance_from_ideal_angstrom": self.distance_from_ideal_angstrom,
            "warnings": list(self.warnings),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        parts = [f"order {order}: {n}" for order, n in self.parameters_per_order.items()]
        counts = ", ".join([*parts, *([f"local: {n}"] if (n := self.n_parameters_local) else [])])
        distance = self.distance_from_ideal_angstrom
        ideal = f"the given cell is up to {distance:.2g} Å off; the ideal one is used"
        looser = [] if self.looser is None else [("more symmetry", _advice(self.looser, self.again))]
        return [
            ("structure", f"{self.formula}, {self.n_atoms_structure} atoms"),
            ("space group", self.space_group),
            *([] if self.magnetic_order is None else [("magnetic order", self.magnetic_order)]),
            *([("ideal crystal", ideal)] if distance > _ROUNDING_ANGSTROM else []),
            *looser,
            ("atoms", f"{self.n_atoms} in the training cell, {self.n_sites} in the primitive cell"),
            ("parameters", f"{self.n_parameters} ({counts})"),
            ("largest safe cutoff", f"{self.largest_safe_cutoff_angstrom:.3f} Å"),
            *(("warning", line) for line in self.warnings),
        ]


def initialise(config: Config, *, dry_run: bool, again: str = "") -> InitReport:
    """Write the reference structures, the basis and the first structures of a run.

    Parameters
    ----------
    config : Config
    dry_run : bool
        Compute everything, write nothing.
    again : str
        Command that writes the configuration anew, for advice; empty where the user wrote it.

    Raises
    ------
    DataError
        If the structure cannot be used or the run directory cannot be written.
    BasisError
        If the expansion does not fit the training cell.
    """
    workspace = Workspace(config)
    numbers = workspace.crystal.input_numbers
    looser = looser_symmetry(config)
    try:
        expansion = workspace.expansion
    except BasisError as error:
        advice = "" if looser is None else f"; or there is more symmetry: {_advice(looser, again)}"
        raise BasisError(error.message, fix=f"{error.fix}{advice}") from error
    report = InitReport(
        formula=formula_of(numbers),
        n_atoms_structure=len(numbers),
        n_atoms=workspace.training_torus.n_atoms,
        n_sites=workspace.crystal.n_sites,
        space_group=workspace.crystal.space_group,
        looser=looser,
        parameters_per_order=expansion.basis.n_parameters_per_order,
        largest_safe_cutoff_angstrom=largest_safe_cutoff(workspace.training_torus),
        distance_from_ideal_angstrom=distance_from_given(workspace.crystal),
        warnings=(
            *_symmetry_warnings(workspace),
            *distance_warnings(workspace.crystal),
            *prior_warnings(workspace),
        ),
        magnetic_order=describe_order(workspace.crystal),
        again=again,
        n_parameters_local=expansion.n_parameters - expansion.basis.n_parameters,
        status="dry run" if dry_run else "initialized",
    )
    if not dry_run:
        with RunLock(workspace.directory):
            write_setup(workspace)
    return report


def formula_of(numbers: NDArray[np.int64]) -> str:
    """Chemical formula with the elements in their order, such as Na4Cl4."""
    counts = Counter(chemical_symbols[number] for number in numbers)
    return "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in counts.items())


def _symmetry_warnings(workspace: Workspace) -> list[str]:
    """Say that a large cell without any symmetry is hardly a crystal at rest."""
    crystal = workspace.crystal
    if crystal.n_operations > 1 or crystal.n_sites < _MANY_SITES:
        return []
    text = (
        f"{workspace.config.structure.file} has no symmetry among its {crystal.n_sites} atoms: if they are "
        "displaced, as a step of molecular dynamics is, give the relaxed crystal"
    )
    return [text]


def _advice(looser: LooserSymmetry, again: str) -> str:
    found, symprec = f"{looser.space_group} within {looser.symprec_angstrom:g} Å", looser.symprec_angstrom
    if not again:
        return f"{found}, with structure.symprec_angstrom: {symprec:g}"
    return f"{found}: {again} --set structure.symprec_angstrom={symprec:g}"


def write_setup(workspace: Workspace, guess: PriorGuess | None = None) -> None:
    """Write what does not depend on any calculation: configuration, structures, basis.

    First structures that a prior shapes are written only with its guess.
    """
    torus, crystal = workspace.training_torus, workspace.crystal
    folder = workspace.directory / "structure"
    workspace.write_configuration()
    workspace.write_basis()
    _write_structure(folder / "supercell.vasp", displaced_atoms(torus, 0.0 * torus.positions))
    if torus.magnetic_moments is not None:
        with atomic_write(folder / "supercell.extxyz") as temporary:
            ase.io.write(temporary, displaced_atoms(torus, 0.0 * torus.positions), format="extxyz")
    primitive = displaced_atoms(torus, 0.0 * torus.positions)[:: torus.n_cells]
    primitive.positions = crystal.positions
    primitive.set_cell(crystal.lattice)
    _write_structure(folder / "primitive.vasp", primitive)
    if guess is None and workspace.config.training.prior is not None:
        return
    first = [displaced_atoms(torus, u) for u, _ in initial_displacements(workspace, guess)]
    with atomic_write(folder / "initial.extxyz") as temporary:
        ase.io.write(temporary, first, format="extxyz")


def initial_displacements(
    workspace: Workspace, guess: PriorGuess | None = None
) -> list[tuple[NDArray[np.float64], float | None]]:
    """First structures, the same at every call; of kind ``thermal`` without a guess, only the first holds.

    Parameters
    ----------
    workspace : Workspace
    guess : PriorGuess, optional
        With it, the structures are frames of dynamics on the guess, temperature after temperature; where it
        leaves the trusted region they are rattled, as they are without it.

    Returns
    -------
    list of (ndarray of shape (n_atoms, 3), float or None)
        Displacements, Å, and their temperature, K; None for rattled ones.
    """
    config, torus = workspace.config, workspace.training_torus
    initial, seed = config.training.first_structures, config.seed
    n_structures = initial.n or 0
    found: list[tuple[NDArray[np.float64], float | None]] = []
    for i in range(n_structures):
        named = initial.sd_angstrom, (seed, 0, i)
        is_rattled = initial.kind != "springs"
        u = (
            rattled_displacements(torus.n_atoms, *named)
            if is_rattled
            else spring_displacements(torus, *named)
        )
        found.append((u, None))
    if guess is None:
        return found
    kernel = workspace.expansion.on(torus).kernel(guess.parameters)
    modes = modes_of_order_2(workspace.expansion, guess.parameters, torus)
    temperatures = config.training.temperatures_kelvin
    for index, temperature in enumerate(temperatures):
        places = range(index, n_structures, len(temperatures))
        frames = thermal_displacements(
            kernel,
            torus,
            temperature_kelvin=temperature,
            timestep_femtoseconds=config.md.timestep_femtoseconds,
            count=len(places),
            seed=(seed, _PRIOR_STREAM, index),
            modes=modes,
        )
        for place, frame in zip(places, frames, strict=False):
            found[place] = (frame, temperature)
    return found


def _write_structure(path: Path, atoms: Atoms) -> None:
    with atomic_write(path) as temporary:
        ase.io.write(temporary, atoms, format="vasp", direct=True)
