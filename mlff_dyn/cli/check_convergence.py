"""`mlff-dyn check-convergence`."""

from typing import Annotated

import typer

from mlff_dyn.cli.options import AllowUnconverged, ConfigFile, Given, takes
from mlff_dyn.errors import NotConverged


@takes()
def check_convergence(
    given: Given,
    config: ConfigFile,
    *,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit with 0 also where the answer is no.")
    ] = False,
    allow_unconverged: AllowUnconverged = False,
) -> None:
    """Check the force error on independent trajectories; needs no reference calculation."""
    loaded = given.load(config)

    from mlff_dyn.workflows.convergence.check_convergence import check_convergence as run_check

    report = run_check(
        loaded,
        dry_run=given.dry_run,
        force=given.force,
        allow_unconverged=allow_unconverged,
        progress=given.progress,
    )
    answered_no = report.exit_code == NotConverged.exit_code
    results = [loaded.run_dir / f"convergence.{suffix}" for suffix in ("png", "json")]
    given.finish(report, results=results, exit_code=0 if exit_zero and answered_no else None)
