"""Spectra of the modes at temperatures, each one in a file of its own; those that are there are taken.

The dynamics of the posterior mean give lines and their statistical errors, those of a few samples the errors
of the data.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import SimulationError
from mlff_dyn.observables.effective.gaussian_crystal import modes_of
from mlff_dyn.observables.effective.line_errors import data_errors
from mlff_dyn.observables.effective.potential import Potential, torus_of_compact
from mlff_dyn.observables.effective.spectra import lines_of, spectra
from mlff_dyn.observables.effective.spectral_map import lines_between
from mlff_dyn.observables.effective.trajectories import sampled_chunks
from mlff_dyn.report.answer import read_values, write_values
from mlff_dyn.report.phonon_plots import plot_spectra
from mlff_dyn.report.plots import SUFFIXES
from mlff_dyn.report.spectral_plot import plot_spectral_function
from mlff_dyn.store.json_file import digest
from mlff_dyn.training.trusted_region import Motion
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.phonons.model_dynamics import plan_dynamics
from mlff_dyn.workflows.results.cost import in_minutes, seconds_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.config.phonons_section import SpectraConfig
    from mlff_dyn.formats.effective_file import EffectiveForceConstants
    from mlff_dyn.model.harmonic_modes import HarmonicModes
    from mlff_dyn.observables.dispersion import BandPath
    from mlff_dyn.observables.effective.line_errors import LineValues
    from mlff_dyn.observables.effective.spectra import Measured
    from mlff_dyn.observables.sampled_phonons import SampledPhonons
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.phonons.model_dynamics import ModelDynamics
    from mlff_dyn.workflows.results.found_model import FoundModel

SPECTRA = "spectra"
"""Name of the picture of lines, and of the files."""
MAP = "spectral_function"
"""Name of the picture along the path."""
_SAMPLES_OF_PERIOD = 4.0
_VERSION = 2


@dataclass(frozen=True, eq=False)
class SpectraTask:
    """What is asked for.

    Attributes
    ----------
    settings : SpectraConfig
    phonons : SampledPhonons
    effective : tuple of EffectiveForceConstants
        Whose modes are taken at their temperatures, instead of those at rest.
    path : BandPath
        Wave vectors of the spectral function.
    model : FoundModel
    folder : Path
    """

    settings: SpectraConfig
    phonons: SampledPhonons
    effective: Sequence[EffectiveForceConstants]
    path: BandPath
    model: FoundModel
    folder: Path

    @property
    def n_samples(self) -> int:
        """Samples of the posterior whose dynamics are run."""
        return min(self.settings.n_samples, self.phonons.n_samples)


@dataclass(frozen=True, eq=False)
class SpectraFound:
    """What was found.

    Attributes
    ----------
    rows : tuple of dict       JSON values, one for each temperature
    files : tuple of str
    warnings : tuple of str
    """

    rows: tuple[dict[str, Any], ...] = ()
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def spectra_at_temperatures(task: SpectraTask, progress: Progress) -> SpectraFound:
    """Calculate spectra of all temperatures, and write them.

    Parameters
    ----------
    task : SpectraTask
    progress : Progress

    Raises
    ------
    SimulationError
        If a trajectory of the posterior mean leaves the trusted region.
    DataError
        If a file cannot be written.
    """
    every, names = [], []
    inputs = digest([task.model.digest, task.phonons.torus.matrix.tolist()])
    for temperature in task.settings.temperatures_kelvin:
        name = f"{SPECTRA}-{format_kelvin(temperature)}K.json"
        path = task.folder / name
        chosen = [each for each in task.effective if each.temperature_kelvin == temperature]
        settings = task.settings.deciding({"temperatures_kelvin"})
        identity = digest(
            [_VERSION, inputs, settings, temperature, task.model.seed, *(each.inputs for each in chosen)]
        )
        content = read_values(path)
        if content.get("inputs") != identity:
            content = {"inputs": identity, **_calculated(task, temperature, chosen, progress)}
            write_values(path, content)
        every.append(content)
        names.append(name)
    progress.stop()
    curves = {f"{format_kelvin(each['temperature_k'])} K": each for each in every}
    for suffix in SUFFIXES:
        plot_spectra(task.folder / f"{SPECTRA}.{suffix}", curves)
        plot_spectral_function(task.folder / f"{MAP}.{suffix}", curves)
    pictures = (f"{name}.{suffix}" for name in (SPECTRA, MAP) for suffix in SUFFIXES)
    warnings = [line for each in every if (line := _warning(each)) is not None]
    return SpectraFound(tuple(_row(each) for each in every), (*pictures, *names), tuple(warnings))


def spectra_cost(settings: SpectraConfig, phonons: SampledPhonons, model: FoundModel) -> dict[str, object]:
    """Steps of all trajectories of a temperature and the time that they take, measured on a few forces."""
    kernel = phonons.force_field.on(phonons.torus).kernel
    u = 0.01 * np.random.default_rng(model.seed).standard_normal((phonons.torus.n_atoms, 3))
    dynamics = _dynamics(
        settings, phonons, model, settings.temperatures_kelvin[0], model.timestep_femtoseconds
    )
    steps = (1 + settings.n_samples) * dynamics.plan.n_replicas * dynamics.n_steps
    seconds = steps * seconds_of(lambda: kernel.energy_forces(u))
    return {
        "spectra_md_steps": steps,
        "spectra_expected_minutes_per_temperature": in_minutes(seconds),
    }


def tell_spectra_cost(
    settings: SpectraConfig, phonons: SampledPhonons, model: FoundModel, progress: Progress
) -> None:
    """Say what trajectories are about to begin, and how long they take."""
    cost = spectra_cost(settings, phonons, model)
    minutes = cost["spectra_expected_minutes_per_temperature"]
    progress.log(
        f"spectra, {cost['spectra_md_steps']} steps, {settings.n_samples} samples of the posterior: about "
        f"{minutes} minutes on one core for each temperature"
    )


def _calculated(
    task: SpectraTask, temperature: float, chosen: list[EffectiveForceConstants], progress: Progress
) -> dict[str, Any]:
    phonons, torus = task.phonons, task.phonons.torus
    harmonic = _potential(task, 0).harmonic
    if chosen:
        positions = np.asarray(phonons.phonon.supercell.positions)
        harmonic = torus_of_compact(chosen[0].force_constants, torus, positions, chosen[0].p2s_map)
    modes = modes_of(harmonic, torus)
    fastest = float(np.abs(modes.frequencies_thz).max())
    every = 1e3 / (_SAMPLES_OF_PERIOD * fastest)
    dynamics = _dynamics(task.settings, phonons, task.model, temperature, every)
    run = functools.partial(_measured, task, modes, dynamics, progress)
    mean = run(0)
    samples = []
    for number in range(1, task.n_samples + 1):
        with contextlib.suppress(SimulationError):
            samples.append(run(number).values)
    path = task.path
    along = lines_between(modes, mean.values.whole, phonons.phonon, path.wavevectors)
    weights = mean.values.weights
    return {
        "temperature_k": temperature,
        "resolution_thz": mean.resolution_thz,
        "n_trajectories": dynamics.plan.n_replicas,
        "n_samples": len(samples),
        "n_samples_lost": task.n_samples - len(samples),
        "is_projected_on_effective": bool(chosen),
        **_mean_width(mean.values, samples, phonons.force_field.calibration),
        "lines": _lines(
            modes, mean.values, data_errors(mean.values, samples, phonons.force_field.calibration)
        ),
        "frequencies_thz": mean.frequencies_thz,
        "power_per_mode": weights @ mean.powers / weights.sum(),
        "powers": mean.powers,
        "path": {
            "ticks": [{"distance_per_angstrom": place, "name": tick} for place, tick in path.ticks],
            "distances_per_angstrom": path.distances,
            "wavevectors_reduced": path.wavevectors,
            "frequencies_thz": along[0],
            "linewidths_thz": along[1],
        },
    }


def _potential(task: SpectraTask, number: int) -> Potential:
    """Energy of a sample of the posterior, from 1, or of its mean."""
    phonons = task.phonons
    return Potential(phonons.force_field.expansion, phonons.parameters[number], phonons.torus)


def _measured(
    task: SpectraTask,
    modes: HarmonicModes,
    dynamics: ModelDynamics,
    progress: Progress,
    number: int,
) -> Measured:
    """Lines of the dynamics of a sample, from 1, or of the mean."""
    kernel, torus = _potential(task, number).kernel, task.phonons.torus
    temperature = dynamics.region.temperature_kelvin
    name = f"spectra at {format_kelvin(temperature)} K"
    name += f", sample {number} of {task.n_samples}" if number else ""
    watch = dynamics.watcher(progress, name)
    chunks = sampled_chunks(kernel, torus, temperature, dynamics.plan, watch)

    def tell(done: int, total: int) -> None:
        if done == 1:
            progress.start(total, f"lines of {name}")
        progress.update(done)

    return spectra(modes, chunks, dynamics.plan, tell)


def _lines(modes: HarmonicModes, values: LineValues, sds: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Lines as JSON values."""
    rows, errors = [], values.statistical_errors
    for number, members in enumerate(lines_of(modes)):
        frequency, width = values.whole[number].tolist()
        row = {
            "wavevector": modes.torus.wavevectors[members[0, 0]],
            "n_modes": len(members),
            "expected_thz": float(modes.frequencies_thz[tuple(members[0])]),
            "is_overdamped": width > frequency,
        }
        for k, name in enumerate(("frequency", "linewidth")):
            row |= _with_errors(name, values.whole[number, k], sds[number, k], errors[number, k])
        rows.append(row)
    return rows


