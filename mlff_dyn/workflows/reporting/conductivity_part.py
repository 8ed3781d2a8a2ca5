"""What `conductivity` wrote, as a part of the page of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.report.answer import read_values
from mlff_dyn.report.conductivity_plots import plot_conductivity, plot_cumulative
from mlff_dyn.report.html_page import Part, Table, Text
from mlff_dyn.report.numbers import format_mesh, format_percent
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.conductivity.conductivity_report import HEADER, ConductivityReport
from mlff_dyn.workflows.conductivity.conductivity_rows import curves_of_modes
from mlff_dyn.workflows.results.result_folder import ResultFolder

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.report.html_page import Draw


def conductivity_part(directory: Path, draw: Draw) -> list[Part]:
    """Conductivity and its error bar; nothing where `conductivity` has not run or a file is damaged.

    Parameters
    ----------
    directory : Path
        Of the run.
    draw : callable
        Takes name, caption and plot of a picture.
    """
    folder = ResultFolder(directory, ConductivityReport)
    report = folder.stored()
    try:
        of_modes = curves_of_modes(read_values(folder.path / "cumulative.json"))
    except (ValueError, KeyError, TypeError):
        return []
    if report is None:
        return []
    room, sd = format_kelvin(report.reference_temperature_k), report.error_relative
    lead = (
        f"{report.described().capitalize()}, on a q-mesh of {format_mesh(report.q_mesh)}; ± is one standard "
        "deviation of data and expansion, without the mesh. On an endless mesh it would be that of the last "
        f"column. At {room} K the error is {format_percent(sd)}, limited by {report.limited_by}; further "
        f"calculations: {report.outlook()}."
    )
    caption = f"Modes up to a mean free path, or a frequency, at {room} K; bands are two standard deviations."
    header = [f"{name}, {'K' if name == 'T' else 'W/mK'}" for name in HEADER]
    sizes = [
        (f"{each['longest_angstrom']:.2f}", format_percent(each["variance_share"]))
        for each in report.clusters
    ]
    return [
        Part(
            "Thermal conductivity",
            [
                Text(lead),
                *(Text(f"Warning: {line}.") for line in report.warnings),
                draw(
                    "conductivity",
                    "Mean over the three axes, with one standard deviation.",
                    lambda path: plot_conductivity(path, *report.curve()),
                ),
                draw("cumulative", caption, lambda path: plot_cumulative(path, *of_modes, relative_sd=sd)),
                Table(header, report.cells(), numbers=range(2, len(header))),
                Table(
                    ("clusters of order 3 up to, Å", "share in the variance of the data"),
                    sizes,
                    numbers=(0, 1),
                ),
            ],
        )
    ]
