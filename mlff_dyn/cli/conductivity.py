"""`mlff-dyn conductivity`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import Given, takes
from mlff_dyn.cli.phonons import Kind
from mlff_dyn.cli.session import require_file


@takes()
def conductivity(
    given: Given,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="CONFIG.yaml, its run directory, or a model.h5.")
    ],
    effective: Annotated[
        Kind | None,
        typer.Option("--effective", help="Effective force constants of order 2 at each temperature."),
    ] = None,
) -> None:
    """Calculate the lattice thermal conductivity, with its error bar."""
    found = given.load_or_find(source)
    if found is source and not source.is_dir():
        require_file(source, "model")

    from mlff_dyn.workflows.conductivity.conductivity import ANSWER, PLACE
    from mlff_dyn.workflows.conductivity.conductivity import conductivity as calculate

    report = calculate(
        found,
        dry_run=given.dry_run,
        force=given.force,
        progress=given.progress,
        order_2=None if effective is None else effective.value,
    )
    run_dir = source if source.is_dir() else source.parent
    folder = run_dir if isinstance(found, Path) else found.run_dir
    given.finish(report, results=[folder / PLACE / ANSWER])
