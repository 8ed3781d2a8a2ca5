"""`mlff-dyn status`."""

from mlff_dyn.cli.options import OUTPUT_OPTIONS, ConfigFile, Given, takes


@takes("run_dir", "overrides", *OUTPUT_OPTIONS)
def status(given: Given, config: ConfigFile) -> None:
    """Say where a run stands, also while it runs; writes nothing."""
    loaded = given.load(config)

    from mlff_dyn.workflows.reporting.run_status import run_status

    given.finish(run_status(loaded))
