"""The `mlff-dyn` command: its verbs and options shared by none of them."""

from functools import partial
from typing import Annotated

import typer

from mlff_dyn.cli.check_convergence import check_convergence
from mlff_dyn.cli.export import export
from mlff_dyn.cli.init import init
from mlff_dyn.cli.interrupts import run_interruptible
from mlff_dyn.cli.label import label
from mlff_dyn.cli.phonons import phonons
from mlff_dyn.cli.report import report
from mlff_dyn.cli.run_md import run_md
from mlff_dyn.cli.serve import serve
from mlff_dyn.cli.session import Commands
from mlff_dyn.cli.status import status
from mlff_dyn.cli.streams import run_with_streams
from mlff_dyn.cli.thermodynamics import thermodynamics
from mlff_dyn.cli.train import train
from mlff_dyn.cli.validate import validate

EXIT_CODES = (
    "Exit codes: 0 done, 1 a fault of the program, 2 usage or configuration, 3 input data, 4 not converged, "
    "5 the engine failed, 6 dynamics left the trusted region, 75 waiting for calculations elsewhere, "
    "130 interrupted."
)

app = typer.Typer(
    name="mlff-dyn",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
for _command in (
    init,
    train,
    run_md,
    check_convergence,
    phonons,
    thermodynamics,
    export,
    serve,
    validate,
    status,
    report,
):
    app.command()(_command)
app.add_typer(label)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"mlff-dyn {version('mlff-dyn')}")
        raise typer.Exit


@app.callback()
def describe(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Train anharmonic force fields of crystals from few ab initio calculations.

    The same command again goes on where it stopped.
    """


def main() -> None:
    """Run the command line."""
    run_interruptible(partial(run_with_streams, app))
