"""`mlff-dyn run-md`."""

from mlff_dyn.cli.options import AllowUnconverged, ConfigFile, Given, takes


@takes()
def run_md(given: Given, config: ConfigFile, *, allow_unconverged: AllowUnconverged = False) -> None:
    """Run molecular dynamics on the trained force field."""
    loaded = given.load(config)

    from mlff_dyn.workflows.md.run_md import run_md as run_dynamics

    given.finish(
        run_dynamics(
            loaded,
            dry_run=given.dry_run,
            force=given.force,
            allow_unconverged=allow_unconverged,
            progress=given.progress,
        )
    )
