"""What `phonons` wrote, as a part of the page of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.report.answer import read_values
from mlff_dyn.report.html_page import Part, Table, Text
from mlff_dyn.report.numbers import format_mesh
from mlff_dyn.report.phonon_plots import plot_dos, plot_gruneisen
from mlff_dyn.workflows.phonons.phonons_report import HEADER, PhononsReport
from mlff_dyn.workflows.reporting.temperature_part import temperature_part
from mlff_dyn.workflows.results.result_folder import ResultFolder

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.report.html_page import Block, Draw

_UNITS = ("K", "eV/atom", "k_B/atom", "k_B/atom", "", "Å², along an axis")


def phonons_part(directory: Path, draw: Draw) -> list[Part]:
    """Thermal properties of the harmonic phonons, and phonons at temperature.

    Nothing where `phonons` has not run or a file is damaged.

    Parameters
    ----------
    directory : Path
        Of the run.
    draw : callable
        Takes name, caption and plot of a picture.
    """
    folder = ResultFolder(directory, PhononsReport)
    report = folder.stored()
    dos, band = (read_values(folder.path / f"{name}.json") for name in ("dos", "band"))
    if report is None or not (dos and band):
        return []
    species = tuple(dict.fromkeys(report.sites))
    found = [np.array([dos[f"{each}_{name}"] for each in species]) for name in ("per_thz", "sd_per_thz")]
    caption = "Density of states for each primitive cell; bands are two standard deviations of the posterior."
    points = np.array(dos["frequencies_thz"])
    blocks: list[Block] = [Text(f"Warning: {line}.") for line in report.warnings]
    blocks.append(draw("dos", caption, lambda path: plot_dos(path, points, found[0], found[1], species)))
    if "gruneisen" in band:
        frequencies, values, sds = (
            np.array(band[name], float).ravel() for name in ("frequencies_thz", "gruneisen", "gruneisen_sd")
        )
        caption = "Grüneisen parameters of the modes along the path, with one standard deviation."
        blocks.append(draw("gruneisen", caption, lambda path: plot_gruneisen(path, frequencies, values, sds)))
    header = [f"{name}, {unit}".strip(", ") for name, unit in zip(HEADER, _UNITS, strict=True)]
    blocks.append(Table(header, report.cells(), numbers=range(1, len(header) - 1)))
    lead = (
        f"Harmonic values on a q-mesh of {format_mesh(report.q_mesh)}, at constant volume; ± is one standard "
        "deviation of the data."
    )
    thermal = Part("Thermal properties", [Text(lead), *blocks])
    return [thermal, *temperature_part(folder.path, report, draw)]
