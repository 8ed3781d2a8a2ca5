"""What `thermodynamics` wrote, as a part of the page of a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlff_dyn.report.html_page import Part, Table, Text
from mlff_dyn.report.thermodynamics_plots import plot_curves
from mlff_dyn.workflows.results.result_folder import ResultFolder
from mlff_dyn.workflows.thermodynamics.thermodynamics_report import ThermodynamicsReport

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.report.html_page import Block, Draw

_CAPTION = "{}; bands are two standard deviations of the data, bars one Monte Carlo error."


def thermodynamics_part(directory: Path, draw: Draw) -> list[Part]:
    """Elastic constants, thermal expansion and free energy; nothing where the verb has not run.

    Parameters
    ----------
    directory : Path
        Of the run.
    draw : callable
        Takes name, caption and plot of a picture.
    """
    report = ResultFolder(directory, ThermodynamicsReport).stored()
    if report is None:
        return []
    blocks: list[Block] = [Text(f"Warning: {line}.") for line in report.warnings]
    for name, (label, kelvin, curves) in report.curves().items():
        plot = partial(plot_curves, temperatures=kelvin, curves=curves, label=label)
        blocks.append(draw(f"thermodynamics-{name}", _CAPTION.format(label), plot))
    for title, cells in (
        ("Elastic constants", report.elastic_cells()),
        ("Thermal expansion", report.expansion_cells()),
        ("At constant volume", report.free_energy_cells()),
    ):
        if cells:
            blocks.append(Table(["T, K", title], cells))
    lead = (
        f"By dynamics of {report.n_atoms} atoms at {report.pressure_gigapascal:g} GPa. The first ± is one "
        "standard deviation of the data, the second one the Monte Carlo error. Dynamics are classical; the "
        "free energy has the quantum correction of the harmonic crystal."
    )
    return [Part("Elastic constants, expansion and free energy", [Text(lead), *blocks])]
