"""Constant pressure as the configuration asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.md.barostat import Barostat
from mlff_dyn.units import BOLTZMANN_EV_PER_K, EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from mlff_dyn.config.schema import MdConfig
    from mlff_dyn.lattice.torus import Torus


def barostat_of(
    md: MdConfig, torus: Torus, temperature_kelvin: float, *, adapt_steps: int, seed: tuple[int, ...]
) -> Barostat:
    """Return how the cell of dynamics moves.

    Parameters
    ----------
    md : MdConfig
    torus : Torus
    temperature_kelvin : float
    adapt_steps : int
        The size of the moves adapts up to this step.
    seed : tuple of int
    """
    return Barostat(
        pressure=md.pressure_gigapascal / EV_PER_ANGSTROM3_GPA,
        volume=torus.volume,
        thermal_energy=BOLTZMANN_EV_PER_K * temperature_kelvin,
        interval_steps=md.barostat_interval_steps,
        shape=md.barostat_shape,
        adapt_steps=adapt_steps,
        strain_limit=md.strain_limit,
        seed=seed,
        directions=tuple(torus.crystal.periodic_directions.tolist()),
    )
