"""`conductivity`: lattice thermal conductivity of a force field by phono3py, with its error bar."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.config.conductivity_section import REST, ConductivityConfig
from mlff_dyn.config.phonons_section import PhononsConfig
from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.observables.conductivity.error_bars import conductivity_errors
from mlff_dyn.observables.conductivity.meshes import (
    coarse_mesh_of,
    expected_bytes,
    expected_minutes,
    extrapolated,
    meshes_to_try,
    n_irreducible,
    slope_mesh_of,
)
from mlff_dyn.observables.conductivity.parameter_slopes import reference_of
from mlff_dyn.observables.conductivity.shares import frames_for, shares_by_size, variance_after_frames
from mlff_dyn.observables.conductivity.solver import LBTE, Conductivity, ThreePhonons, Transport
from mlff_dyn.report.answer import DryRun, Report, write_values
from mlff_dyn.report.conductivity_plots import plot_conductivity, plot_cumulative
from mlff_dyn.report.numbers import format_mesh
from mlff_dyn.report.plots import SUFFIXES
from mlff_dyn.store.json_file import digest
from mlff_dyn.units import format_kelvin
from mlff_dyn.workflows.conductivity.conductivity_report import ConductivityReport
from mlff_dyn.workflows.conductivity.conductivity_rows import (
    cluster_rows,
    cumulative_values,
    curves_of_modes,
    far_warnings,
    mesh_rows,
    thermal_rows,
)
from mlff_dyn.workflows.conductivity.on_meshes import Phonons, mesh_for_slopes, on_mesh, slopes_on_mesh
from mlff_dyn.workflows.conductivity.order_2 import order_2_at
from mlff_dyn.workflows.results.cost import check_memory, in_megabytes, tell_cost
from mlff_dyn.workflows.results.found_model import find_model
from mlff_dyn.workflows.results.kept_parts import KeptParts
from mlff_dyn.workflows.results.result_folder import ResultFolder
from mlff_dyn.workflows.stability import stability_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.observables.conductivity.error_bars import ConductivityErrors
    from mlff_dyn.observables.conductivity.parameter_slopes import ConductivitySlopes
    from mlff_dyn.observables.conductivity.solver import Mesh
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.results.found_model import FoundModel

_PARTS = "parts"
_PLOTS = ("conductivity", "cumulative")


@dataclass(frozen=True, eq=False)
class _Task:
    """A model and what is asked of it."""

    model: FoundModel
    torus: Torus
    harmonic: Torus | None
    settings: ConductivityConfig
    phonons: PhononsConfig

    @property
    def force_field(self) -> ForceField:
        """That of the crystal at rest, or with an effective order 2 that of the moving one."""
        found = self.model.force_field
        return found.at_rest if self.settings.order_2 == REST else found

    @property
    def folder(self) -> ResultFolder[ConductivityReport]:
        return ResultFolder(self.model.path.parent, ConductivityReport)

    @property
    def transport(self) -> Transport:
        given = self.settings
        return Transport(
            given.temperatures_kelvin, given.method, given.wigner, given.isotopes, given.boundary_micrometer
        )

    @property
    def meshes(self) -> tuple[Mesh, ...]:
        """Those that are tried in turn."""
        given = self.settings.q_mesh
        if given == "auto":
            return meshes_to_try(self.torus)
        periodic = self.torus.crystal.periodic
        if any(n > 1 and not along for n, along in zip(given, periodic, strict=True)):
            raise UsageError(
                f"conductivity.q_mesh {format_mesh(given)} has several points along an axis without periods",
                fix="give 1 there",
            )
        if given == (1, 1, 1):
            raise UsageError(
                "conductivity.q_mesh 1 x 1 x 1 holds the zone center alone, where nothing moves heat",
                fix="give more wave vectors, or auto",
            )
        coarse = coarse_mesh_of(given)
        return (given,) if coarse == given else (coarse, given)

    @property
    def inputs(self) -> str:
        """Digest of all that the answer depends on."""
        settings = self.settings.deciding()
        cells = [each.matrix.tolist() for each in (self.torus, self.harmonic) if each is not None]
        effective = self.phonons.deciding() if self.settings.order_2 != REST else None
        return digest([self.model.digest, cells, settings, effective, self.model.seed, self.model.doubt])


def conductivity(
    source: Path | Config, *, dry_run: bool, force: bool, progress: Progress, order_2: str | None = None
) -> Report:
    """Lattice thermal conductivity of a trained force field.

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
    order_2 : str, optional
        Instead of that of the settings.

    Raises
    ------
    DataError
        If there is no model, it has no order 3 or imaginary modes, or a file cannot be written.
    UsageError
        If phono3py is missing, the mesh or the supercell are wrong, or the memory does not suffice.
    """
    task = _task(find_model(source), order_2)
    phonons = ThreePhonons(task.force_field, task.torus, task.harmonic)
    _check(task, phonons)
    if dry_run:
        return _dry_run(task)
    return task.folder.answered(task.inputs, lambda: _calculate(task, phonons, progress), force=force)


def _task(model: FoundModel, order_2: str | None) -> _Task:
    config = model.config
    settings = ConductivityConfig() if config is None else config.conductivity
    if order_2 is not None:
        settings = settings.model_copy(update={"order_2": order_2})
    harmonic = None if settings.supercell_2 is None else model.supercell(settings.supercell_2)
    phonons = PhononsConfig() if config is None else config.phonons
    return _Task(model, model.supercell(settings.supercell), harmonic, settings, phonons)


def _check(task: _Task, phonons: ThreePhonons) -> None:
    """Refuse what cannot be calculated, before anything is written."""
    unstable = stability_warnings(task.force_field, task.harmonic or task.torus)
    if unstable and task.settings.order_2 == REST:
        raise DataError(
            f"{task.model.path}: {unstable[0]}",
            fix="take order 2 at a temperature where it is stable: --effective self-consistent, or dynamics",
        )
    check_memory(
        f"{task.torus.n_atoms} atoms and a q-mesh of {format_mesh(task.meshes[-1])}",
        _bytes(task),
        fix="choose a smaller conductivity.supercell or conductivity.q_mesh, or method rta",
    )
    phonons.constants(3)


def _dry_run(task: _Task) -> DryRun:
    mesh, torus = task.meshes[-1], task.torus
    sizes: dict[str, object] = {
        "n_atoms": torus.n_atoms,
        "q_mesh": list(mesh),
        "n_wavevectors": int(np.prod(mesh)),
        "n_irreducible": n_irreducible(torus, mesh),
        "memory_megabytes": in_megabytes(_bytes(task)),
        "expected_minutes": float(f"{_minutes(task):.2g}"),
    }
    more = {"temperatures_k": list(task.settings.temperatures_kelvin), "warnings": task.model.warnings}
    return DryRun(ConductivityReport, sizes, more)


def _bytes(task: _Task) -> int:
    """Memory of the largest mesh."""
    settings, mesh = task.settings, task.meshes[-1]
    n_kelvin, is_lbte = len(settings.temperatures_kelvin), settings.method == LBTE
    return expected_bytes(task.torus, mesh, n_kelvin, is_lbte=is_lbte)


def _minutes(task: _Task) -> float:
    """Expected time of all meshes and of the error bar."""
    torus, slope_mesh = task.torus, slope_mesh_of(task.torus, task.meshes[-1])
    n_solutions = 2 * task.settings.n_samples + 2 * len(task.settings.temperatures_kelvin)
    meshes = sum(expected_minutes(torus, mesh) for mesh in task.meshes)
    n_times = 1 if task.settings.order_2 == REST else len(task.settings.temperatures_kelvin)
    return n_times * (meshes + n_solutions * expected_minutes(torus, slope_mesh))


def _calculate(task: _Task, phonons: ThreePhonons, progress: Progress) -> ConductivityReport:
    kept = KeptParts(task.folder.path / _PARTS, task.inputs)
    n_points = n_irreducible(task.torus, task.meshes[-1])
    what = f"conductivity, {n_points} wave vectors of a q-mesh of {format_mesh(task.meshes[-1])} at most"
    tell_cost(progress, what, _bytes(task), _minutes(task))
    every = _phonons(task, phonons, progress)
    reference, found = reference_of(task.transport), list[Conductivity]()
    for mesh in task.meshes:
        found.append(on_mesh(every, mesh, reference, kept, progress))
        endless = extrapolated(found)
        error = np.abs(endless[:, :3].mean(axis=1) - found[-1].mean)
        is_fine = (error < task.settings.mesh_error_limit_relative * found[-1].mean).all()
        if task.settings.q_mesh == "auto" and len(found) > 1 and is_fine:
            break
    finest = found[-1].mesh
    if not found[-1].mean.all():
        kept.remove()
        what = f"no mode decays on a q-mesh of {format_mesh(finest)}"
        raise DataError(what, fix="give a finer conductivity.q_mesh")
    slope_mesh = mesh_for_slopes(every, (slope_mesh_of(task.torus, finest), coarse_mesh_of(finest), finest))
    n_samples = task.settings.n_samples
    slopes = slopes_on_mesh(
        every, slope_mesh, reference, n_samples=n_samples, seed=task.model.seed, kept=kept, progress=progress
    )
    errors = conductivity_errors(phonons, slopes)
    report = _report(task, phonons, found, slopes, errors)
    progress.stop()
    _write(task, found[-1], report)
    kept.remove()
    return report


def _phonons(task: _Task, at_rest: ThreePhonons, progress: Progress) -> list[Phonons]:
    """Phonons at rest for all temperatures, or effective ones for each."""
    kind, transport = task.settings.order_2, task.transport
    if kind == REST:
        return [Phonons(at_rest, transport)]
    kelvin = transport.temperatures_kelvin
    constants = order_2_at(
        task.model,
        task.harmonic or task.torus,
        kind=kind,
        temperatures_kelvin=kelvin,
        phonons=task.phonons,
        progress=progress,
    )
    return [
        Phonons(
            ThreePhonons(task.force_field, task.torus, task.harmonic, each),
            replace(transport, temperatures_kelvin=(each.temperature_kelvin,)),
            f"{format_kelvin(each.temperature_kelvin)}K-",
        )
        for each in constants
    ]


def _report(
    task: _Task,
    phonons: ThreePhonons,
    found: list[Conductivity],
    slopes: ConductivitySlopes,
    errors: ConductivityErrors,
) -> ConductivityReport:
    settings, reference = task.settings, reference_of(task.transport)
    of_mean = (slopes.second + slopes.third)[reference, :3].mean(axis=0)
    kappa = float(slopes.kappa[reference, :3].mean())
    rows = thermal_rows(task.transport, found, slopes, errors)
    row = rows[reference]
    truncation = row["kappa_expansion_sd_watt_per_meter_kelvin"] / row["kappa_watt_per_meter_kelvin"]
    variances = variance_after_frames(phonons, of_mean) / kappa**2
    sampling = row["kappa_statistical_error_watt_per_meter_kelvin"] / row["kappa_watt_per_meter_kelvin"]
    others = truncation**2 + sampling**2
    error = float(np.sqrt(variances[0] + others))
    return ConductivityReport(
        status="done",
        n_atoms=task.torus.n_atoms,
        method=settings.method,
        order_2=settings.order_2,
        wigner=settings.wigner,
        isotopes=settings.isotopes,
        boundary_micrometer=settings.boundary_micrometer,
        q_mesh=found[-1].mesh,
        slope_q_mesh=slopes.mesh,
        q_meshes=mesh_rows(found, reference),
        has_dipoles=task.force_field.long_range is not None,
        thermal=rows,
        reference_temperature_k=settings.temperatures_kelvin[reference],
        error_relative=error,
        error_limit_relative=settings.error_limit_relative,
        further_calculations=frames_for(variances, settings.error_limit_relative**2 - others),
        limited_by=_limit(row),
        clusters=cluster_rows(shares_by_size(phonons, slopes, reference)),
        warnings=(
            *task.model.warnings,
            *_mesh_warnings(found[-1]),
            *far_warnings(found[-1], task.transport, reference),
        ),
        files=(*(f"{name}.{suffix}" for name in _PLOTS for suffix in SUFFIXES), "cumulative.json"),
        directory=str(task.folder.path),
    )


def _mesh_warnings(found: Conductivity) -> list[str]:
    if not found.n_without_decay:
        return []
    left_out = f"{found.n_without_decay} modes decay into nothing on a q-mesh of {format_mesh(found.mesh)}"
    return [f"{left_out} and are left out: take a finer conductivity.q_mesh"]


def _limit(row: Mapping[str, Any]) -> str:
    """Name the largest part of the error."""
    names = {"order 2": "order_2", "order 3": "order_3", "expansion": "expansion"}
    return max(names, key=lambda name: row[f"kappa_{names[name]}_sd_watt_per_meter_kelvin"])


def _write(task: _Task, found: Conductivity, report: ConductivityReport) -> None:
    """Files first, the answer last."""
    folder, reference = task.folder.path, reference_of(task.transport)
    values = cumulative_values(found, task.transport, reference)
    for suffix in SUFFIXES:
        plot_conductivity(folder / f"conductivity.{suffix}", *report.curve())
        plot_cumulative(
            folder / f"cumulative.{suffix}", *curves_of_modes(values), relative_sd=report.error_relative
        )
    write_values(folder / "cumulative.json", values)
    task.folder.write(report, task.inputs)
