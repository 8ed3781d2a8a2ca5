"""`mlff-dyn train`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli import options
from mlff_dyn.cli.session import finish, read_config, require_file, session
from mlff_dyn.errors import UsageError


def train(
    config: options.ConfigFile,
    *,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", metavar="FILE", help="Labelled frames (extxyz) to start from.")
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="Fit the labelled frames only: no dynamics, no engine.")
    ] = False,
    run_dir: options.RunDir = None,
    overrides: options.Overrides = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
    force: options.Force = False,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> None:
    """Train the force field: dynamics, force errors, and the engine where they are too large."""
    with session(verbose, quiet) as progress:
        loaded = read_config(config, run_dir=run_dir, overrides=overrides, seed=seed)
        if dataset is not None:
            require_file(dataset, "dataset")
        elif static and not (loaded.run_dir / "dataset.extxyz").is_file():
            raise UsageError(
                f"--static has no frames to fit in {loaded.run_dir}", fix="add --dataset FILE.extxyz"
            )
        if not static:
            loaded.require_engine()

        from mlff_dyn.workflows.training.train import train as run_training

        report = run_training(
            loaded, dataset=dataset, static=static, dry_run=dry_run, force=force, progress=progress
        )
        finish(report, as_json=as_json)
