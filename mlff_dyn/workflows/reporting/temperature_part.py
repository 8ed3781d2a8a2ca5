"""Phonons at temperature, which `phonons` wrote, as a part of the page of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.report.answer import read_values
from mlff_dyn.report.html_page import Part, Table, Text
from mlff_dyn.report.phonon_plots import plot_spectra
from mlff_dyn.report.spectral_plot import plot_spectral_function
from mlff_dyn.report.training_plots import plot_dispersion
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.report.html_page import Block, Draw
    from mlff_dyn.workflows.phonons.phonons_report import PhononsReport

_HEADER = ("T, K", "average", "lowest, THz", "highest, THz", "free energy, eV/atom", "Monte Carlo error")


def temperature_part(folder: Path, report: PhononsReport, draw: Draw) -> list[Part]:
    """Effective phonons and spectra; nothing where there are none or a file is damaged.

    Parameters
    ----------
    folder : Path
        Of the answer of `phonons`.
    report : PhononsReport
    draw : callable
        Takes name, caption and plot of a picture.
    """
    try:
        blocks = [*_effective(folder, report, draw), *_spectra(folder, report, draw)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [Part("Phonons at temperature", blocks)] if blocks else []


def _effective(folder: Path, report: PhononsReport, draw: Draw) -> list[Block]:
    if not report.effective:
        return []
    band, hot = (read_values(folder / f"{name}.json") for name in ("band", "effective"))
    names = ("sd", "statistical_error")
    curves = {
        f"{format_kelvin(each['temperature_k'])} K": (
            np.array(each["frequencies_thz"]),
            np.hypot(*(np.array(each[f"frequencies_{name}_thz"]) for name in names)),
        )
        for each in hot["temperatures"]
    }
    distances, frequencies, sds = (
        np.array(band[name]) for name in ("distances_per_angstrom", "frequencies_thz", "frequencies_sd_thz")
    )
    ticks = [(each["distance_per_angstrom"], each["name"]) for each in band["ticks"]]
    caption = (
        "Phonon frequencies by effective force constants, and the harmonic ones; bands are two standard "
        "deviations, of the data and of the average together."
    )

    def plot(path: Path) -> None:
        plot_dispersion(path, distances, frequencies, sds, ticks, others=curves)

    table = Table(list(_HEADER), report.effective_cells(), numbers=range(2, 6))
    text = "± are one standard deviation, first of the data, then of the average over configurations."
    return [Text(text), draw("effective", caption, plot), table]


def _spectra(folder: Path, report: PhononsReport, draw: Draw) -> list[Block]:
    if not report.spectra:
        return []
    labels = [format_kelvin(each["temperature_k"]) for each in report.spectra]
    curves = {f"{label} K": read_values(folder / f"spectra-{label}K.json") for label in labels}
    caption = (
        "Linewidths of the modes with one standard deviation, of the data and between trajectories together, "
        "and the power spectrum of the velocities."
    )
    along = (
        "Spectral function: power of the velocities along the path, by the lines at the cell's wave vectors."
    )
    return [
        draw("spectra", caption, lambda path: plot_spectra(path, curves)),
        draw("spectral_function", along, lambda path: plot_spectral_function(path, curves)),
    ]
