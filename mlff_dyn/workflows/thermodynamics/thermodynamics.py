"""`thermodynamics`: elastic constants, thermal expansion and free energy of a model, with error bars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.config.thermodynamics_section import ThermodynamicsConfig
from mlff_dyn.errors import DataError
from mlff_dyn.lattice.deformation import from_voigt
from mlff_dyn.model.harmonic_modes import imaginary_mode, modes_of_order_2
from mlff_dyn.observables.boundary_share import BOUNDARY_LIMITS, boundary_share
from mlff_dyn.observables.elastic import elastic_constants
from mlff_dyn.observables.gruneisen import has_gruneisen
from mlff_dyn.observables.quasi_harmonic import STATISTICS
from mlff_dyn.observables.rest_energy import STEPS
from mlff_dyn.observables.strained_phonons import StrainedPhonons
from mlff_dyn.observables.thermal_expansion import EXPANSION_LIMITS
from mlff_dyn.observables.thermal_sums import thermal_sums
from mlff_dyn.report.answer import DryRun, Report
from mlff_dyn.report.plots import SUFFIXES
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.report.thermodynamics_plots import plot_curves
from mlff_dyn.store.json_file import digest
from mlff_dyn.training.trusted_region import Motion
from mlff_dyn.workflows.results.cost import check_memory, in_megabytes, in_minutes, seconds_of, tell_cost
from mlff_dyn.workflows.results.found_model import find_model
from mlff_dyn.workflows.results.kept_parts import KeptParts
from mlff_dyn.workflows.results.result_folder import ResultFolder
from mlff_dyn.workflows.stability import coverage_warnings, describe_imaginary
from mlff_dyn.workflows.thermodynamics.calculations import Calculations
from mlff_dyn.workflows.thermodynamics.thermodynamics_report import PLOTS, ThermodynamicsReport
from mlff_dyn.workflows.thermodynamics.thermodynamics_rows import (
    elastic_row,
    expansion_rows,
    free_energy_rows,
    isothermal_constants,
    with_constant_pressure,
)

if TYPE_CHECKING:
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.observables.elastic import ElasticConstants
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.results.found_model import FoundModel

_PARTS = "parts"
_ROWS_OF_FRAME = {"elastic": 4, "expansion": 2, "free_energy": 1}
"""Calls of the rows of a frame, about, that what is done to it takes as much time as."""

_WITHOUT_STRESS = {
    "elastic": "no stress was fitted: elastic constants rest on force constants alone; training.fit.stress: "
    "true fits that of frames, best of strained ones (training.exploration.ensemble: npt)",
    "expansion": "no stress was fitted: the crystal at rest counts as free of stress, and pressures are "
    "measured from it",
}


@dataclass(frozen=True, eq=False)
class _Task:
    """A model and what is asked of it."""

    model: FoundModel
    torus: Torus
    settings: ThermodynamicsConfig

    @property
    def folder(self) -> ResultFolder[ThermodynamicsReport]:
        return ResultFolder(self.model.path.parent, ThermodynamicsReport)

    @property
    def parts(self) -> KeptParts:
        return KeptParts(self.folder.path / _PARTS, self.model_inputs)

    @property
    def model_inputs(self) -> str:
        return digest([self.model.digest, self.torus.matrix.tolist(), self.model.seed])

    @property
    def inputs(self) -> str:
        """Digest of all that the answer depends on."""
        return digest([self.model_inputs, self.settings.deciding(), self.model.doubt])

    def calculations(self, progress: Progress) -> Calculations:
        model = self.model
        return Calculations(model.force_field, self.torus, self.settings, model.seed, self.parts, progress)

    @property
    def runs_per_temperature(self) -> int:
        """Trajectories of a whole length at each temperature."""
        counts = {"elastic": 1, "expansion": 1, "free_energy": 1 + self.settings.n_couplings}
        return sum(counts[each] for each in self.settings.quantities)

    @property
    def n_steps(self) -> int:
        """Steps of all trajectories."""
        settings = self.settings
        own = settings.n_equilibration_steps + settings.n_frames * settings.sample_every
        return own * self.runs_per_temperature * len(settings.temperatures_kelvin)


def thermodynamics(source: Path | Config, *, dry_run: bool, force: bool, progress: Progress) -> Report:
    """Elastic constants, thermal expansion and free energy; what is finished is kept when it is killed.

    A model whose training did not reach its limit is taken too, and the answer says so.

    Parameters
    ----------
    source : Path or Config
        Model file, its run directory, or the configuration that it must be of.
    dry_run : bool
        Say what would be done, write nothing.
    force : bool
        Do it again although nothing has changed.
    progress : Progress

    Raises
    ------
    DataError
        If there is no model, the crystal is not stable, the model lacks an order that a quantity needs, or a
        file cannot be written.
    SimulationError
        If dynamics leave the trusted region.
    UsageError
        If the supercell is not a repetition of the input cell.
    """
    model = find_model(source)
    settings = ThermodynamicsConfig() if model.config is None else model.config.thermodynamics
    task = _Task(model, model.supercell(settings.supercell), settings)
    if dry_run:
        return _dry_run(task)

    def calculate() -> ThermodynamicsReport:
        if force:
            task.parts.remove()
        return _calculate(task, progress)

    return task.folder.answered(task.inputs, calculate, force=force)


def _dry_run(task: _Task) -> DryRun:
    settings = task.settings
    sizes: dict[str, object] = {
        "n_atoms": task.torus.n_atoms,
        "quantities": list(settings.quantities),
        "temperatures_k": list(settings.temperatures_kelvin),
        "n_runs": task.runs_per_temperature * len(settings.temperatures_kelvin),
        "n_steps": task.n_steps,
        "q_mesh": list(task.calculations(NullProgress()).mesh),
        "expected_minutes": _minutes(task),
        "memory_megabytes": in_megabytes(_bytes(task)),
    }
    return DryRun(ThermodynamicsReport, sizes, {"warnings": _warnings(task)})


def _bytes(task: _Task) -> int:
    """Memory of the frames of a run and of their rows."""
    n_frames, n_parameters = task.settings.n_frames, len(task.model.force_field.posterior.mean)
    return 8 * n_frames * (3 * task.torus.n_atoms + 8 * n_parameters)


def _minutes(task: _Task) -> float:
    """Time of all steps and frames, from that of a few calls."""
    settings, n_temperatures = task.settings, len(task.settings.temperatures_kelvin)
    here, rest = task.model.force_field.on(task.torus), np.zeros((task.torus.n_atoms, 3))
    supercell = task.model.force_field.expansion.on(task.torus)
    rows_of_frame = sum(_ROWS_OF_FRAME[each] for each in settings.quantities)
    seconds = task.n_steps * seconds_of(lambda: here.kernel.energy_forces(rest))
    seconds += n_temperatures * settings.n_frames * rows_of_frame * seconds_of(lambda: supercell.rows(rest))
    if "expansion" in settings.quantities:
        n_moves = task.n_steps // task.runs_per_temperature // EXPANSION_LIMITS.interval_steps
        moved = STEPS.step * np.eye(3)
        move = seconds_of(lambda: here.strained_kernel.strained(moved).energy_forces(rest))
        seconds += n_moves * move + _seconds_of_quasi_harmonic(task)
    return in_minutes(seconds)


def _needs_elastic(settings: ThermodynamicsConfig) -> bool:
    return not {"elastic", "expansion"}.isdisjoint(settings.quantities)


def _boundary_warnings(model: FoundModel) -> list[str]:
    share = boundary_share(model.force_field.at_rest, model.training_torus)
    if share <= BOUNDARY_LIMITS.large_share:
        return []
    warning = (
        f"{100.0 * share:.2g} % of the elastic stiffness is that of force constants at the boundary of the "
        "training supercell: those that reach farther are folded into it, and what this changes in elastic "
        "constants is in no error bar; a larger training supercell shows it"
    )
    return [warning]


def _seconds_of_quasi_harmonic(task: _Task) -> float:
    """Time of about as many strained crystals as there are temperatures and ends of steps."""
    calculations = task.calculations(NullProgress()).at_rest
    phonons, strain = calculations.phonons, STEPS.step * np.eye(3)
    strained = StrainedPhonons(phonons, strain)
    of_crystal = seconds_of(lambda: StrainedPhonons(phonons, strain), n_calls=1)
    kelvin, mesh = np.array([1.0]), calculations.mesh
    of_sum = seconds_of(lambda: thermal_sums(strained.choose(1), mesh, kelvin, is_classical=True), n_calls=1)
    n_crystals = 1 + len(task.settings.temperatures_kelvin) + 2 * len(calculations.rest.strains)
    return n_crystals * (of_crystal + len(STATISTICS) * (1 + task.settings.n_samples) * of_sum)


def _warnings(task: _Task) -> list[str]:
    settings = task.settings
    found, force_field = task.model.warnings, task.model.force_field
    if force_field.stress is None:
        found += [text for quantity, text in _WITHOUT_STRESS.items() if quantity in settings.quantities]
    if _needs_elastic(settings):
        found += _boundary_warnings(task.model)
    n_steps = settings.n_equilibration_steps + settings.n_frames * settings.sample_every
    motions = [Motion(kelvin, 1.0, n_steps) for kelvin in settings.temperatures_kelvin]
    return [*found, *coverage_warnings(force_field.on(task.torus), motions)]


def _check(task: _Task, rest: ElasticConstants | None) -> None:
    """Refuse what has no dynamics to average over.

    Raises
    ------
    DataError
        If order 2 has imaginary modes, the cell is not stable, or orders are missing.
    """
    check_memory(
        f"{task.settings.n_frames} frames of {task.torus.n_atoms} atoms",
        _bytes(task),
        fix="choose a smaller thermodynamics.supercell or fewer thermodynamics.n_frames",
    )
    wanted = [each for each in task.settings.quantities if each != "elastic"]
    path, force_field = task.model.path, task.model.force_field
    modes = modes_of_order_2(force_field.expansion, force_field.posterior.mean, task.torus)
    mode = None if modes is None else imaginary_mode(modes, force_field)
    if mode is not None:
        raise DataError(
            f"{path}: {describe_imaginary(mode)}",
            fix="thermodynamics needs a crystal that is a minimum of the energy",
        )
    if rest is not None and rest.softest.value <= 0.0:
        raise DataError(
            f"the cell of {path} is not stable: the smallest eigenvalue of the elastic constants is "
            f"{rest.softest.value:.3g} GPa",
            fix="relax the cell along that strain, or train where this phase is stable",
        )
    if "expansion" in wanted and not has_gruneisen(force_field.expansion):
        raise DataError(
            f"{path} has neither order 3 nor a local part, and does not expand",
            fix="add order 3 to expansion.cutoffs_angstrom, or leave expansion out of "
            "thermodynamics.quantities",
        )
    if "expansion" in wanted:
        for each in (task.calculations(NullProgress()), task.calculations(NullProgress()).at_rest):
            each.rest.check()


def _calculate(task: _Task, progress: Progress) -> ThermodynamicsReport:
    settings = task.settings
    at_rest = elastic_constants(task.model.force_field.at_rest) if _needs_elastic(settings) else None
    _check(task, at_rest)
    warnings = tuple(_warnings(task))
    what = f"thermodynamics, {task.n_steps} steps of {task.torus.n_atoms} atoms"
    tell_cost(progress, what, _bytes(task), _minutes(task))
    rows = _rows(task.calculations(progress), at_rest)
    progress.stop()
    report = ThermodynamicsReport(
        status="done",
        n_atoms=task.torus.n_atoms,
        q_mesh=task.calculations(progress).mesh,
        pressure_gigapascal=settings.pressure_gigapascal,
        elastic=tuple(rows["elastic"]),
        expansion=tuple(rows["expansion"]),
        free_energy=tuple(rows["free_energy"]),
        warnings=warnings,
        directory=str(task.folder.path),
    )
    task.folder.path.mkdir(exist_ok=True)
    report = replace(report, files=_draw(task.folder.path, report))
    task.folder.write(report, task.inputs)
    return report


def _draw(folder: Path, report: ThermodynamicsReport) -> tuple[str, ...]:
    """Draw the plots of an answer, remove those of another one, and return their names."""
    names = []
    for name, (label, kelvin, curves) in report.curves().items():
        for suffix in SUFFIXES:
            names.append(f"{name}.{suffix}")
            plot_curves(folder / names[-1], kelvin, curves, label)
    for name in set(PLOTS).difference(report.curves()):
        for suffix in SUFFIXES:
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    return tuple(names)


def _rows(calculations: Calculations, at_rest: ElasticConstants | None) -> dict[str, list[dict[str, Any]]]:
    """Rows of the report by quantity, in the order in which one needs the other."""
    settings, force_field = calculations.settings, calculations.force_field
    wanted, kelvin = settings.quantities, settings.temperatures_kelvin
    expansion = expansion_rows(calculations) if "expansion" in wanted else []
    elastic = []
    if "elastic" in wanted and at_rest is not None:
        elastic.append(elastic_row(0.0, at_rest, None))
        for k, temperature in enumerate(kelvin):
            strain = from_voigt(np.array(expansion[k]["strain"])) if expansion else np.zeros((3, 3))
            values, errors, gradient = calculations.elastic(temperature, strain)
            found = isothermal_constants(force_field, values, gradient)
            elastic.append(elastic_row(temperature, found, errors))
    free_energy = free_energy_rows(calculations) if "free_energy" in wanted else []
    return {
        "elastic": elastic,
        "expansion": expansion,
        "free_energy": with_constant_pressure(free_energy, expansion, elastic[1:]),
    }
