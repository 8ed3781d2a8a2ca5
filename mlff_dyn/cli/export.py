"""`mlff-dyn export`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli import options
from mlff_dyn.cli.session import finish, read_config, session
from mlff_dyn.errors import DataError

CONFIG_SUFFIXES = (".yaml", ".yml")


def export(
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
    run_dir: options.RunDir = None,
    overrides: options.Overrides = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> None:
    """Write the trained force field for another program."""
    with session(verbose, quiet):
        if source.suffix in CONFIG_SUFFIXES:
            source = read_config(source, run_dir=run_dir, overrides=overrides).run_dir
        elif run_dir is not None or overrides:
            raise typer.BadParameter("--run-dir and --set need a CONFIG.yaml")
        if not source.exists():
            raise DataError(f"there is no model in {source}", fix="run mlff-dyn train first")

        from mlff_dyn.workflows.export import export as write_files

        report = write_files(source, format=file_format, output=output, force=force)
        finish(report, as_json=as_json)
