"""Order 2 at temperatures, for a conductivity: the files of `phonons --effective`, made where they miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.phonons.effective import EffectiveTask, effective_constants, effective_settings
from mlff_dyn.workflows.phonons.phonons_report import PhononsReport
from mlff_dyn.workflows.results.result_folder import ResultFolder

if TYPE_CHECKING:
    from mlff_dyn.config.phonons_section import PhononsConfig
    from mlff_dyn.formats.effective_file import EffectiveForceConstants
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.results.found_model import FoundModel


def order_2_at(
    model: FoundModel,
    torus: Torus,
    *,
    kind: str,
    temperatures_kelvin: tuple[float, ...],
    phonons: PhononsConfig,
    progress: Progress,
) -> list[EffectiveForceConstants]:
    """Effective force constants of all temperatures, as section `phonons.effective` says.

    Parameters
    ----------
    model : FoundModel
    torus : Torus
        Supercell of order 2.
    kind : str
        ``self-consistent`` or ``dynamics``.
    temperatures_kelvin : tuple of float
    phonons : PhononsConfig
    progress : Progress

    Raises
    ------
    DataError
        If the crystal is not stable at a temperature.
    """
    changed = {"kind": kind, "temperatures_kelvin": temperatures_kelvin}
    settings = effective_settings(phonons.effective, changed)
    prepared = sampled_phonons(model.force_field, torus, n_samples=phonons.n_samples, seed=model.seed)
    folder = ResultFolder(model.path.parent, PhononsReport).path
    folder.mkdir(exist_ok=True)
    found = effective_constants(EffectiveTask(settings, prepared, model, folder), progress)
    progress.stop()
    for each in found:
        if not each.is_converged or not np.array_equal(each.supercell, torus.matrix):
            kelvin = format_kelvin(each.temperature_kelvin)
            raise DataError(
                f"{model.path}: no self-consistent crystal with real frequencies was found at {kelvin} K",
                fix="choose temperatures at which this phase is stable, or --effective dynamics",
            )
    return found
