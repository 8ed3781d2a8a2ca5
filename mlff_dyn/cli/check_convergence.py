"""`mlff-dyn check-convergence`."""

from typing import Annotated

import typer

from mlff_dyn.cli import options
from mlff_dyn.cli.session import finish, read_config, session
from mlff_dyn.errors import NotConverged


def check_convergence(
    config: options.ConfigFile,
    *,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit with 0 also where the answer is no.")
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
    """Check the force error on independent trajectories; needs no reference calculation."""
    with session(verbose, quiet) as progress:
        loaded = read_config(config, run_dir=run_dir, overrides=overrides, seed=seed)

        from mlff_dyn.workflows.convergence.check_convergence import check_convergence as run_check

        report = run_check(loaded, dry_run=dry_run, force=force, progress=progress)
        answered_no = report.exit_code == NotConverged.exit_code
        finish(report, as_json=as_json, exit_code=0 if exit_zero and answered_no else None)
