"""`mlff-dyn label collect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mlff_dyn.cli.label_options import AllowMixed, Columns, Paths, Steps, Structure, given_labels
from mlff_dyn.cli.options import OUTPUT_OPTIONS, Given, takes

if TYPE_CHECKING:
    from mlff_dyn.workflows.given_labels import GivenLabels

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="CONFIG.yaml", help="Configuration whose crystal they have to be of."),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE.extxyz", help="Data set to write.")]


@takes("dry_run", "force", *OUTPUT_OPTIONS)
def collect(
    given: Given,
    paths: Paths,
    *,
    output: Output,
    steps: Steps = None,
    columns: Columns = None,
    structure: Structure = None,
    config: ConfigOption = None,
    allow_mixed: AllowMixed = False,
) -> None:
    """Write the labelled structures of many files as one data set, each with where it is from."""
    labels = cast("GivenLabels", given_labels(paths, columns, steps, structure, allow_mixed=allow_mixed))
    loaded = None if config is None else given.load(config)

    from mlff_dyn.workflows.collect_labels import collect as write

    given.finish(write(labels, output, config=loaded, force=given.force, dry_run=given.dry_run))
