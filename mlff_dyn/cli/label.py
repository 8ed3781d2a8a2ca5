"""`mlff-dyn label`: labelled structures, without a training."""

import typer

from mlff_dyn.cli.label_collect import collect

label = typer.Typer(name="label", no_args_is_help=True, help="Collect and calculate labelled structures.")

label.command("collect")(collect)
