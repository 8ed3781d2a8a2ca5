"""What `phonons` reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.report.numbers import format_mesh, format_with_errors
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.results.result_report import ResultReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlff_dyn.observables.gruneisen import Gruneisen
    from mlff_dyn.observables.harmonic_properties import HarmonicProperties

HEADER = ("T", "free energy", "entropy", "heat capacity", "Grüneisen", "mean square displacement")
_UNITS = ("", "eV/atom", "k_B/atom", "k_B/atom", "", "Å²")


@dataclass(frozen=True)
class PhononsReport(ResultReport):
    """Result of `phonons`; standard deviations are those of the data, ``mesh_error`` that of the q-mesh.

    Attributes
    ----------
    n_atoms : int                  of the supercell of the force constants
    q_mesh : tuple of int
    n_samples : int                of the posterior
    frequency_max_thz, frequency_max_sd_thz : float
    frequency_rms_sd_thz : float   over all modes along the path
    n_imaginary : int              modes of the mesh
    has_dipoles : bool             Born charges of the model split LO and TO once
    sites : tuple of str           species of the atoms of the primitive cell, in phonopy's order
    thermal : tuple of mapping     by temperature, 0 K first; see `thermal_rows`
    effective : tuple of mapping   by temperature, of effective force constants; two kinds of errors
    spectra : tuple of mapping     by temperature, of lines; two kinds of errors
    """

    verb = "phonons"
    q_mesh: tuple[int, ...]
    n_samples: int
    frequency_max_thz: float
    frequency_max_sd_thz: float
    frequency_rms_sd_thz: float
    n_imaginary: int
    has_dipoles: bool
    sites: tuple[str, ...]
    thermal: tuple[Mapping[str, Any], ...]
    effective: tuple[Mapping[str, Any], ...] = ()
    spectra: tuple[Mapping[str, Any], ...] = ()

    def why_null(self) -> Mapping[str, str]:
        """Say what is not known without order 3, in fewer dimensions, or with imaginary modes."""
        stable = "imaginary modes: the harmonic crystal has none"
        names = ("entropy_boltzmann", "heat_capacity_boltzmann")
        parts = ("per_atom", "per_atom_sd", "per_atom_mesh_error")
        thermal = {f"{name}_{part}": stable for name in names for part in parts}
        moved = stable if self.n_imaginary else "it diverges in fewer than three dimensions"
        errors = ("_sd", "_mesh_error", "_statistical_error")
        energy = "imaginary modes: there is none of a crystal that is not stable, nor by dynamics"
        lines = "no dynamics of samples of the posterior (phonons.spectra.n_samples), or none that stayed"
        changes = "at 0 K, and without order 3 in the model, there is none"
        return {
            **thermal,
            **{f"free_energy_ev_per_atom{part}": energy for part in ("", *errors)},
            **dict.fromkeys(("displacements_angstrom2", "displacements_sd_angstrom2"), moved),
            **dict.fromkeys(("linewidth_mean_sd_thz", "linewidth_max_sd_thz"), lines),
            **dict.fromkeys(("gruneisen", "gruneisen_sd"), stable if self.n_imaginary else changes),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        highest = _with_sd(self.frequency_max_thz, self.frequency_max_sd_thz)
        cell = f"{self.n_atoms} atoms, q-mesh {format_mesh(self.q_mesh)}"
        rows = [
            ("cell", f"{cell}, {self.n_samples} samples of the posterior"),
            ("highest frequency", f"{highest} THz"),
            ("error of frequencies", f"{self.frequency_rms_sd_thz:.2g} THz (root mean square)"),
        ]
        for cells in self.cells():
            named = zip(HEADER[1:], cells[1:], _UNITS[1:], strict=True)
            parts = [f"{name} {cell} {unit}".strip() for name, cell, unit in named if cell]
            rows.append((f"{cells[0]} K", ", ".join(parts) or "no harmonic values"))
        for kelvin, average, lowest, highest, energy, error in self.effective_cells():
            parts = [average, f"{lowest} to {highest} THz", f"free energy {energy} eV/atom" if energy else ""]
            shown = ", ".join(part for part in (*parts, f"Monte Carlo error {error}") if part)
            rows.append((f"{kelvin} K, effective", shown))
        for each in self.spectra:
            mean, largest = (_with_both(each, f"linewidth_{name}_thz") for name in ("mean", "max"))
            name = f"{format_kelvin(each['temperature_k'])} K, linewidths"
            text = f"{mean} THz, at most {largest} THz, {each['n_lines']} lines"
            n_overdamped = each["n_overdamped"]
            rows.append((name, text + (f", {n_overdamped} modes overdamped" if n_overdamped else "")))
        return rows

    def effective_cells(self) -> list[tuple[str, ...]]:
        """Return the cells of a table of effective phonons by temperature.

        Average, lowest and highest frequency, free energy (empty where there is none), Monte Carlo error.
        """
        return [
            (
                format_kelvin(each["temperature_k"]),
                f"{each['kind']}, {each['statistics']}",
                *(_with_both(each, f"frequency_{name}_thz") for name in ("min", "max")),
                _with_both(each, "free_energy_ev_per_atom"),
                f"{100.0 * each['statistical_error_relative']:.2g} %",
            )
            for each in self.effective
        ]

    def cells(self) -> list[tuple[str, ...]]:
        """Return the cells of a table of thermal properties, under `HEADER`."""
        names = ("free_energy_ev_per_atom", "entropy_boltzmann_per_atom", "heat_capacity_boltzmann_per_atom")
        return [
            (
                format_kelvin(each["temperature_k"]),
                *(_with_sd(each[name], each[f"{name}_sd"]) for name in names),
                _with_sd(each["gruneisen"], each["gruneisen_sd"]),
                _mean_square(self.sites, each),
            )
            for each in self.thermal
        ]


def thermal_rows(found: HarmonicProperties, changes: Gruneisen | None) -> tuple[dict[str, Any], ...]:
    """Thermal properties by temperature, as JSON values; None where modes are imaginary.

    Parameters
    ----------
    found : HarmonicProperties
    changes : Gruneisen or None
    """
    known = {
        "free_energy_ev": ("free_energy", found.free_energy),
        "entropy_boltzmann": ("entropy", found.entropy),
        "heat_capacity_boltzmann": ("heat_capacity", found.heat_capacity),
    }
    rows: list[dict[str, Any]] = []
    for k, temperature in enumerate(found.temperatures_kelvin.tolist()):
        row: dict[str, Any] = {"temperature_k": temperature}
        for name, (short, estimate) in known.items():
            parts = (estimate.value[k], estimate.sd[k], found.mesh_errors[short][k])
            row |= {
                f"{name}_per_atom{part}": float(value) / found.n_sites
                for part, value in zip(("", "_sd", "_mesh_error"), parts, strict=True)
            }
        mean = None if changes is None or k == 0 else changes.means
        row["gruneisen"] = None if mean is None else float(mean.value[k - 1])
        row["gruneisen_sd"] = None if mean is None else float(mean.sd[k - 1])
        moved = found.displacements
        row["displacements_angstrom2"] = None if moved is None else moved.value[k].tolist()
        row["displacements_sd_angstrom2"] = None if moved is None else moved.sd[k].tolist()
        if found.n_imaginary:
            row = {**dict.fromkeys(row), "temperature_k": temperature}
        rows.append(row)
    return tuple(rows)


def _with_sd(value: float | None, sd: float | None) -> str:
    return "" if value is None or sd is None else format_with_errors(value, sd)


def _with_both(row: Mapping[str, Any], name: str) -> str:
    """A value with its errors, of the data and by Monte Carlo."""
    if row[name] is None:
        return ""
    stem, unit = (name[:-4], "_thz") if name.endswith("_thz") else (name, "")
    errors = (row[f"{stem}_{kind}{unit}"] for kind in ("sd", "statistical_error"))
    return format_with_errors(row[name], *(each for each in errors if each is not None))


def _mean_square(sites: tuple[str, ...], row: Mapping[str, Any]) -> str:
    """Mean square displacement along an axis, by species."""
    if row["displacements_angstrom2"] is None:
        return ""
    traces, sds = (
        np.trace(row[f"displacements_{part}angstrom2"], axis1=1, axis2=2) / 3.0 for part in ("", "sd_")
    )
    symbols = np.array(sites)
    return ", ".join(
        f"{each} {_with_sd(traces[symbols == each].mean(), sds[symbols == each].mean())}"
        for each in dict.fromkeys(sites)
    )
