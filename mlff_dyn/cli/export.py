"""`mlff-dyn export`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import CONFIG_SUFFIXES, OUTPUT_OPTIONS, Given, takes
from mlff_dyn.errors import DataError


@takes("run_dir", "overrides", "force", *OUTPUT_OPTIONS)
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
) -> None:
    """Write the trained force field for another program."""
    if source.suffix in CONFIG_SUFFIXES:
        source = given.load(source).run_dir
    elif given.all_overrides():
        raise typer.BadParameter("--run-dir and --set need a CONFIG.yaml")
    if not source.exists():
        raise DataError(f"there is no model in {source}", fix="run mlff-dyn train first")

    from mlff_dyn.workflows.export import export as write_files

    given.finish(write_files(source, format=file_format, output=output, force=given.force))
