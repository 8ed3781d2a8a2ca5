"""`mlff-dyn train`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import Columns, ConfigFile, Given, takes
from mlff_dyn.cli.session import require_file
from mlff_dyn.errors import UsageError


@takes()
def train(
    given: Given,
    config: ConfigFile,
    *,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", metavar="FILE", help="Labelled frames (extxyz) to start from.")
    ] = None,
    columns: Columns = None,
    static: Annotated[
        bool, typer.Option("--static", help="Fit the labelled frames only: no dynamics, no engine.")
    ] = False,
) -> None:
    """Train the force field: dynamics, force errors, and the engine where they are too large."""
    loaded = given.load(config)
    if dataset is not None:
        require_file(dataset, "dataset")
        given.sources += (dataset,)
    elif static and not (loaded.run_dir / "dataset.extxyz").is_file():
        raise UsageError(
            f"--static has no frames to fit in {loaded.run_dir}", fix="add --dataset FILE.extxyz"
        )
    if not static:
        loaded.require_engine()

    from mlff_dyn.store.label_columns import parse_columns
    from mlff_dyn.workflows.training.train import train as run_training

    report = run_training(
        loaded,
        dataset=dataset,
        columns=parse_columns(columns),
        static=static,
        dry_run=given.dry_run,
        force=given.force,
        progress=given.progress,
    )
    given.finish(report, results=[loaded.run_dir / name for name in ("model.h5", "train.json")])
