"""Bayesian anharmonic force fields of crystals, trained dynamically from few ab initio calculations."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load_calculator"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import the ASE calculator only when somebody asks for it, so that the command line starts quickly."""
    if name == "load_calculator":
        from mlff_dyn.formats.ase_calculator import load_calculator

        return load_calculator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
