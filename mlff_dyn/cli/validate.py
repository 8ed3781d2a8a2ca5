"""`mlff-dyn validate`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mlff_dyn.cli.label_options import AllowMixed, Columns, Paths, Steps, Structure, given_labels
from mlff_dyn.cli.options import OUTPUT_OPTIONS, Given, takes
from mlff_dyn.cli.session import require_file

if TYPE_CHECKING:
    from mlff_dyn.workflows.given_labels import GivenLabels


@takes("run_dir", "overrides", "seed", "dry_run", *OUTPUT_OPTIONS)
def validate(
    given: Given,
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.h5", help="Trained model, or the CONFIG.yaml of its run.")
    ],
    paths: Paths,
    *,
    columns: Columns = None,
    steps: Steps = None,
    structure: Structure = None,
    allow_mixed: AllowMixed = False,
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
    labels = cast("GivenLabels", given_labels(paths, columns, steps, structure, allow_mixed=allow_mixed))
    given.sources = labels.on_disk

    from mlff_dyn.workflows.validation.validate import validate as run_validation

    folder = None if given.dry_run else output or path.parent / "validate"
    report = run_validation(path if found is model else found, labels, folder)
    given.finish(replace(report, status="dry run") if given.dry_run else report)
