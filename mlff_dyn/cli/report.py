"""`mlff-dyn report`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import OUTPUT_OPTIONS, ConfigFile, Given, takes


@takes("run_dir", "overrides", *OUTPUT_OPTIONS)
def report(
    given: Given,
    config: ConfigFile,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.html",
            help="The page; its pictures lie in a folder of the same name. Default: report.html of the run.",
        ),
    ] = None,
) -> None:
    """Write one HTML page about a run: what was done and why, errors, phonons, settings."""
    loaded = given.load(config)

    from mlff_dyn.workflows.reporting.run_report import write_run_report

    found = write_run_report(loaded, output)
    given.finish(found, results=(found.page, *found.pictures))
