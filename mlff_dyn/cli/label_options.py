"""Options of the commands that read labelled structures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlff_dyn.workflows.given_labels import GivenLabels

_LABELLED = (
    "extxyz, vasprun.xml, OUTCAR, vaspout.h5, ML_AB, outputs of pw.x, CP2K and FHI-aims, YAML of phonopy and "
    "phono3py (forces in it, or in FORCE_SETS, FORCES_FC3 beside it), ALAMODE DFSET, TDEP infiles; also "
    "compressed; folders and archives of them, patterns"
)

Dataset = Annotated[
    list[Path] | None,
    typer.Option(
        "--dataset",
        metavar="PATH",
        help=f"Labelled structures to start from: {_LABELLED}; may be repeated.",
    ),
]
Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH",
        help=f"Labelled structures: {_LABELLED}.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="QUANTITY=NAME,...",
        help="Names of forces, energy, stress or virial in extxyz, where unusual.",
    ),
]
Steps = Annotated[
    str | None,
    typer.Option(
        "--steps",
        metavar="all|last|START:STOP:STRIDE",
        help="Steps to take of each file, as slices in Python: 0 is step 1 [default: all].",
    ),
]
Structure = Annotated[
    Path | None,
    typer.Option(
        "--structure",
        metavar="FILE",
        help="Undisplaced supercell of files that hold displacements alone, in their order of atoms.",
    ),
]
AllowMixed = Annotated[
    bool, typer.Option("--allow-mixed", help="Take labels of different settings beside each other.")
]


def given_labels(
    paths: Sequence[Path],
    columns: str | None,
    steps: str | None,
    structure: Path | None,
    *,
    allow_mixed: bool,
) -> "GivenLabels | None":
    """Return what the options ask for; None without a path.

    Raises
    ------
    UsageError
        If an option is no choice.
    """
    from mlff_dyn.cli.session import require_file
    from mlff_dyn.store.calculated_steps import ReadOptions, StepChoice
    from mlff_dyn.store.label_columns import parse_columns
    from mlff_dyn.store.source import Source
    from mlff_dyn.workflows.given_labels import GivenLabels

    source = None if structure is None else Source(require_file(structure, "structure"))
    options = ReadOptions(StepChoice.parse(steps or "all"), parse_columns(columns), source)
    return GivenLabels(tuple(paths), options, allow_mixed) if paths else None
