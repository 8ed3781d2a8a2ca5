"""Arguments and options that several commands share, each with its one help text."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Configuration file.")]
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
