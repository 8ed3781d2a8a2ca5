"""`mlff-dyn validate`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import OUTPUT_OPTIONS, Columns, Given, takes
from mlff_dyn.cli.session import require_file


@takes("run_dir", "overrides", "seed", "dry_run", *OUTPUT_OPTIONS)
def validate(
    given: Given,
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.h5", help="Trained model, or the CONFIG.yaml of its run.")
    ],
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
    found = given.load_or_find(model)
    path = require_file(found if isinstance(found, Path) else found.run_dir / "model.h5", "model")
    require_file(file, "file of labelled frames")

    from mlff_dyn.store.label_columns import parse_columns
    from mlff_dyn.workflows.validation.validate import validate as run_validation

    folder = None if given.dry_run else output or path.parent / "validate"
    report = run_validation(path if found is model else found, file, folder, columns=parse_columns(columns))
    given.finish(replace(report, status="dry run") if given.dry_run else report)