def _with_errors(name: str, value: float, sd: float, error: float) -> dict[str, Any]:
    return {
        f"{name}_thz": float(value),
        f"{name}_sd_thz": None if np.isnan(sd) else float(sd),
        f"{name}_statistical_error_thz": float(error),
    }


def _mean_width(values: LineValues, samples: list[LineValues], calibration: float) -> dict[str, Any]:
    mean = values.mean_width
    sd = data_errors(mean, [each.mean_width for each in samples], calibration)[0, 1]
    return _with_errors("linewidth_mean", mean.whole[0, 1], sd, mean.statistical_errors[0, 1])


def _dynamics(
    settings: SpectraConfig,
    phonons: SampledPhonons,
    model: FoundModel,
    temperature: float,
    sample_every_femtoseconds: float,
) -> ModelDynamics:
    return plan_dynamics(
        phonons.force_field,
        phonons.torus,
        Motion(temperature, model.timestep_femtoseconds, settings.n_steps),
        n_replicas=settings.n_replicas,
        sample_every_femtoseconds=sample_every_femtoseconds,
        seed=model.seed,
        keeps_energy=True,
    )


def _row(content: dict[str, Any]) -> dict[str, Any]:
    """What the answer says of a temperature."""
    lines = content["lines"]
    broadest = max(lines, key=lambda line: float(line["linewidth_thz"]))
    kinds = ("", "_sd", "_statistical_error")
    return {
        "temperature_k": content["temperature_k"],
        "n_lines": len(lines),
        "n_overdamped": sum(line["n_modes"] for line in lines if line["is_overdamped"]),
        "n_samples": content["n_samples"],
        "resolution_thz": content["resolution_thz"],
        **{f"linewidth_mean{kind}_thz": content[f"linewidth_mean{kind}_thz"] for kind in kinds},
        **{f"linewidth_max{kind}_thz": broadest[f"linewidth{kind}_thz"] for kind in kinds},
    }


def _warning(content: dict[str, Any]) -> str | None:
    """Say of how many samples there are no dynamics."""
    lost, left = content["n_samples_lost"], content["n_samples"]
    if not lost:
        return None
    where = f"spectra at {format_kelvin(content['temperature_k'])} K"
    text = f"{where}: {lost} of {lost + left} samples of the posterior left the trusted region"
    return f"{text}; errors of the data are those of the rest" if left else f"{text}: no errors of the data"
