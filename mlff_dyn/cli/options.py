"""Arguments and options that several commands share, each with its one help text.

A command declares the arguments of its own; `takes` adds shared options, which it gets together as `Given`.
"""

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mlff_dyn.cli.console import configure_logging, create_progress
from mlff_dyn.cli.session import require_file
from mlff_dyn.report.progress import NullProgress, Progress

if TYPE_CHECKING:
    from mlff_dyn.config.schema import Config
    from mlff_dyn.report.answer import Report

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Configuration file.")]
ModelSource = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="CONFIG.yaml, its run directory, or a model.h5.")
]
RunDir = Annotated[
    Path | None,
    typer.Option(
        "--run-dir", metavar="DIR", help="Directory of all results, instead of run_dir in the file."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Set a key of the configuration; may be repeated."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed, instead of seed in the file.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Check everything, say what would be done, write nothing.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace results that exist.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output instead of a table.")
]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="More log; twice: also tracebacks.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No log and no progress, errors only.")]

AllowUnconverged = Annotated[
    bool,
    typer.Option(
        "--allow-unconverged",
        help="Take the model also where its training did not end, did not converge, or had other settings.",
    ),
]

_SHARED: dict[str, tuple[Any, object]] = {
    "run_dir": (RunDir, None),
    "overrides": (Overrides, None),
    "seed": (Seed, None),
    "dry_run": (DryRun, False),
    "force": (Force, False),
    "as_json": (AsJson, False),
    "verbose": (Verbose, 0),
    "quiet": (Quiet, False),
}
CONFIG_SUFFIXES = (".yaml", ".yml")
OUTPUT_OPTIONS = ("as_json", "verbose", "quiet")


@dataclass
class Given:
    """Values of the shared options; those that a command does not take keep their defaults."""

    run_dir: Path | None = None
    overrides: list[str] | None = None
    seed: int | None = None
    dry_run: bool = False
    force: bool = False
    as_json: bool = False
    verbose: int = 0
    quiet: bool = False
    progress: Progress = field(default_factory=NullProgress)
    sources: tuple[Path, ...] = ()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Configure standard error; however the command ends, the progress display is taken away."""
        verbosity = -1 if self.quiet else self.verbose
        configure_logging(verbosity)
        self.progress = create_progress(verbosity)
        try:
            yield
        finally:
            self.progress.stop()

    def all_overrides(self) -> list[str]:
        """Write the options of the command line as overrides, the dedicated ones last."""
        collected = list(self.overrides or ())
        if self.seed is not None:
            collected.append(f"seed={self.seed}")
        if self.run_dir is not None:
            collected.append(f"run_dir={json.dumps(str(self.run_dir.absolute()))}")
        return collected

    def load(self, path: Path) -> "Config":
        """Load a configuration with the options of the command line on top.

        Raises
        ------
        ConfigError
            If the configuration is not valid.
        """
        from mlff_dyn.config.load import load_config

        config = load_config(path, self.all_overrides())
        made = (config.run_dir / name for name in ("basis.h5", "model.h5", "train.json"))
        self.sources = (path, config.structure.file, *made)
        return config

    def load_or_find(self, source: Path) -> "Config | Path":
        """Load a configuration, or return the path of something else, for which there is nothing to set.

        Raises
        ------
        BadParameter
            If the command line sets keys of a configuration that is not given.
        """
        if source.suffix in CONFIG_SUFFIXES:
            return self.load(source)
        if self.all_overrides():
            raise typer.BadParameter("--run-dir, --seed and --set need a CONFIG.yaml")
        return source

    def load_or_find_model(self, source: Path) -> "Config | Path":
        """Load a configuration, or return the path of a run directory or of a model.

        Raises
        ------
        DataError
            If there is none.
        """
        found = self.load_or_find(source)
        if found is source and not source.is_dir():
            require_file(source, "model")
        return found

    def finish(
        self, report: "Report", *, results: Iterable[Path] = (), exit_code: int | None = None
    ) -> NoReturn:
        """Print the report and leave with its exit code, or with another one.

        To make, results of an answer of no are out of date. Those that stayed as they were, since they are
        still right, are dated after the configuration and what else they depend on.
        """
        from mlff_dyn.report.answer import print_report
        from mlff_dyn.store.atomic import date_after, date_back

        if not self.dry_run and report.exit_code:
            date_back(*results)
        elif not self.dry_run:
            date_after(results, self.sources)
        print_report(report, as_json=self.as_json)
        raise typer.Exit(report.exit_code if exit_code is None else exit_code)


def takes(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add shared options to a command, all of them where none is named."""
    shared = {name: _SHARED[name] for name in names or _SHARED}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**values: Any) -> None:  # noqa: ANN401 (what the options hold)
            given = Given(**{name: values.pop(name) for name in shared})
            with given.session():
                function(given, **values)

        parameters = list(inspect.signature(function).parameters.values())[1:]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in shared.items()
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate
