"""`mlff-dyn export`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import AllowUnconverged, Given, takes
from mlff_dyn.errors import DataError


@takes()
def export(
    given: Given,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="CONFIG.yaml, its run directory, or a model.h5.")
    ],
    *,
    file_format: Annotated[
        str,
        typer.Option("--format", "-f", metavar="NAME", help="Format of the files; a wrong name lists all."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATH", help="File or directory, as the format needs.")
    ],
    supercell: Annotated[
        str | None,
        typer.Option(
            "--supercell",
            metavar="N N N",
            help="Supercell of the force constants, as in structure.supercell, or by order: "
            "'{2: [4, 4, 4], 3: [2, 2, 2]}' [default: the training cell].",
        ),
    ] = None,
    allow_unconverged: AllowUnconverged = False,
) -> None:
    """Write the trained force field for another program."""
    found = given.load_or_find(source)
    if found is source and not source.exists():
        raise DataError(f"there is no model in {source}", fix="run mlff-dyn train first")

    from mlff_dyn.workflows.export import export as write_files

    report = write_files(
        found,
        format=file_format,
        output=output,
        force=given.force,
        supercell=supercell,
        allow_unconverged=allow_unconverged,
        dry_run=given.dry_run,
    )
    given.finish(report, results=[output / name for name in report.files])
