"""`mlff-dyn init`."""

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mlff_dyn.cli.console import stderr
from mlff_dyn.cli.interrupts import INTERRUPTS
from mlff_dyn.cli.options import CONFIG_SUFFIXES, Given, takes
from mlff_dyn.cli.session import require_file
from mlff_dyn.errors import UsageError

if TYPE_CHECKING:
    from mlff_dyn.config.schema import Config

DEFAULT_CONFIG = Path("CONFIG.yaml")
DEFAULT_MINUTES = 5.0
_logger = logging.getLogger(__name__)

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Configuration to write for a structure [default: CONFIG.yaml].",
    ),
]
Suggest = Annotated[
    bool,
    typer.Option(
        "--suggest",
        help="Compare orders, cutoffs and local parts on labelled frames; write the smallest that suffice to "
        "CONFIG.yaml.",
    ),
]
Dataset = Annotated[
    Path | None,
    typer.Option("--dataset", metavar="PATH", help="Labelled frames for --suggest [default: the run's]."),
]

Minutes = Annotated[
    float | None,
    typer.Option("--minutes", min=0.1, help="Time that --suggest may take [default: 5]."),
]


@takes()
def init(
    given: Given,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="STRUCTURE|CONFIG.yaml",
            help="Structure file, directory of a VASP calculation, or a configuration (.yaml).",
        ),
    ],
    *,
    output: Output = None,
    suggest: Suggest = False,
    dataset: Dataset = None,
    minutes: Minutes = None,
) -> None:
    """Set up a run: a commented configuration for a structure, the basis, the first structures."""
    from mlff_dyn.store.structure_yaml import is_phonopy_yaml

    if source.is_dir():
        from mlff_dyn.workflows.setup.vasp_inputs import structure_of_directory

        source = structure_of_directory(source)
    is_config = source.suffix in CONFIG_SUFFIXES and not is_phonopy_yaml(source)
    if dataset is not None and not suggest:
        raise typer.BadParameter("--dataset goes with --suggest; train takes --dataset, too")
    if minutes is not None and not suggest:
        raise typer.BadParameter("--minutes goes with --suggest")
    if suggest and not is_config:
        raise typer.BadParameter("--suggest changes a configuration; write one first: init STRUCTURE")
    if is_config and output is not None:
        raise typer.BadParameter("--output names the configuration of a structure; this is a configuration")
    if is_config:
        config = given.load(source)
    else:
        config = _start_config(require_file(source, "structure"), output or DEFAULT_CONFIG, given)
    if suggest:
        _suggest(given, config, source, dataset, minutes)

    from mlff_dyn.workflows.setup.initialise import initialise

    again = "" if is_config else _same_again(source, output, given)
    made = initialise(config, dry_run=given.dry_run, again=again)
    given.finish(made, results=[config.run_dir / "basis.h5"])


def _suggest(
    given: Given, config: "Config", source: Path, dataset: Path | None, minutes: float | None
) -> NoReturn:
    from mlff_dyn.workflows.given_labels import GivenLabels
    from mlff_dyn.workflows.setup.suggest_expansion import suggest_expansion

    report = suggest_expansion(
        config,
        source,
        dataset=None if dataset is None else GivenLabels((dataset,)),
        dry_run=given.dry_run,
        progress=given.progress,
        minutes=DEFAULT_MINUTES if minutes is None else minutes,
    )
    if report.exit_code:
        stderr.print("interrupted; the search ends with what it has")
        INTERRUPTS.is_told = True
    given.finish(report)


def _start_config(structure: Path, target: Path, given: Given) -> "Config":
    """Write the configuration of a structure, unless it is there already, and return it."""
    from mlff_dyn.store.atomic import atomic_write_text, refuse_device
    from mlff_dyn.workflows.setup.first_configuration import first_configuration

    config, text = first_configuration(structure, target.parent, given.all_overrides())
    refuse_device(target)
    if target.exists() and not given.force and target.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{target} exists and differs from what init would write",
            fix=f"mlff-dyn init {target} uses it as it is, --force replaces it, --output FILE writes another",
        )
    if given.dry_run:
        stderr.print(f"would write {target}:\n\n{text}")
    elif not target.exists() or given.force:
        atomic_write_text(target, text)
        _logger.info("wrote %s; check its engine, then run: mlff-dyn train %s", target, target)
    return config


def _same_again(source: Path, output: Path | None, given: Given) -> str:
    """Command that writes the configuration of a structure anew."""
    kept = [each for each in given.overrides or () if not each.startswith("structure.symprec_angstrom")]
    options = [["--output", str(output)]] if output else []
    options += [["--set", each] for each in kept]
    return shlex.join(
        ["mlff-dyn", "init", str(source), "--force", *(word for each in options for word in each)]
    )
