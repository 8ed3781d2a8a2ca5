"""`mlff-dyn serve`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import OUTPUT_OPTIONS, AllowUnconverged, Given, ModelSource, takes


@takes("run_dir", "overrides", "seed", "dry_run", *OUTPUT_OPTIONS)
def serve(
    given: Given,
    source: ModelSource,
    *,
    address: Annotated[
        str, typer.Option("--i-pi", metavar="ADDRESS", help="Of the server: unix:NAME or HOST:PORT.")
    ],
    structure: Annotated[
        Path | None,
        typer.Option(
            "--structure",
            metavar="FILE",
            help="What the server starts from: elements, and the supercell, in the order of its atoms "
            "[default: the training cell, as export --format i-pi writes it].",
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0.0, help="For a server that is not there yet.")
    ] = 30.0,
    displacement_limit: Annotated[
        float | None,
        typer.Option(
            "--displacement-limit",
            metavar="ANGSTROM",
            min=0.0,
            help="An atom farther from its site ends the command [default: as in the configuration, or from "
            "the data].",
        ),
    ] = None,
    allow_unconverged: AllowUnconverged = False,
) -> None:
    """Give i-PI energy, forces and virial of the trained force field, until it ends."""
    found = given.load_or_find_model(source)

    from mlff_dyn.workflows.serve import serve as answer

    report = answer(
        found,
        address=address,
        structure=structure,
        wait_seconds=wait,
        displacement_limit_angstrom=displacement_limit,
        progress=given.progress,
        allow_unconverged=allow_unconverged,
        dry_run=given.dry_run,
    )
    given.finish(report)
