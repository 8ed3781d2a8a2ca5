"""`mlff-dyn phonons`."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import Given, takes
from mlff_dyn.cli.session import require_file


class Kind(str, Enum):
    """Kinds of effective force constants."""

    DYNAMICS = "dynamics"
    SELF_CONSISTENT = "self-consistent"


@takes()
def phonons(
    given: Given,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="CONFIG.yaml, its run directory, or a model.h5.")
    ],
    effective: Annotated[
        Kind | None,
        typer.Option("--effective", help="Effective force constants too, as phonons.effective.kind."),
    ] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option("--temperature", min=1e-3, metavar="K", help="Temperature of them; may be repeated."),
    ] = None,
) -> None:
    """Calculate phonons and thermal properties, at rest and at temperature, with error bars."""
    found = given.load_or_find(source)
    if found is source and not source.is_dir():
        require_file(source, "model")

    from mlff_dyn.workflows.phonons.phonons import ANSWER, PLACE
    from mlff_dyn.workflows.phonons.phonons import phonons as calculate

    asked: dict[str, object] = {} if effective is None else {"kind": effective.value}
    if temperature:
        asked["temperatures_kelvin"] = tuple(dict.fromkeys(temperature))
    report = calculate(
        found, dry_run=given.dry_run, force=given.force, progress=given.progress, effective=asked
    )
    run_dir = source if source.is_dir() else source.parent
    folder = run_dir if isinstance(found, Path) else found.run_dir
    given.finish(report, results=[folder / PLACE / ANSWER])
