"""`mlff-dyn thermodynamics`."""

from mlff_dyn.cli.options import Given, ModelSource, takes


@takes()
def thermodynamics(
    given: Given,
    source: ModelSource,
) -> None:
    """Calculate elastic constants, thermal expansion and free energy, with error bars."""
    found = given.load_or_find_model(source)

    from mlff_dyn.workflows.thermodynamics.thermodynamics import thermodynamics as calculate

    report = calculate(found, dry_run=given.dry_run, force=given.force, progress=given.progress)
    given.finish(report, results=report.answers)
