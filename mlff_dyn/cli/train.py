"""`mlff-dyn train`."""

from typing import Annotated

import typer

from mlff_dyn.cli.label_options import AllowMixed, Columns, Dataset, Steps, Structure, given_labels
from mlff_dyn.cli.options import ConfigFile, Given, takes
from mlff_dyn.errors import UsageError


@takes()
def train(
    given: Given,
    config: ConfigFile,
    *,
    dataset: Dataset = None,
    columns: Columns = None,
    steps: Steps = None,
    structure: Structure = None,
    allow_mixed: AllowMixed = False,
    static: Annotated[
        bool, typer.Option("--static", help="Fit the labelled frames only: no dynamics, no engine.")
    ] = False,
) -> None:
    """Train the force field: dynamics, force errors, and the engine where they are too large."""
    loaded = given.load(config)
    labels = given_labels(dataset or (), columns, steps, structure, allow_mixed=allow_mixed)
    if labels is not None:
        given.sources += labels.on_disk
    elif static and not (loaded.run_dir / "dataset.extxyz").is_file():
        raise UsageError(f"--static has no frames to fit in {loaded.run_dir}", fix="add --dataset PATH")
    if not static:
        loaded.require_engine()

    from mlff_dyn.workflows.training.train import train as run_training

    report = run_training(
        loaded,
        given=labels,
        static=static,
        dry_run=given.dry_run,
        force=given.force,
        progress=given.progress,
    )
    given.finish(report, results=[loaded.run_dir / name for name in ("model.h5", "train.json")])
