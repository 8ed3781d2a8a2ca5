"""`mlff-dyn thermodynamics`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import Given, takes
from mlff_dyn.cli.session import require_file


@takes()
def thermodynamics(
    given: Given,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="CONFIG.yaml, its run directory, or a model.h5.")
    ],
) -> None:
    """Calculate elastic constants, thermal expansion and free energy, with error bars."""
    found = given.load_or_find(source)
    if found is source and not source.is_dir():
        require_file(source, "model")

    from mlff_dyn.workflows.thermodynamics.thermodynamics import ANSWER, PLACE
    from mlff_dyn.workflows.thermodynamics.thermodynamics import thermodynamics as calculate

    report = calculate(found, dry_run=given.dry_run, force=given.force, progress=given.progress)
    run_dir = source if source.is_dir() else source.parent
    folder = run_dir if isinstance(found, Path) else found.run_dir
    given.finish(report, results=[folder / PLACE / ANSWER])
