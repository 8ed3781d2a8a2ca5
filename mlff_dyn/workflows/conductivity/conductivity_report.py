"""What `conductivity` reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.report.numbers import format_mesh, format_percent, format_short, format_with_errors
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.results.result_report import ResultReport

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = ("T", "conductivity", "data, order 2", "data, order 3", "expansion", "mesh", "endless mesh")


@dataclass(frozen=True)
class ConductivityReport(ResultReport):
    """Result of `conductivity`.

    Attributes
    ----------
    n_atoms : int                      of the supercell of the force constants
    method : str                       ``rta`` or ``lbte``
    order_2 : str                      ``rest``, or the kind of effective force constants
    wigner, isotopes : bool
    boundary_micrometer : float or None
    q_mesh : tuple of int              of the conductivity
    slope_q_mesh : tuple of int        of its error bar
    q_meshes : tuple of mapping        those that were tried; see `mesh_rows`
    has_dipoles : bool                 Born charges of the model split LO and TO once
    thermal : tuple of mapping         by temperature; see `thermal_rows`
    reference_temperature_k : float    of the next five
    error_relative, error_limit_relative : float
        Of data and expansion, without the mesh.
    further_calculations : int or None
        That bring the error under its limit; None: no number of them.
    limited_by : str                   ``order 2``, ``order 3`` or ``expansion``
    clusters : tuple of mapping        shares of order 3 by longest distance
    """

    verb = "conductivity"
    method: str
    order_2: str
    wigner: bool
    isotopes: bool
    boundary_micrometer: float | None
    q_mesh: tuple[int, ...]
    slope_q_mesh: tuple[int, ...]
    q_meshes: tuple[Mapping[str, Any], ...]
    has_dipoles: bool
    thermal: tuple[Mapping[str, Any], ...]
    reference_temperature_k: float
    error_relative: float
    error_limit_relative: float
    further_calculations: int | None
    limited_by: str
    clusters: tuple[Mapping[str, Any], ...]

    def why_null(self) -> Mapping[str, str]:
        """Say what was not asked for, and why no calculations help."""
        return {
            "further_calculations": "what the expansion leaves out alone exceeds the limit",
            "coherent_watt_per_meter_kelvin": "conductivity.wigner is false",
            "boundary_micrometer": "no boundaries",
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        tried = ", ".join(
            f"{format_mesh(each['q_mesh'])}: {each['kappa_watt_per_meter_kelvin']:.4g}"
            for each in self.q_meshes
        )
        kelvin = format_kelvin(self.reference_temperature_k)
        rows = [
            ("cell", f"{self.n_atoms} atoms, q-mesh {format_mesh(self.q_mesh)}"),
            ("method", self.described()),
            (f"q-meshes, {kelvin} K", f"{tried} W/mK"),
        ]
        rows += [(f"{cells[0]} K", _described_row(cells)) for cells in self.cells()]
        rows += [
            (f"error, {kelvin} K", f"{format_percent(self.error_relative)}, limited by {self.limited_by}"),
            ("further calculations", self.outlook()),
        ]
        if self.clusters:
            most = max(self.clusters, key=lambda each: float(each["variance_share"]))
            share = format_percent(most["variance_share"])
            text = f"{share} of the variance by data is of those up to {most['longest_angstrom']:.2f} Å wide"
            rows.append(("clusters of order 3", text))
        return rows

    def described(self) -> str:
        """Say how the conductivity was found."""
        names = {"rta": "relaxation time approximation", "lbte": "linear Boltzmann equation"}
        parts = [names[self.method], *([] if self.order_2 == "rest" else [f"order 2 {self.order_2}"])]
        parts += [*(["with tunneling between modes"] if self.wigner else [])]
        parts += ["isotopes"] if self.isotopes else []
        parts += (
            [] if self.boundary_micrometer is None else [f"boundaries at {self.boundary_micrometer:g} μm"]
        )
        return ", ".join(parts)

    def outlook(self) -> str:
        """Say how many calculations the limit takes."""
        limit = format_percent(self.error_limit_relative)
        if self.further_calculations is None:
            return f"none help to {limit}: only a larger expansion or local part does"
        return f"{self.further_calculations} to {limit}"

    def curve(self) -> tuple[np.ndarray, ...]:
        """Return temperatures, conductivities and their standard deviations, W/mK."""
        keys = ("temperature_k", *(f"{name}_watt_per_meter_kelvin" for name in ("kappa", "kappa_sd")))
        return tuple(np.array([each[key] for each in self.thermal]) for key in keys)

    def cells(self) -> list[tuple[str, ...]]:
        """Return the cells of a table, under `HEADER`, W/mK."""
        name = "watt_per_meter_kelvin"
        return [
            (
                format_kelvin(each["temperature_k"]),
                format_with_errors(each[f"kappa_{name}"], each[f"kappa_sd_{name}"]),
                *(
                    format_short(each[f"kappa_{part}_{name}"])
                    for part in ("order_2_sd", "order_3_sd", "expansion_sd", "mesh_error")
                ),
                f"{each[f'kappa_endless_mesh_{name}']:.4g}",
            )
            for each in self.thermal
        ]


def _described_row(cells: tuple[str, ...]) -> str:
    return f"{cells[1]} W/mK (order 2 {cells[2]}, order 3 {cells[3]}, expansion {cells[4]}); mesh {cells[5]}"
