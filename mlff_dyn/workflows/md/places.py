"""Names of the results of dynamics in the run directory."""

from mlff_dyn.units import format_kelvin

TRAJECTORY_NAME = "trajectory.h5"


def place_of_trajectory(temperature_kelvin: float, seed: int) -> str:
    """Directory of a trajectory in the run directory; other temperatures have other ones."""
    return f"md/{format_kelvin(temperature_kelvin)}K-{seed}"
