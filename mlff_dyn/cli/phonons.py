"""`mlff-dyn phonons`."""

from enum import Enum
from typing import Annotated

import typer

from mlff_dyn.cli.options import Given, ModelSource, takes


class Kind(str, Enum):
    """Kinds of effective force constants."""

    DYNAMICS = "dynamics"
    SELF_CONSISTENT = "self-consistent"


@takes()
def phonons(
    given: Given,
    source: ModelSource,
    effective: Annotated[
        Kind | None,
        typer.Option("--effective", help="Order 2 at temperatures too, as phonons.effective.kind."),
    ] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option("--temperature", min=0.1, metavar="K", help="Of --effective; may be repeated."),
    ] = None,
) -> None:
    """Calculate phonons and thermal properties, at rest and at temperature, with error bars."""
    found = given.load_or_find_model(source)

    from mlff_dyn.workflows.phonons.phonons import phonons as calculate

    asked: dict[str, object] = {} if effective is None else {"kind": effective.value}
    if temperature:
        asked["temperatures_kelvin"] = tuple(dict.fromkeys(temperature))
    report = calculate(
        found, dry_run=given.dry_run, force=given.force, progress=given.progress, effective=asked
    )
    given.finish(report, results=report.answers)
