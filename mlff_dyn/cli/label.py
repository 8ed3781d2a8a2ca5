"""`mlff-dyn label`: labelled structures, without a training."""

import typer

from mlff_dyn.cli.label_calculations import list_calculations, run_calculations
from mlff_dyn.cli.label_collect import collect
from mlff_dyn.cli.label_score import score

label = typer.Typer(name="label", no_args_is_help=True, help="Collect and calculate labelled structures.")

for _name, _command in {
    "collect": collect,
    "list": list_calculations,
    "run": run_calculations,
    "score": score,
}.items():
    label.command(_name)(_command)
