"""Effective force constants of all temperatures that are asked for, each one in a file of its own.

A file whose inputs have not changed is taken as it is, so a command that was stopped goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.config.phonons_section import EffectiveConfig
from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.formats.effective_file import effective_name, read_effective, write_effective
from mlff_dyn.observables.effective.averaged import EffectiveSettings
from mlff_dyn.observables.effective.correction import Correction
from mlff_dyn.observables.effective.from_dynamics import effective_from_dynamics
from mlff_dyn.observables.effective.self_consistent import self_consistent
from mlff_dyn.store.json_file import digest
from mlff_dyn.training.trusted_region import Motion
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.phonons.model_dynamics import plan_dynamics
from mlff_dyn.workflows.results.cost import in_minutes, seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlff_dyn.formats.effective_file import EffectiveForceConstants
    from mlff_dyn.observables.effective.averaged import Averaged
    from mlff_dyn.observables.sampled_phonons import SampledPhonons
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.phonons.model_dynamics import ModelDynamics
    from mlff_dyn.workflows.results.found_model import FoundModel

_SAMPLE_EVERY_FEMTOSECONDS = 25.0
_MOST_AVERAGES = 8
"""Averages that the last and largest set of displacements usually takes, errors included."""
_VERSION = 1


@dataclass(frozen=True, eq=False)
class EffectiveTask:
    """What is asked for.

    Attributes
    ----------
    settings : EffectiveConfig
    phonons : SampledPhonons
    model : FoundModel
    folder : Path
    """

    settings: EffectiveConfig
    phonons: SampledPhonons
    model: FoundModel
    folder: Path

    def inputs_at(self, temperature_kelvin: float) -> str:
        """Digest of all that one temperature depends on."""
        settings = self.settings.deciding({"temperatures_kelvin"})
        cell = self.phonons.torus.matrix.tolist()
        own = [_VERSION, self.model.digest, cell, settings, temperature_kelvin, self.model.seed]
        return digest([*own, self.phonons.n_samples, self.model.timestep_femtoseconds])


def effective_settings(given: EffectiveConfig | None, changed: Mapping[str, object]) -> EffectiveConfig:
    """Section of the configuration with other values on top; of another kind, statistics are its default.

    Parameters
    ----------
    given : EffectiveConfig or None
    changed : mapping
        Values by key.

    Raises
    ------
    UsageError
        If nothing says of which kind, or temperatures are none.
    """
    values = {} if given is None else given.model_dump()
    kind = changed.get("kind", values.get("kind"))
    if kind is None:
        raise UsageError(
            "--temperature is of effective force constants, which are not asked for",
            fix="add --effective self-consistent, or dynamics",
        )
    if kind != values.get("kind"):
        values.pop("statistics", None)
    try:
        return EffectiveConfig(**{**values, **changed})
    except ValueError:
        raise UsageError(
            "the temperatures of effective force constants are no temperatures",
            fix="give --temperature finite numbers above zero",
        ) from None


def effective_constants(task: EffectiveTask, progress: Progress) -> list[EffectiveForceConstants]:
    """Find or calculate the force constants of all temperatures, and write them.

    Parameters
    ----------
    task : EffectiveTask
    progress : Progress

    Raises
    ------
    SimulationError
        If a trajectory leaves the trusted region.
    DataError
        If a file cannot be written.
    """
    correction, every = None, []
    for temperature in task.settings.temperatures_kelvin:
        path = task.folder / effective_name(temperature)
        found = _found(path, task.inputs_at(temperature))
        if found is None:
            correction = correction or Correction(task.phonons.force_field.expansion, task.phonons.torus)
            settings = EffectiveSettings(
                temperature_kelvin=temperature,
                kind=task.settings.kind,
                is_quantum=task.settings.is_quantum,
                error_limit_relative=task.settings.error_limit_relative,
                most_configurations=task.settings.max_configurations,
                seed=task.model.seed,
            )
            averaged = _average(task, correction, settings, progress)
            found = averaged.in_phonopy_form(task.phonons, settings, task.inputs_at(temperature))
            found = replace(found, model=task.model.digest)
            write_effective(path, found)
        every.append(found)
    return every


def _found(path: Path, inputs: str) -> EffectiveForceConstants | None:
    if not path.exists():
        return None
    try:
        found = read_effective(path)
    except DataError:
        return None
    return found if found.inputs == inputs else None


def _average(
    task: EffectiveTask, correction: Correction, settings: EffectiveSettings, progress: Progress
) -> Averaged:
    name = f"{settings.kind} phonons at {format_kelvin(settings.temperature_kelvin)} K"
    if settings.kind == "self-consistent":
        progress.start(settings.most_configurations, f"{name}, configurations at most")

        def tell(count: int, error: float) -> None:
            progress.update(count, error=f"{100.0 * error:.2g} %")

        return self_consistent(task.phonons, correction, settings, tell=tell)
    dynamics = _dynamics(task, settings.temperature_kelvin)
    watch = dynamics.watcher(progress, name)
    return effective_from_dynamics(task.phonons, correction, settings, dynamics.plan, watch=watch)


def _dynamics(task: EffectiveTask, temperature_kelvin: float) -> ModelDynamics:
    settings, phonons = task.settings, task.phonons
    motion = Motion(temperature_kelvin, task.model.timestep_femtoseconds, settings.n_steps)
    return plan_dynamics(
        phonons.force_field,
        phonons.torus,
        motion,
        n_replicas=settings.n_replicas,
        sample_every_femtoseconds=_SAMPLE_EVERY_FEMTOSECONDS,
        seed=task.model.seed,
    )


def expected_cost(task: EffectiveTask) -> dict[str, object]:
    """Sizes and the time that a temperature takes at most, measured on a few configurations.

    Parameters
    ----------
    task : EffectiveTask
    """
    phonons, torus = task.phonons, task.phonons.torus
    correction = Correction(phonons.force_field.expansion, torus)
    kernel = phonons.force_field.on(torus).kernel
    u = 0.01 * np.random.default_rng(task.model.seed).standard_normal((torus.n_atoms, 3))
    rows = correction.rows(u)
    of_forces = seconds_of(lambda: kernel.energy_forces(u))
    of_rows = seconds_of(lambda: correction.rows(u)) + seconds_of(lambda: rows.T @ rows)
    steps = 0
    count = task.settings.max_configurations
    seconds = _MOST_AVERAGES * count * (of_forces + 0.5 * of_rows)
    if task.settings.kind == "dynamics":
        plan = _dynamics(task, task.settings.temperatures_kelvin[0]).plan
        steps = plan.n_replicas * (plan.equilibration_steps + plan.n_steps)
        count = plan.n_replicas * plan.n_steps // plan.sample_every
        seconds = steps * of_forces + count * (of_rows + of_forces * phonons.n_samples)
    return {
        "effective_n_parameters": correction.n_parameters,
        "effective_n_configurations": count,
        "effective_md_steps": steps,
        "effective_expected_minutes_per_temperature": in_minutes(seconds),
    }
