"""Order 2 at temperatures, for a conductivity: the files of `phonons --effective`, made where they miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.config.phonons_section import EffectiveConfig
from mlff_dyn.errors import DataError
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.store.source import file_digest
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.phonons.effective import EffectiveTask, effective_constants
from mlff_dyn.workflows.phonons.phonons import PLACE
from mlff_dyn.workflows.setup.workspace import digest

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.config.phonons_section import PhononsConfig
    from mlff_dyn.formats.effective_file import EffectiveForceConstants
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.report.progress import Progress


def order_2_at(
    model: Path,
    force_field: ForceField,
    torus: Torus,
    *,
    kind: str,
    temperatures_kelvin: tuple[float, ...],
    phonons: PhononsConfig,
    timestep_femtoseconds: float,
    seed: int,
    progress: Progress,
) -> list[EffectiveForceConstants]:
    """Effective force constants of all temperatures, as section `phonons.effective` says.

    Parameters
    ----------
    model : Path
    force_field : ForceField
    torus : Torus
        Supercell of order 2.
    kind : str
        ``self-consistent`` or ``dynamics``.
    temperatures_kelvin : tuple of float
    phonons : PhononsConfig
    timestep_femtoseconds : float
        The longest to be taken.
    seed : int
    progress : Progress

    Raises
    ------
    DataError
        If the crystal is not stable at a temperature.
    """
    given = {} if phonons.effective is None else phonons.effective.model_dump()
    if given.get("kind") != kind:
        given.pop("statistics", None)
    settings = EffectiveConfig(**{**given, "kind": kind, "temperatures_kelvin": temperatures_kelvin})
    prepared = sampled_phonons(force_field, torus, n_samples=phonons.n_samples, seed=seed)
    folder = model.parent / PLACE
    folder.mkdir(exist_ok=True)
    identity = digest([file_digest(model), torus.matrix.tolist()])
    task = EffectiveTask(settings, prepared, folder, timestep_femtoseconds, seed, identity)
    found = effective_constants(task, progress)
    progress.stop()
    for each in found:
        if not each.is_converged or not np.array_equal(each.supercell, torus.matrix):
            kelvin = format_kelvin(each.temperature_kelvin)
            raise DataError(
                f"{model}: no self-consistent crystal with real frequencies was found at {kelvin} K",
                fix="choose temperatures at which this phase is stable, or --effective dynamics",
            )
    return found
