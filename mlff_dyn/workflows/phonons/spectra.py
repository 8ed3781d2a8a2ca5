"""Spectra of the modes at temperatures, each one in a file of its own; those that are there are taken."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.observables.effective.gaussian_crystal import modes_of
from mlff_dyn.observables.effective.potential import Potential, torus_of_compact
from mlff_dyn.observables.effective.spectra import spectra
from mlff_dyn.observables.effective.trajectories import sampled_chunks
from mlff_dyn.report.answer import format_json
from mlff_dyn.report.phonon_plots import plot_spectra
from mlff_dyn.report.plots import SUFFIXES
from mlff_dyn.store.atomic import atomic_write_text
from mlff_dyn.training.trusted_region import Motion
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.phonons.model_dynamics import plan_dynamics
from mlff_dyn.workflows.setup.workspace import digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlff_dyn.config.phonons_section import SpectraConfig
    from mlff_dyn.formats.effective_file import EffectiveForceConstants
    from mlff_dyn.observables.sampled_phonons import SampledPhonons
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.phonons.model_dynamics import ModelDynamics
    from mlff_dyn.workflows.results.found_model import FoundModel

SPECTRA = "spectra"
"""Name of the picture."""
_SAMPLES_OF_PERIOD = 4.0
_VERSION = 1


@dataclass(frozen=True, eq=False)
class SpectraTask:
    """What is asked for.

    Attributes
    ----------
    settings : SpectraConfig
    phonons : SampledPhonons
    effective : tuple of EffectiveForceConstants
        Whose modes are taken at their temperatures, instead of those at rest.
    model : FoundModel
    folder : Path
    """

    settings: SpectraConfig
    phonons: SampledPhonons
    effective: Sequence[EffectiveForceConstants]
    model: FoundModel
    folder: Path


def spectra_at_temperatures(
    task: SpectraTask, progress: Progress
) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Calculate spectra of all temperatures; returns rows of JSON values, and names of files.

    Parameters
    ----------
    task : SpectraTask
    progress : Progress

    Raises
    ------
    SimulationError
        If a trajectory leaves the trusted region.
    DataError
        If a file cannot be written.
    """
    every, names = [], []
    inputs = digest([task.model.digest, task.phonons.torus.matrix.tolist()])
    for temperature in task.settings.temperatures_kelvin:
        name = f"{SPECTRA}-{format_kelvin(temperature)}K.json"
        path = task.folder / name
        chosen = [each for each in task.effective if each.temperature_kelvin == temperature]
        settings = task.settings.model_dump(mode="json", exclude={"temperatures_kelvin"})
        identity = digest(
            [_VERSION, inputs, settings, temperature, task.model.seed, *(each.inputs for each in chosen)]
        )
        content = _found(path, identity)
        if content is None:
            content = {"inputs": identity, **_calculated(task, temperature, chosen, progress)}
            atomic_write_text(path, format_json(content))
        every.append(content)
        names.append(name)
    progress.stop()
    curves = {f"{format_kelvin(each['temperature_k'])} K": each for each in every}
    for suffix in SUFFIXES:
        plot_spectra(task.folder / f"{SPECTRA}.{suffix}", curves)
    rows = tuple(_row(each) for each in every)
    return rows, (*(f"{SPECTRA}.{suffix}" for suffix in SUFFIXES), *names)


def _found(path: Path, identity: str) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("inputs") == identity else None


def _calculated(
    task: SpectraTask, temperature: float, chosen: list[EffectiveForceConstants], progress: Progress
) -> dict[str, Any]:
    phonons, torus = task.phonons, task.phonons.torus
    potential = Potential(phonons.force_field.expansion, phonons.parameters[0], torus)
    harmonic = potential.harmonic
    if chosen:
        positions = np.asarray(phonons.phonon.supercell.positions)
        harmonic = torus_of_compact(chosen[0].force_constants, torus, positions, chosen[0].p2s_map)
    modes = modes_of(harmonic, torus)
    fastest = float(np.abs(modes.frequencies_thz).max())
    dynamics = _dynamics(task, temperature, 1e3 / (_SAMPLES_OF_PERIOD * fastest))
    name = f"{format_kelvin(temperature)} K"
    watch = dynamics.watcher(progress, f"spectra at {name}")
    chunks = sampled_chunks(potential.kernel, torus, temperature, dynamics.plan, watch)

    def tell(done: int, total: int) -> None:
        if done == 1:
            progress.start(total, f"lines at {name}")
        progress.update(done)

    found = spectra(modes, chunks, dynamics.plan, tell)
    weights = np.array([line.n_modes for line in found.lines])
    return {
        "temperature_k": temperature,
        "resolution_thz": found.resolution_thz,
        "n_trajectories": dynamics.plan.n_replicas,
        "is_projected_on_effective": bool(chosen),
        "lines": [
            {name: value for name, value in vars(line).items() if name != "powers"} for line in found.lines
        ],
        "frequencies_thz": found.frequencies_thz,
        "power_per_mode": weights @ np.array([line.powers for line in found.lines]) / weights.sum(),
        "powers": [line.powers for line in found.lines],
    }


def _dynamics(task: SpectraTask, temperature: float, sample_every_femtoseconds: float) -> ModelDynamics:
    phonons = task.phonons
    return plan_dynamics(
        phonons.force_field,
        phonons.torus,
        Motion(temperature, task.model.timestep_femtoseconds, task.settings.n_steps),
        n_replicas=task.settings.n_replicas,
        sample_every_femtoseconds=sample_every_femtoseconds,
        seed=task.model.seed,
        keeps_energy=True,
    )


def _row(content: dict[str, Any]) -> dict[str, Any]:
    """What the answer says of a temperature."""
    lines = content["lines"]
    widths = np.array([line["linewidth_thz"] for line in lines])
    weights = np.array([line["n_modes"] for line in lines])
    sds = np.array([line["linewidth_sd_thz"] for line in lines])
    broadest = int(widths.argmax())
    return {
        "temperature_k": content["temperature_k"],
        "n_lines": len(lines),
        "resolution_thz": content["resolution_thz"],
        "linewidth_mean_thz": float(weights @ widths / weights.sum()),
        "linewidth_mean_sd_thz": float(np.linalg.norm(weights * sds) / weights.sum()),
        "linewidth_max_thz": float(widths[broadest]),
        "linewidth_max_sd_thz": float(sds[broadest]),
    }
