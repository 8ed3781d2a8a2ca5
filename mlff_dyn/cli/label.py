"""`mlff-dyn label`: labelled structures, without a training."""

import typer

from mlff_dyn.cli.label_calculations import list_calculations, run_calculations
from mlff_dyn.cli.label_collect import collect
from mlff_dyn.cli.label_score import score

label = typer.Typer(name="label", no_args_is_help=True, help="Collect and calculate labelled structures.")

label.command("collect")(collect)
label.command("list")(list_calculations)
label.command("run")(run_calculations)
label.command("score")(score)
