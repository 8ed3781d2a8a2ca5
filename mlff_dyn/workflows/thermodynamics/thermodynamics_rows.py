"""Results of `thermodynamics` put together from its parts, as JSON values with units in their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.kernels.strain.moves import strain_components
from mlff_dyn.lattice.deformation import from_voigt, to_voigt
from mlff_dyn.observables.elastic import AVERAGES, ElasticConstants
from mlff_dyn.observables.helmholtz import thermal_functions
from mlff_dyn.observables.parameter_errors import data_sd, error_factor, error_factor_with_stress
from mlff_dyn.observables.thermal_expansion import expansion_curve
from mlff_dyn.units import BOLTZMANN_EV_PER_K, EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.workflows.thermodynamics.calculations import Calculations

Row = dict[str, Any]


def elastic_row(
    temperature_kelvin: float, found: ElasticConstants, statistical_errors: NDArray[np.float64] | None
) -> Row:
    """Elastic constants and what follows from them.

    Parameters
    ----------
    temperature_kelvin : float
    found : ElasticConstants
    statistical_errors : ndarray, shape (6, 6), or None
        Monte Carlo errors, GPa; None at rest.
    """
    row: Row = {
        "temperature_k": temperature_kelvin,
        "constants_gigapascal": found.values.tolist(),
        "constants_sd_gigapascal": found.sds.tolist(),
        "constants_statistical_error_gigapascal": None
        if statistical_errors is None
        else statistical_errors.tolist(),
    }
    for name in AVERAGES:
        row[f"{name}_gigapascal"] = float(found.averages[name].value)
        row[f"{name}_sd_gigapascal"] = float(found.averages[name].sd)
    row["softest_gigapascal"] = float(found.softest.value)
    row["softest_sd_gigapascal"] = float(found.softest.sd)
    row["is_stable"] = bool(found.softest.value > 0.0)
    return row


def isothermal_constants(
    force_field: ForceField, values: NDArray[np.float64], gradient: NDArray[np.float64]
) -> ElasticConstants:
    """Isothermal elastic constants with the covariance of the data."""
    factor = gradient.reshape(36, -1) @ error_factor(force_field)
    moves = np.zeros((6, force_field.basis.crystal.n_sites, 3))
    return ElasticConstants(values, gradient, factor @ factor.T, moves)


def expansion_rows(calculations: Calculations) -> list[Row]:
    """Thermal expansion at each temperature, by dynamics and by phonons."""
    rest, kelvin = calculations.rest, calculations.settings.temperatures_kelvin
    averages = [calculations.strains(each) for each in kelvin]
    phonons = calculations.quasi_harmonic()
    factor = error_factor_with_stress(calculations.force_field)
    at_rest = -np.linalg.solve(rest.curvature(rest.amounts), rest.slope_rows(rest.amounts))
    n_strains = len(rest.strains)
    values, slopes = np.empty((2, len(kelvin), n_strains)), np.empty((2, len(kelvin), n_strains))
    value_factors = np.empty((len(kelvin), n_strains, factor.shape[1]))
    slope_factors = np.empty_like(value_factors)
    for i in range(n_strains):
        errors = np.array([each[i].statistical_error for each in averages])
        curve = expansion_curve(kelvin, errors)
        means = np.array([rest.amounts[i], *(each[i].value for each in averages)])
        spread = np.array([0.0, *errors])
        gradients = np.array([at_rest[i], *(each[i].gradient for each in averages)]) @ factor
        for own, weights, factors in (
            (values, curve.values, value_factors),
            (slopes, curve.slopes, slope_factors),
        ):
            own[0, :, i], own[1, :, i] = weights @ means, np.sqrt(weights**2 @ spread**2)
            factors[:, i] = weights @ gradients
    scale = calculations.at_rest.force_field.calibration
    rows = []
    for k, temperature in enumerate(kelvin):
        linear, tensor = _per_strain(rest.strains, rest.strain(values[0, k]))
        row: Row = {
            "temperature_k": temperature,
            "strain": to_voigt(rest.strain(values[0, k])).tolist(),
            **_volume(calculations, values[:, k], value_factors[k]),
            **_named("linear_per_kelvin", linear, slopes[:, k], _size(linear @ slope_factors[k])),
            "tensor_per_kelvin": (tensor @ slopes[0, k]).tolist(),
            "tensor_sd_per_kelvin": np.linalg.norm(tensor @ slope_factors[k], axis=1).tolist(),
            "tensor_statistical_error_per_kelvin": np.sqrt(tensor**2 @ slopes[1, k] ** 2).tolist(),
        }
        for name, found in phonons.items():
            linear, tensor = _per_strain(rest.strains, rest.strain(found.amounts[k]))
            prefix = f"quasi_harmonic_{name}"
            row[f"{prefix}_linear_per_kelvin"] = float(linear @ found.rates[k])
            sd = scale * float(np.std(found.rate_samples[:, k] @ linear, ddof=1))
            row[f"{prefix}_linear_sd_per_kelvin"] = sd
            row[f"{prefix}_tensor_per_kelvin"] = (tensor @ found.rates[k]).tolist()
        rows.append(row)
    return rows


def _per_strain(
    strains: NDArray[np.float64], strain: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expansion by a rate of the amounts: mean of the axes, (n_strains,), and components, (6, n_strains)."""
    inverse = np.linalg.inv(np.eye(3) + strain)
    rates = np.einsum("iab,bc->iac", strains, inverse)
    symmetric = 0.5 * (rates + rates.swapaxes(1, 2))
    return np.einsum("iaa->i", rates) / 3.0, to_voigt(symmetric.transpose(1, 2, 0))


