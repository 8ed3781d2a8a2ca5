"""`mlff-dyn validate`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import OUTPUT_OPTIONS, Columns, Given, takes
from mlff_dyn.cli.session import require_file


@takes(*OUTPUT_OPTIONS)
def validate(
    given: Given,
    model: Annotated[Path, typer.Argument(metavar="MODEL.h5", help="Trained model.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.extxyz", help="Labelled frames, not trained on.")],
    *,
    columns: Columns = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Directory of report and plots; default: validate, beside MODEL.",
        ),
    ] = None,
) -> None:
    """Compare a model, and its own error bars, with labelled frames."""
    require_file(model, "model")
    require_file(file, "file of labelled frames")

    from mlff_dyn.store.label_columns import parse_columns
    from mlff_dyn.workflows.validation.validate import validate as run_validation

    folder = output or model.parent / "validate"
    given.finish(run_validation(model, file, folder, columns=parse_columns(columns)))
