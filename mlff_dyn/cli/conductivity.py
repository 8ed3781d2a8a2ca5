"""`mlff-dyn conductivity`."""

from typing import Annotated

import typer

from mlff_dyn.cli.options import Given, ModelSource, takes
from mlff_dyn.cli.phonons import Kind


@takes()
def conductivity(
    given: Given,
    source: ModelSource,
    effective: Annotated[
        Kind | None,
        typer.Option("--effective", help="Order 2 at each temperature, as conductivity.order_2."),
    ] = None,
) -> None:
    """Calculate the lattice thermal conductivity, with its error bar."""
    found = given.load_or_find_model(source)

    from mlff_dyn.workflows.conductivity.conductivity import conductivity as calculate

    report = calculate(
        found,
        dry_run=given.dry_run,
        force=given.force,
        progress=given.progress,
        order_2=None if effective is None else effective.value,
    )
    given.finish(report, results=report.answers)
