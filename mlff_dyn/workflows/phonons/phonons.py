"""`phonons`: phonons of a force field and what follows from them, at rest and at temperature."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.config.phonons_section import PhononsConfig
from mlff_dyn.formats.phonopy_files import write_phonopy
from mlff_dyn.observables.dispersion import dispersion_of
from mlff_dyn.observables.gruneisen import gruneisen, has_gruneisen
from mlff_dyn.observables.harmonic_properties import LIMITS, coarse_mesh, harmonic_properties, mesh_of
from mlff_dyn.observables.sampled_phonons import SampledPhonons, sampled_phonons
from mlff_dyn.report.answer import DryRun, Report, write_values
from mlff_dyn.report.numbers import format_mesh
from mlff_dyn.report.phonon_plots import plot_dos
from mlff_dyn.report.plots import SUFFIXES
from mlff_dyn.report.training_plots import plot_dispersion
from mlff_dyn.store.atomic import sync_path
from mlff_dyn.store.json_file import digest
from mlff_dyn.workflows.phonons.at_temperature import AtTemperature, at_temperature
from mlff_dyn.workflows.phonons.effective import EffectiveTask, effective_settings, expected_cost
from mlff_dyn.workflows.phonons.phonons_report import PhononsReport, thermal_rows
from mlff_dyn.workflows.phonons.spectra import (
    SpectraFound,
    SpectraTask,
    spectra_at_temperatures,
    spectra_cost,
    tell_spectra_cost,
)
from mlff_dyn.workflows.results.cost import check_memory, in_megabytes, in_minutes, seconds_of, tell_cost
from mlff_dyn.workflows.results.found_model import find_model
from mlff_dyn.workflows.results.result_folder import ResultFolder
from mlff_dyn.workflows.stability import stability_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.observables.dispersion import Dispersion
    from mlff_dyn.observables.gruneisen import Gruneisen
    from mlff_dyn.observables.harmonic_properties import HarmonicProperties
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.results.found_model import FoundModel

_FEW = 4
_POINTS_OF_PATHS = 150
"""Wave vectors of the mesh in the time of the path, of velocities and of Grüneisen parameters."""
_CURVES = tuple(f"{name}.{suffix}" for name in ("band", "dos") for suffix in (*SUFFIXES, "json"))


@dataclass(frozen=True, eq=False)
class _Task:
    """A model and what is asked of it."""

    model: FoundModel
    torus: Torus
    settings: PhononsConfig

    @property
    def folder(self) -> ResultFolder[PhononsReport]:
        return ResultFolder(self.model.path.parent, PhononsReport)

    @property
    def mesh(self) -> tuple[int, int, int]:
        return self.settings.q_mesh or mesh_of(self.torus, self.settings.q_spacing_per_angstrom)

    @property
    def force_field(self) -> ForceField:
        """That of the crystal at rest."""
        return self.model.force_field.at_rest

    def prepared(self, force_field: ForceField, n_samples: int) -> SampledPhonons:
        """Phonons with samples of the posterior."""
        return sampled_phonons(force_field, self.torus, n_samples=n_samples, seed=self.model.seed)

    def moving(self, prepared: SampledPhonons) -> SampledPhonons:
        """Those of the force field whose dynamics are looked at."""
        force_field = self.model.force_field
        is_same = force_field.near_rest is None
        return prepared if is_same else self.prepared(force_field, prepared.n_samples)

    @property
    def inputs(self) -> str:
        """Digest of all that the answer depends on."""
        settings = self.settings.deciding()
        cell = self.torus.matrix.tolist()
        return digest([self.model.digest, cell, settings, self.mesh, self.model.seed, self.model.doubt])


def phonons(
    source: Path | Config,
    *,
    dry_run: bool,
    force: bool,
    progress: Progress,
    effective: Mapping[str, object] | None = None,
) -> Report:
    """Phonons, thermal properties and Grüneisen parameters of a trained force field.

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
    effective : mapping, optional
        Keys of `EffectiveConfig` that replace those of the configuration.

    Raises
    ------
    SimulationError
        If a trajectory of the model leaves the trusted region.
    DataError
        If there is no model, or a file cannot be written.
    UsageError
        If the supercell is not a repetition of the input cell.
    """
    model = find_model(source)
    settings = PhononsConfig() if model.config is None else model.config.phonons
    if effective:
        asked = effective_settings(settings.effective, effective)
        settings = settings.model_copy(update={"effective": asked})
    task = _Task(model, model.supercell(settings.supercell), settings)
    if dry_run:
        return _dry_run(task)
    return task.folder.answered(task.inputs, lambda: _calculate(task, progress), force=force)


def _dry_run(task: _Task) -> DryRun:
    n_modes, n_wavevectors = 3 * task.torus.crystal.n_sites, int(np.prod(task.mesh))
    prepared = task.prepared(task.force_field, 2)
    sizes: dict[str, object] = {
        "n_atoms": task.torus.n_atoms,
        "q_mesh": list(task.mesh),
        "n_wavevectors": n_wavevectors,
        "n_modes": n_modes,
        "n_samples": task.settings.n_samples,
        "memory_megabytes": in_megabytes(_bytes(task)),
        "expected_minutes": _minutes(task, prepared),
    }
    if task.settings.effective is not None:
        moving = task.moving(prepared)
        sizes |= expected_cost(EffectiveTask(task.settings.effective, moving, task.model, task.folder.path))
    if task.settings.spectra is not None:
        sizes |= spectra_cost(task.settings.spectra, task.moving(prepared), task.model)
    more = {"temperatures_k": list(task.settings.temperatures_kelvin), "warnings": task.model.warnings}
    return DryRun(PhononsReport, sizes, more)


def _bytes(task: _Task) -> int:
    """Memory of the modes of the mesh, of the density of states and of the rows of order 2."""
    n_modes, n_wavevectors = 3 * task.torus.crystal.n_sites, int(np.prod(task.mesh))
    n_parameters = len(task.force_field.posterior.mean)
    of_mode = 2 * n_modes + LIMITS.n_frequencies
    return 8 * (n_wavevectors * n_modes * of_mode + 9 * task.torus.n_atoms * n_parameters)


def _minutes(task: _Task, prepared: SampledPhonons) -> float:
    """Time of harmonic phonons, from that of the modes of a few wave vectors."""
    phonons = replace(prepared, parameters=prepared.parameters[:3])
    periodic = task.torus.crystal.periodic
    few = tuple(_FEW if along else 1 for along in periodic)

    def some() -> None:
        harmonic_properties(phonons, few, task.settings.temperatures_kelvin)

    n_each = int(np.prod(coarse_mesh(task.mesh))) + _POINTS_OF_PATHS
    n_points = int(np.prod(task.mesh)) + (1 + task.settings.n_samples) * n_each
    n_measured = int(np.prod(few)) + (1 + phonons.n_samples) * int(np.prod(coarse_mesh(few)))
    return in_minutes(seconds_of(some, n_calls=1) * n_points / n_measured)


def _calculate(task: _Task, progress: Progress) -> PhononsReport:
    settings, torus = task.settings, task.torus
    check_memory(
        f"a q-mesh of {format_mesh(task.mesh)} and {torus.n_atoms} atoms",
        _bytes(task),
        fix="choose a smaller phonons.supercell or phonons.q_mesh",
    )
    prepared = task.prepared(task.force_field, settings.n_samples)
    what = f"phonons, a q-mesh of {format_mesh(task.mesh)} and {settings.n_samples} samples"
    tell_cost(progress, what, _bytes(task), _minutes(task, prepared))

    def begin(what: str) -> Callable[[int], None]:
        progress.start(settings.n_samples, f"{what} of samples of the posterior")
        return progress.update

    bands = dispersion_of(prepared, tell=begin("dispersion"))
    sums = harmonic_properties(prepared, task.mesh, settings.temperatures_kelvin, begin("modes"))
    changes = None
    if has_gruneisen(task.force_field.expansion):
        kelvin = sums.temperatures_kelvin[1:]
        tell = begin("Grüneisen parameters")
        changes = gruneisen(prepared, bands.path.wavevectors, task.mesh, kelvin, tell)
    progress.stop()
    task.folder.path.mkdir(exist_ok=True)
    places, hot = (task.model, task.folder.path), AtTemperature()
    if settings.effective is not None:
        asked = EffectiveTask(settings.effective, task.moving(prepared), *places)
        hot = at_temperature(asked, bands, task.mesh, progress)
    lines = SpectraFound()
    if settings.spectra is not None:
        moving = task.moving(prepared)
        tell_spectra_cost(settings.spectra, moving, task.model, progress)
        wanted = SpectraTask(settings.spectra, moving, hot.constants, bands.path, *places)
        lines = spectra_at_temperatures(wanted, progress)
    return _write(task, prepared, _Found(bands, sums, changes, hot, lines))


@dataclass(frozen=True, eq=False)
class _Found:
    """All that was calculated."""

    bands: Dispersion
    sums: HarmonicProperties
    changes: Gruneisen | None
    hot: AtTemperature
    lines: SpectraFound


def _write(task: _Task, prepared: SampledPhonons, found: _Found) -> PhononsReport:
    """Files first, the answer last."""
    bands, sums, changes = found.bands, found.sums, found.changes
    folder, path, force_field = task.folder.path, bands.path, task.force_field
    for suffix in SUFFIXES:
        band, dos = folder / f"band.{suffix}", folder / f"dos.{suffix}"
        plot_dispersion(band, path.distances, bands.frequencies_thz, bands.sds_thz, path.ticks)
        plot_dos(dos, sums.frequencies_thz, sums.dos.value, sums.dos.sd, sums.species)
    write_values(folder / "band.json", _band_values(bands, changes))
    write_values(folder / "dos.json", _dos_values(sums))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        written = write_phonopy(force_field, task.torus, Path(scratch))
        for name in written:
            sync_path(Path(scratch) / name)
            (Path(scratch) / name).replace(folder / name)
    highest = np.unravel_index(np.argmax(bands.frequencies_thz), bands.frequencies_thz.shape)
    warnings = [*task.model.warnings, *stability_warnings(force_field, task.torus)]
    if sums.n_imaginary:
        text = f"{sums.n_imaginary} modes of the q-mesh are imaginary beyond three standard deviations"
        warnings.append(f"{text}: the harmonic crystal has no free energy, entropy or displacements")
    report = PhononsReport(
        status="done",
        n_atoms=task.torus.n_atoms,
        q_mesh=sums.mesh,
        n_samples=prepared.n_samples,
        frequency_max_thz=float(bands.frequencies_thz[highest]),
        frequency_max_sd_thz=float(bands.sds_thz[highest]),
        frequency_rms_sd_thz=float(np.sqrt(np.mean(bands.sds_thz**2))),
        n_imaginary=sums.n_imaginary,
        has_dipoles=force_field.long_range is not None,
        sites=tuple(prepared.phonon.primitive.symbols),
        thermal=thermal_rows(sums, changes),
        effective=found.hot.rows,
        spectra=found.lines.rows,
        warnings=(*warnings, *found.hot.warnings, *found.lines.warnings),
        files=(*_CURVES, *found.hot.files, *found.lines.files, *written),
        directory=str(folder),
    )
    task.folder.write(report, task.inputs)
    return report


def _band_values(bands: Dispersion, changes: Gruneisen | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "ticks": [{"distance_per_angstrom": place, "name": name} for place, name in bands.path.ticks],
        "distances_per_angstrom": bands.path.distances,
        "wavevectors_reduced": bands.path.wavevectors,
        "frequencies_thz": bands.frequencies_thz,
        "frequencies_sd_thz": bands.sds_thz,
        "group_velocities_meter_per_second": 100.0 * bands.speeds.value,
        "group_velocities_sd_meter_per_second": 100.0 * bands.speeds.sd,
    }
    if changes is not None:
        values |= {"gruneisen": changes.along_path.value, "gruneisen_sd": changes.along_path.sd}
    return values


def _dos_values(sums: HarmonicProperties) -> dict[str, Any]:
    values = {"frequencies_thz": sums.frequencies_thz, "total_per_thz": sums.dos.value.sum(axis=0)}
    for name, part in (("per_thz", sums.dos.value), ("sd_per_thz", sums.dos.sd)):
        values |= {f"{symbol}_{name}": each for symbol, each in zip(sums.species, part, strict=True)}
    return values
