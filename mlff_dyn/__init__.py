"""Bayesian anharmonic force fields of crystals, trained dynamically from few ab initio calculations."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "lammps_forces", "load_calculator"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what is for other programs only when somebody asks for it: the command line starts quickly."""
    if name == "load_calculator":
        from mlff_dyn.formats.ase_calculator import load_calculator

        return load_calculator
    if name == "lammps_forces":
        from mlff_dyn.formats.dynamics_codes.lammps_forces import lammps_forces

        return lammps_forces
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
