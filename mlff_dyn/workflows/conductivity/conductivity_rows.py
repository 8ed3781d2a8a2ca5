"""Conductivities as JSON values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.observables.conductivity.meshes import extrapolated
from mlff_dyn.observables.conductivity.solver import COMPONENTS
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.observables.conductivity.error_bars import ConductivityErrors
    from mlff_dyn.observables.conductivity.parameter_slopes import ConductivitySlopes
    from mlff_dyn.observables.conductivity.solver import Conductivity, Transport

_UNIT = "watt_per_meter_kelvin"


def thermal_rows(
    transport: Transport,
    found: Sequence[Conductivity],
    slopes: ConductivitySlopes,
    errors: ConductivityErrors,
) -> tuple[dict[str, Any], ...]:
    """Conductivities by temperature; those without a component are the mean over the three axes.

    Relative errors of data and expansion are those of the coarse mesh of the slopes.

    Parameters
    ----------
    transport : Transport
    found : sequence of Conductivity
        Meshes, the finest one last.
    slopes : ConductivitySlopes
    errors : ConductivityErrors
    """
    fine, endless = found[-1], extrapolated(found)
    scale = fine.mean / slopes.kappa[:, :3].mean(axis=1)
    rows = []
    for k, kelvin in enumerate(transport.temperatures_kelvin):
        parts = {
            "order_2_sd": errors.mean_second[k],
            "order_3_sd": errors.mean_third[k],
            "data_sd": errors.mean_data[k],
            "expansion_sd": errors.mean_truncation[k],
            "statistical_error": errors.mean_sampling[k],
        }
        values = {name: float(scale[k] * value) for name, value in parts.items()}
        values["sd"] = float(
            np.linalg.norm([values[name] for name in ("data_sd", "expansion_sd", "statistical_error")])
        )
        mean = float(endless[k, :3].mean())
        values |= {"endless_mesh": mean, "mesh_error": abs(mean - float(fine.mean[k]))}
        row: dict[str, Any] = {"temperature_k": kelvin, f"kappa_{_UNIT}": float(fine.mean[k])}
        row |= {f"kappa_{name}_{_UNIT}": value for name, value in values.items()}
        row |= _by_component("kappa", fine.kappa[k])
        row |= _by_component("kappa_sd", scale[k] * errors.whole[k])
        row[f"coherent_{_UNIT}"] = None if fine.coherent is None else float(fine.coherent[k, :3].mean())
        row[f"relaxation_{_UNIT}"] = float(fine.relaxation[k, :3].mean())
        rows.append(row)
    return tuple(rows)


def _by_component(name: str, tensor: NDArray[np.float64]) -> dict[str, float]:
    return {f"{name}_{axes}_{_UNIT}": float(value) for axes, value in zip(COMPONENTS, tensor, strict=True)}


def mesh_rows(found: Sequence[Conductivity], number: int) -> tuple[dict[str, Any], ...]:
    """Conductivity on each mesh at one temperature."""
    return tuple({"q_mesh": list(each.mesh), f"kappa_{_UNIT}": float(each.mean[number])} for each in found)


def cluster_rows(shares: Sequence[tuple[float, float]]) -> tuple[dict[str, float], ...]:
    """Shares of clusters of order 3 in the variance."""
    return tuple({"longest_angstrom": size, "variance_share": share} for size, share in shares)


def cumulative_values(found: Conductivity, transport: Transport, number: int) -> dict[str, Any]:
    """Modes of the irreducible wave vectors, in the relaxation time approximation at one temperature."""
    return {
        "temperature_k": transport.temperatures_kelvin[number],
        "mean_free_paths_angstrom": found.mean_free_paths[number].ravel(),
        "frequencies_thz": found.frequencies_thz.ravel(),
        "linewidths_thz": (found.linewidths_thz[number] + found.other_linewidths_thz).ravel(),
        f"kappa_{_UNIT}": found.modes[number, :, :, :3].mean(axis=2).ravel(),
    }


@dataclass(frozen=True)
class FarLimits:
    """When a conductivity hangs on modes that hardly decay.

    Attributes
    ----------
    mean_free_path_angstrom : float
        0.1 mm: isotopes, boundaries and order 4 end it before.
    share : float
        Of the conductivity, from which on it is said; by convention. In cubic BAs by GFN1-xTB, whose optical
        modes hardly decay, it is two thirds at 300 K.
    """

    mean_free_path_angstrom: float = 1e6
    share: float = 0.2


FAR_LIMITS = FarLimits()


def far_warnings(found: Conductivity, transport: Transport, number: int) -> list[str]:
    """Warn where modes that hardly decay make much of the conductivity at a temperature."""
    values = cumulative_values(found, transport, number)
    parts, total = values[f"kappa_{_UNIT}"], values[f"kappa_{_UNIT}"].sum()
    far = parts[values["mean_free_paths_angstrom"] > FAR_LIMITS.mean_free_path_angstrom]
    if not far.sum() > FAR_LIMITS.share * total:
        return []
    found_share = f"{100.0 * far.sum() / total:.0f} % of the conductivity"
    room = f"at {format_kelvin(transport.temperatures_kelvin[number])} K"
    what = f"{found_share} {room} is of modes that decay only after 0.1 mm or more"
    left_out = "isotopes (conductivity.isotopes), boundaries (conductivity.boundary_micrometer), order 4"
    return [f"{what}: what is left out decides them, as {left_out}"]


def curves_of_modes(values: Mapping[str, Any]) -> tuple[NDArray[np.float64], ...]:
    """Mean free paths, frequencies and parts in the conductivity, of `cumulative_values` or its file."""
    names = ("mean_free_paths_angstrom", "frequencies_thz", f"kappa_{_UNIT}")
    return tuple(np.array(values[name], float) for name in names)
