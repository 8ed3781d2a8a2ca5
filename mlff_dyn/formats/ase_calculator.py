"""A trained force field as an ASE calculator, straight from its file."""

from __future__ import annotations

from pathlib import Path

from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.store.model_file import read_model


def load_calculator(path: str | Path) -> ForceFieldCalculator:
    """Read a model and return an ASE calculator for any displaced supercell of its crystal.

    Parameters
    ----------
    path : str or Path
        ``model.h5``, or a run directory that holds it.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another format.
    """
    path = Path(path)
    force_field, _ = read_model(path / "model.h5" if path.is_dir() else path)
    return ForceFieldCalculator(force_field)
