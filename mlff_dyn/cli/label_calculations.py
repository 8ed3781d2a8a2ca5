"""`mlff-dyn label list` and `mlff-dyn label run`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import OUTPUT_OPTIONS, ConfigFile, Given, takes

Folder = Annotated[
    Path | None,
    typer.Option(
        "--calculations", metavar="DIR", help="Folder of calculations; default: that of the run directory."
    ),
]


@takes("run_dir", "overrides", *OUTPUT_OPTIONS)
def list_calculations(given: Given, config: ConfigFile, *, calculations: Folder = None) -> None:
    """List calculations: pending, running, finished, failed and why."""
    loaded = given.load(config)

    from mlff_dyn.workflows.labels.calculations import list_calculations as look

    given.finish(look(loaded, calculations))


@takes("run_dir", "overrides", "dry_run", *OUTPUT_OPTIONS)
def run_calculations(given: Given, config: ConfigFile, *, calculations: Folder = None) -> None:
    """Run pending calculations; those of label score in the folder of the run enter its data set."""
    loaded = given.load(config)

    from mlff_dyn.workflows.labels.calculations import run_calculations as run

    given.finish(run(loaded, calculations, dry_run=given.dry_run, progress=given.progress))
