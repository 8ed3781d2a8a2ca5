"""`mlff-dyn init`."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mlff_dyn.cli import options
from mlff_dyn.cli.console import stderr
from mlff_dyn.cli.session import collect_overrides, finish, read_config, require_file, session
from mlff_dyn.errors import UsageError

if TYPE_CHECKING:
    from mlff_dyn.config.schema import Config
    from mlff_dyn.report.progress import Progress

CONFIG_SUFFIXES = (".yaml", ".yml")
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


def init(
    source: Annotated[
        Path,
        typer.Argument(metavar="STRUCTURE|CONFIG.yaml", help="Structure file, or a configuration (.yaml)."),
    ],
    *,
    output: Output = None,
    suggest: Suggest = False,
    dataset: Dataset = None,
    run_dir: options.RunDir = None,
    overrides: options.Overrides = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
    force: options.Force = False,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> None:
    """Set up a run: a commented configuration for a structure, the basis, the first structures."""
    with session(verbose, quiet) as progress:
        if dataset is not None and not suggest:
            raise typer.BadParameter("--dataset goes with --suggest; train takes --dataset, too")
        if suggest and source.suffix not in CONFIG_SUFFIXES:
            raise typer.BadParameter("--suggest changes a configuration; write one first: init STRUCTURE")
        if source.suffix in CONFIG_SUFFIXES:
            if output is not None:
                raise typer.BadParameter(
                    "--output names the configuration of a structure; this is a configuration"
                )
            config = read_config(source, run_dir=run_dir, overrides=overrides, seed=seed)
        else:
            extra = collect_overrides(run_dir=run_dir, overrides=overrides, seed=seed)
            config = _start_config(
                require_file(source, "structure"),
                output or DEFAULT_CONFIG,
                extra,
                force=force,
                dry_run=dry_run,
            )

        if suggest:
            _suggest(config, source, dataset, dry_run=dry_run, progress=progress, as_json=as_json)

        from mlff_dyn.workflows.setup.initialise import initialise

        finish(initialise(config, dry_run=dry_run), as_json=as_json)


def _suggest(
    config: "Config",
    source: Path,
    dataset: Path | None,
    *,
    dry_run: bool,
    progress: "Progress",
    as_json: bool,
) -> NoReturn:
    if dataset is not None:
        require_file(dataset, "data set")

    from mlff_dyn.workflows.setup.suggest_expansion import suggest_expansion

    report = suggest_expansion(config, source, dataset=dataset, dry_run=dry_run, progress=progress)
    finish(report, as_json=as_json)


def _start_config(
    structure: Path, target: Path, overrides: list[str], *, force: bool, dry_run: bool
) -> "Config":
    """Write the configuration of a structure, unless it is there already, and return it."""
    from mlff_dyn.config.load import parse_config
    from mlff_dyn.config.suggest import suggest_cutoffs, suggest_supercell
    from mlff_dyn.config.template import config_template, starting_values
    from mlff_dyn.config.yaml_source import format_yaml
    from mlff_dyn.store.atomic import atomic_write_text
    from mlff_dyn.store.structure_file import read_structure

    atoms = read_structure(structure)
    supercell = suggest_supercell(atoms.cell.array)
    cutoffs = suggest_cutoffs(atoms.cell.array, atoms.positions, supercell)
    elements = list(dict.fromkeys(atoms.symbols))
    values = starting_values(structure.absolute(), elements, supercell, cutoffs)
    config = parse_config(
        format_yaml(values, flow=False, width=100),
        source=f"configuration of {structure}",
        folder=target.parent,
        overrides=overrides,
    )
    text = config_template(config, target.parent)
    if target.exists() and not force and target.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{target} exists and differs from what init would write",
            fix=f"mlff-dyn init {target} uses it as it is, --force replaces it, --output FILE writes another",
        )
    if dry_run:
        stderr.print(f"would write {target}:\n\n{text}")
    elif not target.exists() or force:
        atomic_write_text(target, text)
        _logger.info("wrote %s", target)
    return config
