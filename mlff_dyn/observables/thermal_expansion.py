"""Thermal expansion by molecular dynamics at constant pressure.

Mean amounts x of the strains that keep the symmetry, see `rest_energy`, at several temperatures, and at 0 K
from the crystal at rest, which classical statistics reach. A polynomial through that point gives x(T), its
slope the coefficients of expansion. Both are linear in the means, so errors of either kind carry over.

The slope g of the enthalpy by x has the mean zero, and <x_i g_j> = kT where i = j, else zero. So x and
x - kT <g g>^-1 g have the same mean; the latter is the strain at which a frame would bear the pressure, which
fluctuates less, and forgets faster. In the same way <g dE/dtheta> = kT <d^2 E / dx dtheta> in the gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import SimulationError
from mlff_dyn.kernels.strain.moves import strain_components
from mlff_dyn.md.barostat import Barostat, is_outside, run_npt_in_chunks, start_cell
from mlff_dyn.md.chunks import Span
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.observables.canonical_samples import told
from mlff_dyn.observables.rest_energy import STEPS
from mlff_dyn.observables.thermal_averages import thermal_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.md.chunks import Chunk
    from mlff_dyn.observables.canonical_samples import Sampling
    from mlff_dyn.observables.rest_energy import RestEnergy
    from mlff_dyn.observables.thermal_averages import ThermalAverage


@dataclass(frozen=True)
class ExpansionLimits:
    """Numbers that decide thermal expansion.

    Attributes
    ----------
    interval_steps : int      between moves of the cell
    strain_limit : float      beyond which a run stops
    most_powers : int
        Of the temperature in the polynomial. EMT copper up to 900 K: two leave 2 % of the slope, three 0.5 %.
    least_per_power : int     temperatures for each power after the first
    stride : int
        Of every so many frames the second derivative by strain and parameters, which fluctuates little.
    """

    interval_steps: int = 10
    strain_limit: float = 0.08
    most_powers: int = 3
    least_per_power: int = 2
    stride: int = 4


EXPANSION_LIMITS = ExpansionLimits()


def mean_strains(
    rest: RestEnergy, torus: Torus, sampling: Sampling, tell: Callable[[int], None] = lambda _: None
) -> list[ThermalAverage]:
    """Mean amounts of the symmetric strains at a temperature.

    Gradients are by the parameters, then by the six components of the stress at rest.

    Parameters
    ----------
    rest : RestEnergy
    torus : Torus
    sampling : Sampling
    tell : callable, optional
        Called with the number of steps that are made.

    Raises
    ------
    SimulationError
        If an atom leaves its site, or the cell its limit.
    """
    force_field = rest.force_field
    dynamics = sampling.dynamics(torus.masses)
    barostat = Barostat(
        pressure=rest.pressure,
        volume=torus.volume,
        thermal_energy=dynamics.thermal_energy,
        interval_steps=EXPANSION_LIMITS.interval_steps,
        shape=_shape(rest.strains),
        adapt_steps=sampling.n_equilibration,
        strain_limit=EXPANSION_LIMITS.strain_limit,
        seed=(*sampling.seed, 1),
    )
    kernel = force_field.on(torus).strained_kernel
    state = start_at_rest_positions(torus.masses, sampling.temperature_kelvin, sampling.seed)
    span = Span(0, sampling.n_steps, sampling.sample_every)
    pieces = run_npt_in_chunks(kernel, barostat, dynamics, state, span, cell=start_cell(barostat))
    chunks = [_inside(chunk, barostat, sampling) for chunk in told(pieces, sampling, tell)]
    frames = np.concatenate([chunk.run.displacements for chunk in chunks])[-sampling.n_samples :]
    strains = np.concatenate([chunk.strains for chunk in chunks if chunk.strains is not None])
    return _means(rest, torus, frames, strains[-sampling.n_samples :], dynamics.thermal_energy)


def _means(
    rest: RestEnergy,
    torus: Torus,
    frames: NDArray[np.float64],
    strains: NDArray[np.float64],
    thermal_energy: float,
) -> list[ThermalAverage]:
    """Means of x, through x - kT <g g>^-1 g with the slope g of the enthalpy, which has the mean zero."""
    kernel = rest.force_field.on(torus).strained_kernel
    slopes = np.array(
        [
            np.einsum("iab,ab->i", rest.strains, kernel.strained(e).virial(u)) + torus.n_cells * rest.work(e)
            for e, u in zip(strains, frames, strict=True)
        ]
    )
    compliance = thermal_energy * np.linalg.inv(slopes.T @ slopes / len(slopes))
    amounts = np.einsum("nab,iab->ni", strains, rest.strains) - slopes @ compliance
    rows = np.array([_rows(rest, torus, e, u) for e, u in zip(strains, frames, strict=True)])
    moved = STEPS.step * rest.strains
    changes = np.array(
        [
            [_rows(rest, torus, e + each, u) - _rows(rest, torus, e - each, u) for each in moved]
            for e, u in zip(
                strains[:: EXPANSION_LIMITS.stride], frames[:: EXPANSION_LIMITS.stride], strict=True
            )
        ]
    ) / (2.0 * STEPS.step)
    through_slopes = -np.einsum("ij,njp->nip", compliance, changes)
    return [
        thermal_mean(amounts[:, i], through_slopes[:, i], rows, thermal_energy)
        for i in range(len(rest.strains))
    ]


def _rows(
    rest: RestEnergy, torus: Torus, strain: NDArray[np.float64], u: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Derivative of the energy by the parameters, then by the stress at rest."""
    row = rest.force_field.expansion.on(torus, strain).rows(u)[1]
    return np.append(row, torus.volume * strain_components(strain))


