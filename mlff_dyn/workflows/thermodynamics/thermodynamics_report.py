"""What `thermodynamics` reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.report.numbers import format_with_errors
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.results.result_report import ResultReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlff_dyn.report.thermodynamics_plots import Curve

_COMPONENTS = ("1", "2", "3", "4", "5", "6")
_SMALLEST_SHARE = 1e-3
"""Of the largest elastic constant, below which one is not shown."""
_FREE_ENERGY = (("free_energy", "ev", "eV/atom"), ("entropy", "boltzmann", "k_B/atom"))
_PER_MILLION = 1e6
PLOTS = ("elastic", "expansion", "heat-capacity")
"""Names of the plots that there may be."""


@dataclass(frozen=True)
class ThermodynamicsReport(ResultReport):
    """Result of `thermodynamics`.

    Names with ``sd`` are standard deviations of the data, with ``statistical_error`` Monte Carlo errors, with
    ``mesh_error`` what was put back for the mesh of wave vectors.

    Attributes
    ----------
    n_atoms : int                              of the supercell of the dynamics
    q_mesh : tuple of int
    pressure_gigapascal : float                of thermal expansion
    elastic : tuple of mapping
        At rest, then by temperature at the strain of the expansion; components xx, yy, zz, yz, xz, xy.
    expansion : tuple of mapping               by temperature
    free_energy : tuple of mapping             by temperature, at the volume of the structure
    """

    verb = "thermodynamics"
    q_mesh: tuple[int, ...]
    pressure_gigapascal: float
    elastic: tuple[Mapping[str, Any], ...]
    expansion: tuple[Mapping[str, Any], ...]
    free_energy: tuple[Mapping[str, Any], ...]

    def why_null(self) -> Mapping[str, str]:
        """Say what is known without dynamics, and what needs more quantities."""
        needs = "it needs elastic and expansion among thermodynamics.quantities"
        return {
            "constants_statistical_error_gigapascal": "at rest there are no samples",
            "heat_capacity_pressure_boltzmann_per_atom": needs,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        rows = [("cell", f"{self.n_atoms} atoms")]
        rows += [(f"elastic constants, {cells[0]} K", cells[1]) for cells in self.elastic_cells()]
        rows += [(f"thermal expansion, {cells[0]} K", cells[1]) for cells in self.expansion_cells()]
        rows += [(f"at constant volume, {cells[0]} K", cells[1]) for cells in self.free_energy_cells()]
        return rows

    def elastic_cells(self) -> list[tuple[str, str]]:
        """Temperature and elastic constants, GPa."""
        found = []
        for row in self.elastic:
            names = constants_of(row)
            parts = [
                f"C{_COMPONENTS[i]}{_COMPONENTS[j]} {_number(row, 'constants', 'gigapascal', (i, j))}"
                for i, j in names
            ]
            averages = [f"{name} {_number(row, f'{name}_hill', 'gigapascal')}" for name in ("bulk", "shear")]
            verdict = "" if row["is_stable"] else ", not stable"
            text = f"{', '.join([*parts, *averages])} GPa{verdict}"
            found.append((format_kelvin(row["temperature_k"]), text))
        return found

    def expansion_cells(self) -> list[tuple[str, str]]:
        """Temperature and mean linear expansion, 1e-6/K."""
        found = []
        for row in self.expansion:
            own = _number(row, "linear", "per_kelvin", scale=_PER_MILLION)
            others = [
                f"{name} {_number(row, f'quasi_harmonic_{name}_linear', 'per_kelvin', scale=_PER_MILLION)}"
                for name in ("quantum", "classical")
            ]
            text = f"{own} by dynamics; quasi-harmonic: {', '.join(others)} (1e-6/K, mean of the axes)"
            found.append((format_kelvin(row["temperature_k"]), text))
        return found

    def free_energy_cells(self) -> list[tuple[str, str]]:
        """Temperature, free energy, entropy and heat capacities."""
        found = []
        for row in self.free_energy:
            parts = [
                f"{name.replace('_', ' ')} {_number(row, name, f'{unit}_per_atom')} {shown}"
                for name, unit, shown in _FREE_ENERGY
            ]
            parts.append(f"C_V {_number(row, 'heat_capacity', 'boltzmann_per_atom')} k_B/atom")
            more = row["heat_capacity_pressure_boltzmann_per_atom"]
            if more is not None:
                parts.append(f"C_p {more:.3f} k_B/atom")
            found.append((format_kelvin(row["temperature_k"]), ", ".join(parts)))
        return found

    def curves(self) -> dict[str, tuple[str, np.ndarray, dict[str, Curve]]]:
        """Curves to draw by file name: label of the axis, temperatures, and curves by their names."""
        found: dict[str, tuple[str, np.ndarray, dict[str, Curve]]] = {}
        if len(self.elastic) > 1:
            own = {
                f"C{_COMPONENTS[i]}{_COMPONENTS[j]}": _curve(
                    self.elastic, "constants", "gigapascal", place=(i, j)
                )
                for i, j in constants_of(self.elastic[0])
            }
            found["elastic"] = ("Elastic constants (GPa)", _kelvin(self.elastic), own)
        if self.expansion:
            own = {"dynamics": _curve(self.expansion, "linear", "per_kelvin", scale=_PER_MILLION)}
            for name in ("quantum", "classical"):
                key = f"quasi_harmonic_{name}_linear"
                own[f"quasi-harmonic, {name}"] = _curve(self.expansion, key, "per_kelvin", scale=_PER_MILLION)
            found["expansion"] = ("Linear expansion (1e-6/K)", _kelvin(self.expansion), own)
        if self.free_energy:
            own = {"constant volume": _curve(self.free_energy, "heat_capacity", "boltzmann_per_atom")}
            if self.free_energy[0]["heat_capacity_pressure_boltzmann_per_atom"] is not None:
                more = _curve(self.free_energy, "heat_capacity_pressure", "boltzmann_per_atom")
                own["constant pressure"] = more
            label = "Heat capacity (k$_B$/atom)"
            found["heat-capacity"] = (label, _kelvin(self.free_energy), own)
        return found


def constants_of(row: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Elastic constants that differ from each other and from zero, each by its first component."""
    matrix = np.array(row["constants_gigapascal"])
    least = _SMALLEST_SHARE * np.abs(matrix).max()
    found: list[tuple[int, int]] = []
    for i in range(6):
        for j in range(i, 6):
            value = matrix[i, j]
            is_new = all(abs(value - matrix[pair]) > least for pair in found)
            if abs(value) > least and is_new:
                found.append((i, j))
    return found


def _kelvin(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([row["temperature_k"] for row in rows])


def _curve(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    unit: str,
    *,
    place: tuple[int, int] | None = None,
    scale: float = 1.0,
) -> Curve:
    parts = [[_part(row, name, unit, place, suffix) for row in rows] for suffix in ("", "_sd", _STATISTICAL)]
    values, sds, errors = (scale * np.array([value or 0.0 for value in each], float) for each in parts)
    return values, sds, errors if errors.any() else None


_STATISTICAL = "_statistical_error"


def _part(
    row: Mapping[str, Any], name: str, unit: str, place: tuple[int, int] | None, suffix: str
) -> float | None:
    found = row.get(f"{name}{suffix}_{unit}")
    return found if place is None or found is None else found[place[0]][place[1]]


def _number(
    row: Mapping[str, Any],
    name: str,
    unit: str,
    place: tuple[int, int] | None = None,
    *,
    scale: float = 1.0,
) -> str:
    """Value ± error of the data (± Monte Carlo error)."""
    value, *errors = (_part(row, name, unit, place, suffix) for suffix in ("", "_sd", _STATISTICAL))
    known = (scale * each for each in errors if each is not None)
    return format_with_errors(scale * (value or 0.0), *known)
