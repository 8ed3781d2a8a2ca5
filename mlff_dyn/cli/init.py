"""`mlff-dyn init`."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlff_dyn.cli.console import stderr
from mlff_dyn.cli.options import CONFIG_SUFFIXES, Given, takes
from mlff_dyn.cli.session import require_file
from mlff_dyn.errors import UsageError

if TYPE_CHECKING:
    from mlff_dyn.config.schema import Config

DEFAULT_CONFIG = Path("CONFIG.yaml")
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
        help="Compare orders and cutoffs on labelled frames; write the smallest that suffice to CONFIG.yaml.",
    ),
]
Dataset = Annotated[
    Path | None,
    typer.Option(
        "--dataset", metavar="FILE.extxyz", help="Labelled frames for --suggest [default: the run's]."
    ),
]


@takes()
def init(
    given: Given,
    source: Annotated[
        Path,
        typer.Argument(metavar="STRUCTURE|CONFIG.yaml", help="Structure file, or a configuration (.yaml)."),
    ],
    *,
    output: Output = None,
    suggest: Suggest = False,
    dataset: Dataset = None,
) -> None:
    """Set up a run: a commented configuration for a structure, the basis, the first structures."""
    is_config = source.suffix in CONFIG_SUFFIXES
    if dataset is not None and not suggest:
        raise typer.BadParameter("--dataset goes with --suggest; train takes --dataset, too")
    if suggest and not is_config:
        raise typer.BadParameter("--suggest changes a configuration; write one first: init STRUCTURE")
    if is_config and output is not None:
        raise typer.BadParameter("--output names the configuration of a structure; this is a configuration")
    if is_config:
        config = given.load(source)
    else:
        config = _start_config(require_file(source, "structure"), output or DEFAULT_CONFIG, given)
    if suggest:
        if dataset is not None:
            require_file(dataset, "data set")

        from mlff_dyn.workflows.setup.suggest_expansion import suggest_expansion

        progress, dry_run = given.progress, given.dry_run
        report = suggest_expansion(config, source, dataset=dataset, dry_run=dry_run, progress=progress)
        given.finish(report)

    from mlff_dyn.workflows.setup.initialise import initialise

    given.finish(initialise(config, dry_run=given.dry_run))


def _start_config(structure: Path, target: Path, given: Given) -> "Config":
    """Write the configuration of a structure, unless it is there already, and return it."""
    from mlff_dyn.config.load import parse_config
    from mlff_dyn.config.suggest import suggest_cutoffs, suggest_supercell
    from mlff_dyn.config.template import config_template, starting_values
    from mlff_dyn.config.yaml_source import format_yaml
    from mlff_dyn.store.atomic import atomic_write_text
    from mlff_dyn.store.structure_file import read_structure

    atoms = read_structure(structure)
    elements = list(dict.fromkeys(atoms.symbols))

    def started(periodic: tuple[bool, bool, bool]) -> "Config":
        supercell = suggest_supercell(atoms.cell.array, periodic)
        cutoffs = suggest_cutoffs(atoms.cell.array, atoms.positions, supercell, periodic)
        values = starting_values(structure.absolute(), elements, supercell, cutoffs, periodic)
        return parse_config(
            format_yaml(values, flow=False, width=100),
            source=f"configuration of {structure}",
            folder=target.parent,
            overrides=given.all_overrides(),
        )

    config = started(tuple(atoms.pbc.tolist()))
    if config.structure.periodic not in {None, tuple(atoms.pbc.tolist())}:
        config = started(config.structure.periodic)
    text = config_template(config, target.parent)
    if target.exists() and not given.force and target.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{target} exists and differs from what init would write",
            fix=f"mlff-dyn init {target} uses it as it is, --force replaces it, --output FILE writes another",
        )
    if given.dry_run:
        stderr.print(f"would write {target}:\n\n{text}")
    elif not target.exists() or given.force:
        atomic_write_text(target, text)
        _logger.info("wrote %s", target)
    return config
