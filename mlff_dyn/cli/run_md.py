"""`mlff-dyn run-md`."""

from mlff_dyn.cli.options import AllowUnconverged, ConfigFile, Given, takes


@takes()
def run_md(given: Given, config: ConfigFile, *, allow_unconverged: AllowUnconverged = False) -> None:
    """Run molecular dynamics on the trained force field."""
    loaded = given.load(config)

    from mlff_dyn.workflows.md.places import place_of_trajectory
    from mlff_dyn.workflows.md.run_md import run_md as run_dynamics

    report = run_dynamics(
        loaded,
        dry_run=given.dry_run,
        force=given.force,
        allow_unconverged=allow_unconverged,
        progress=given.progress,
    )
    places = [place_of_trajectory(temperature, loaded.seed) for temperature in loaded.md.temperatures_kelvin]
    names = ["md.json", *(f"{place}/{name}" for place in places for name in ("trajectory.h5", "md.json"))]
    given.finish(report, results=[loaded.run_dir / name for name in names])