def _inside(chunk: Chunk, barostat: Barostat, sampling: Sampling) -> Chunk:
    if chunk.cell is not None and is_outside(barostat, chunk.cell):
        raise SimulationError(
            f"at {sampling.temperature_kelvin:.0f} K, step {chunk.step}, the cell is strained by more than "
            f"{barostat.strain_limit:.0%}",
            fix="the crystal is not stable there: lower thermodynamics.temperatures_kelvin or the pressure, "
            "or train with strained cells",
        )
    return chunk


def _shape(strains: NDArray[np.float64]) -> str:
    """Shape of the barostat that symmetric strains need."""
    if len(strains) == 1:
        return "isotropic"
    is_diagonal = not np.any(strains * (1.0 - np.eye(3)))
    return "orthorhombic" if is_diagonal else "full"


@dataclass(frozen=True, eq=False)
class ExpansionCurve:
    """Strain and its slope by the temperature as linear functions of the mean strains at the temperatures.

    Attributes
    ----------
    temperatures_kelvin : ndarray, shape (n_temperatures,)
    values : ndarray, shape (n_temperatures, n_temperatures + 1)
        Weights of the strain at 0 K, then of the others.
    slopes : ndarray, same shape, 1/K
    """

    temperatures_kelvin: NDArray[np.float64]
    values: NDArray[np.float64]
    slopes: NDArray[np.float64]


def expansion_curve(
    temperatures_kelvin: Sequence[float], statistical_errors: NDArray[np.float64]
) -> ExpansionCurve:
    """Least squares of x(T) - x(0) by powers of the temperature.

    Parameters
    ----------
    temperatures_kelvin : sequence of float
        Above zero.
    statistical_errors : ndarray, shape (n_temperatures,)
        Of the means, which are weighted by them.
    """
    kelvin = np.array(temperatures_kelvin, dtype=np.float64)
    n_powers = min(EXPANSION_LIMITS.most_powers, 1 + (len(kelvin) - 1) // EXPANSION_LIMITS.least_per_power)
    powers, scale = np.arange(1, n_powers + 1), float(kelvin.max())
    reduced = (kelvin / scale)[:, None]
    design = reduced**powers
    weights = 1.0 / np.maximum(statistical_errors, 1e-12)
    solve = np.linalg.pinv(design * weights[:, None]) * weights
    slopes = powers * reduced ** (powers - 1) / scale @ solve
    values = design @ solve
    of_rest = [1.0 - values.sum(axis=1, keepdims=True), -slopes.sum(axis=1, keepdims=True)]
    return ExpansionCurve(kelvin, np.hstack([of_rest[0], values]), np.hstack([of_rest[1], slopes]))
