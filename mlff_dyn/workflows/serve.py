"""`serve`: a trained force field as the client of a program that moves atoms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import located
from mlff_dyn.formats.dynamics_codes.i_pi_client import parse_address
from mlff_dyn.formats.dynamics_codes.i_pi_client import serve as answer_server
from mlff_dyn.formats.dynamics_codes.i_pi_files import read_supercell
from mlff_dyn.formats.dynamics_codes.start import largest_displacement, start_of
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.followed_atoms import FollowedAtoms
from mlff_dyn.report.answer import DryRun, Report
from mlff_dyn.store.structure_file import read_structure
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.workflows.export import read_source

if TYPE_CHECKING:
    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.report.progress import Progress


@dataclass(frozen=True)
class ServeReport(Report):
    """What was served.

    Attributes
    ----------
    address : str
    n_atoms : int
    n_evaluations : int
    evaluations_per_second : float             from the first to the last, i-PI included
    largest_displacement_angstrom : float      of an atom from its site
    displacement_limit_angstrom : float
    trained_displacement_angstrom : float      largest one of the data
    warnings : tuple of str
    """

    verb = "serve"
    address: str
    n_atoms: int
    n_evaluations: int
    evaluations_per_second: float
    largest_displacement_angstrom: float
    displacement_limit_angstrom: float
    trained_displacement_angstrom: float
    warnings: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        return [
            ("address", self.address),
            ("atoms", str(self.n_atoms)),
            ("structures", f"{self.n_evaluations}, {self.evaluations_per_second:.0f} a second"),
            ("largest displacement", f"{self.largest_displacement_angstrom:.3g} Å"),
            ("  limit", f"{self.displacement_limit_angstrom:.3g} Å"),
            ("  the data reach", f"{self.trained_displacement_angstrom:.3g} Å"),
            *(("warning", line) for line in self.warnings),
        ]


def serve(
    source: Path | Config,
    *,
    address: str,
    structure: Path | None,
    wait_seconds: float,
    displacement_limit_angstrom: float | None,
    progress: Progress,
    allow_unconverged: bool = False,
    dry_run: bool = False,
) -> Report:
    """Answer i-PI until it ends.

    Parameters
    ----------
    source : Path or Config     as in `mlff_dyn.workflows.export.export`
    address : str               ``unix:NAME`` or ``HOST:PORT``
    structure : Path, optional
        What the server starts from, or the like: element of each atom, and its supercell; by default the
        training supercell in the order of ``export --format i-pi``.
    wait_seconds : float        for a server that is not there yet
    displacement_limit_angstrom : float, optional
        Default: ``md.displacement_limit_angstrom``, else see `largest_displacement`.
    progress : Progress
    allow_unconverged, dry_run : bool

    Raises
    ------
    UsageError
        If there is no server.
    DataError
        If model and structure, or structure and server, are of different atoms.
    SimulationError
        If an atom or the cell left the trusted region.
    """
    place = parse_address(address)
    force_field, torus = read_source(source, allow_unconverged=allow_unconverged)
    given = displacement_limit_angstrom
    if given is None and not isinstance(source, Path):
        given = source.md.displacement_limit_angstrom
    limit = largest_displacement(force_field, given)
    followed = _followed(force_field, torus, structure, limit)
    if dry_run:
        return DryRun(ServeReport, {"n_atoms": followed.torus.n_atoms, "displacement_limit_angstrom": limit})
    progress.log(f"waiting for {place}")
    per_second = answer_server(followed, place, wait_seconds=wait_seconds)
    trained = force_field.training.displacement_max_angstrom
    reached = followed.largest_displacement_angstrom
    return ServeReport(
        status="done",
        address=address,
        n_atoms=followed.torus.n_atoms,
        n_evaluations=followed.n_evaluations,
        evaluations_per_second=per_second,
        largest_displacement_angstrom=reached,
        displacement_limit_angstrom=limit,
        trained_displacement_angstrom=trained,
        warnings=_warnings(reached, trained),
    )


def _warnings(reached: float, trained: float) -> tuple[str, ...]:
    if reached <= LIMITS.coverage_factor * trained:
        return ()
    went = f"atoms went {reached:.3g} Å from their sites, and the data reach {trained:.3g} Å"
    return (f"{went}: nothing has tested the errors there; train at this temperature",)


def _followed(force_field: ForceField, training: Torus, path: Path | None, limit: float) -> FollowedAtoms:
    """Atoms of a structure that was looked at once, or of the training supercell."""
    if path is None:
        torus = start_of(training).torus
        return FollowedAtoms(force_field, torus, torus.numbers, limit)
    atoms = read_structure(path)
    crystal = force_field.basis.crystal
    cell, positions, numbers = atoms.cell.array, atoms.positions, np.asarray(atoms.numbers, np.int64)
    with located(path):
        matrix = read_supercell(path)
        known = None if matrix is None else Torus(crystal, matrix)
        torus = known or match_structure(crystal, cell, positions, numbers).torus
        FollowedAtoms(force_field, torus, numbers, limit).evaluate(cell, positions)
    return FollowedAtoms(force_field, torus, numbers, limit)