def _named(name: str, linear: NDArray[np.float64], found: NDArray[np.float64], sd: float) -> Row:
    """Value, standard deviation of the data and Monte Carlo error of a sum of amounts."""
    return {
        name: float(linear @ found[0]),
        name.replace("_per_", "_sd_per_"): sd,
        name.replace("_per_", "_statistical_error_per_"): float(np.sqrt(linear**2 @ found[1] ** 2)),
    }


def _size(vector: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(vector))


def _volume(calculations: Calculations, found: NDArray[np.float64], factors: NDArray[np.float64]) -> Row:
    rest = calculations.rest
    linear, _ = _per_strain(rest.strains, rest.strain(found[0]))
    n_sites = calculations.torus.crystal.n_sites
    volume = rest.volume * float(np.linalg.det(np.eye(3) + rest.strain(found[0]))) / n_sites
    return {
        "volume_angstrom3_per_atom": volume,
        "volume_sd_angstrom3_per_atom": 3.0 * volume * _size(linear @ factors),
        "volume_statistical_error_angstrom3_per_atom": 3.0
        * volume
        * float(np.sqrt(linear**2 @ found[1] ** 2)),
    }


def free_energy_rows(calculations: Calculations) -> list[Row]:
    """Free energy, entropy and heat capacity at constant volume at each temperature."""
    kelvin = calculations.settings.temperatures_kelvin
    parts = {each: calculations.anharmonic(each) for each in kelvin}
    progress = calculations.progress
    progress.start(calculations.settings.n_samples, "modes of samples of the posterior")
    found = thermal_functions(calculations.phonons, calculations.mesh, parts, progress.update)
    rows = []
    for k, temperature in enumerate(kelvin):
        row: Row = {"temperature_k": temperature}
        for name, unit in (("free_energy", "ev"), ("entropy", "boltzmann"), ("heat_capacity", "boltzmann")):
            each = found[name]
            for suffix, values in (
                ("", each.value),
                ("_sd", each.sd),
                ("_statistical_error", each.statistical_error),
                ("_mesh_error", each.mesh_error),
                ("_anharmonic", each.anharmonic),
                ("_quantum_correction", each.quantum_correction),
            ):
                row[f"{name}{suffix}_{unit}_per_atom"] = float(values[k])
        part = parts[temperature]
        row["anharmonic_energy_ev_per_atom"] = part.energy.value
        row["anharmonic_energy_sd_ev_per_atom"] = data_sd(calculations.force_field, part.energy.gradient)
        row["anharmonic_energy_statistical_error_ev_per_atom"] = part.energy.statistical_error
        row["couplings"] = part.couplings.tolist()
        row["differences_ev_per_atom"] = part.differences.tolist()
        rows.append(row)
    return rows


def with_constant_pressure(
    rows: Sequence[Row], expansion: Sequence[Row], elastic: Sequence[Mapping[str, Any]]
) -> list[Row]:
    """Heat capacity at constant pressure, C_V + T V alpha C alpha, where all of it is known.

    Parameters
    ----------
    rows : sequence of dict
        Of the free energy, by temperature.
    expansion, elastic : sequence of mapping
        By temperature, or empty.
    """
    found = []
    for k, row in enumerate(rows):
        more = None
        if expansion and elastic:
            alpha = strain_components(from_voigt(np.array(expansion[k]["tensor_per_kelvin"])))
            constants = np.array(elastic[k]["constants_gigapascal"]) / EV_PER_ANGSTROM3_GPA
            work = float(alpha @ constants @ alpha) * expansion[k]["volume_angstrom3_per_atom"]
            more = row["heat_capacity_boltzmann_per_atom"] + row["temperature_k"] * work / BOLTZMANN_EV_PER_K
        found.append({**row, "heat_capacity_pressure_boltzmann_per_atom": more})
    return found
