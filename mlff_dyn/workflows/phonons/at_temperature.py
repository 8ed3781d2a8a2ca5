"""Phonons of effective force constants: curves, free energy, what is reported of them, and their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.formats.effective_file import effective_name
from mlff_dyn.observables.effective.effective_phonons import effective_bands, free_energy
from mlff_dyn.report.answer import write_values
from mlff_dyn.report.plots import SUFFIXES
from mlff_dyn.report.training_plots import plot_dispersion
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.phonons.effective import effective_constants

if TYPE_CHECKING:
    from mlff_dyn.formats.effective_file import EffectiveForceConstants
    from mlff_dyn.observables.dispersion import Dispersion
    from mlff_dyn.observables.effective.effective_phonons import EffectiveBands
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.phonons.effective import EffectiveTask

EFFECTIVE = "effective"
"""Name of the picture and of the JSON file."""


@dataclass(frozen=True, eq=False)
class AtTemperature:
    """What was found at temperatures.

    Attributes
    ----------
    rows : tuple of dict       JSON values, one for each temperature
    constants : tuple of EffectiveForceConstants
    files : tuple of str
    warnings : tuple of str
    """

    rows: tuple[dict[str, Any], ...] = ()
    constants: tuple[EffectiveForceConstants, ...] = ()
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def at_temperature(
    task: EffectiveTask, harmonic: Dispersion, mesh: tuple[int, ...], progress: Progress
) -> AtTemperature:
    """Calculate effective phonons of all temperatures and write their files.

    Parameters
    ----------
    task : EffectiveTask
    harmonic : Dispersion
        Along the path that is taken.
    mesh : tuple of int
        Of the free energy.
    progress : Progress
    """
    every = effective_constants(task, progress)
    progress.stop()
    path, phonon, torus = harmonic.path, task.phonons.phonon, task.phonons.torus
    wavevectors = np.vstack([path.wavevectors, torus.wavevectors])
    rows, warnings, curves, parts = [], [], {}, []
    for found in every:
        bands = effective_bands(found, phonon, torus, wavevectors)
        row = _row(found, bands, torus.n_cells)
        row |= _energies(found, task, mesh)
        rows.append(row)
        warnings += _warnings(row, task.settings.error_limit_relative)
        n_path = len(path.distances)
        along = {
            "frequencies_thz": bands.frequencies_thz[:n_path],
            "frequencies_sd_thz": bands.data_sds_thz[:n_path],
            "frequencies_statistical_error_thz": bands.monte_carlo_sds_thz[:n_path],
        }
        label = f"{format_kelvin(found.temperature_kelvin)} K"
        curves[label] = (along["frequencies_thz"], bands.sds_thz[:n_path])
        parts.append({"temperature_k": found.temperature_kelvin, **along})
    content = {"distances_per_angstrom": path.distances, "wavevectors_reduced": path.wavevectors}
    write_values(task.folder / f"{EFFECTIVE}.json", {**content, "temperatures": parts})
    for suffix in SUFFIXES:
        picture = task.folder / f"{EFFECTIVE}.{suffix}"
        own = (picture, path.distances, harmonic.frequencies_thz, harmonic.sds_thz, path.ticks)
        plot_dispersion(*own, others=curves)
    names = [effective_name(found.temperature_kelvin) for found in every]
    files = (*(f"{EFFECTIVE}.{suffix}" for suffix in (*SUFFIXES, "json")), *names)
    return AtTemperature(tuple(rows), tuple(every), files, tuple(warnings))


def _row(found: EffectiveForceConstants, bands: EffectiveBands, n_cells: int) -> dict[str, Any]:
    """Values of a temperature; the lowest frequency is that of the wave vectors of the cell."""
    frequencies = bands.frequencies_thz[-n_cells:].copy()
    frequencies[0, np.argsort(np.abs(frequencies[0]))[:3]] = np.inf
    row: dict[str, Any] = {
        "temperature_k": found.temperature_kelvin,
        "kind": found.kind,
        "statistics": found.statistics,
        "n_configurations": found.n_configurations,
        "statistical_error_relative": found.error_relative,
        "is_converged": found.is_converged,
        "n_imaginary": bands.n_imaginary,
        "mean_displacements_angstrom": found.mean_displacements.tolist(),
    }
    lowest = np.unravel_index(np.argmin(frequencies), frequencies.shape)
    highest = np.unravel_index(np.argmax(bands.frequencies_thz), bands.frequencies_thz.shape)
    places = {"min": (len(bands.frequencies_thz) - n_cells + lowest[0], lowest[1]), "max": highest}
    for name, place in places.items():
        row[f"frequency_{name}_thz"] = float(bands.frequencies_thz[place])
        row[f"frequency_{name}_sd_thz"] = float(bands.data_sds_thz[place])
        row[f"frequency_{name}_statistical_error_thz"] = float(bands.monte_carlo_sds_thz[place])
    return row


def _energies(
    found: EffectiveForceConstants, task: EffectiveTask, mesh: tuple[int, ...]
) -> dict[str, float | None]:
    """Free energy of a stable self-consistent crystal for each atom, eV."""
    names = ("", "_sd", "_statistical_error", "_mesh_error")
    keys = [f"free_energy_ev_per_atom{name}" for name in names]
    if found.kind != "self-consistent" or not found.is_converged:
        return dict.fromkeys(keys)
    energy = free_energy(found, task.phonons.phonon, task.phonons.torus, mesh)
    parts = (energy.value, energy.data_sd, energy.monte_carlo_sd, energy.mesh_error)
    return {key: part / len(found.p2s_map) for key, part in zip(keys, parts, strict=True)}


def _warnings(row: dict[str, Any], limit: float) -> list[str]:
    where = f"effective phonons at {format_kelvin(row['temperature_k'])} K"
    lines = []
    if not row["is_converged"]:
        lines.append(f"{where}: the iterations found no self-consistent crystal with real frequencies")
    if row["n_imaginary"]:
        lines.append(f"{where}: {row['n_imaginary']} modes are imaginary, the phase is not stable there")
    if row["statistical_error_relative"] > limit:
        error = f"{100.0 * row['statistical_error_relative']:.2g} %"
        lines.append(
            f"{where}: the Monte Carlo error is {error}, more than phonons.effective.error_limit_relative; "
            + (
                "raise n_steps or n_replicas"
                if row["kind"] == "dynamics"
                else "raise phonons.effective.max_configurations"
            )
        )
    return lines
