"""`export`: the trained force field as files of another program."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.config.supercells import parse_supercells
from mlff_dyn.config.yaml_source import parse_yaml
from mlff_dyn.errors import ConfigError, DataError, UsageError
from mlff_dyn.formats.dynamics_codes.start import MODEL_FILE, DynamicsSettings
from mlff_dyn.formats.registry import AT_REST_FORMATS, DYNAMICS_FORMATS, find_format
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.report.answer import Report
from mlff_dyn.store.atomic import fix_of, sync_path
from mlff_dyn.store.lock import reading
from mlff_dyn.store.model_file import read_model
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.trained_model import ANSWER_NAME, check_trained, read_trained

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlff_dyn.config.schema import Config
    from mlff_dyn.model.force_field import ForceField

MODEL_NAME, CONFIG_NAME = "model.h5", "config.resolved.yaml"


@dataclass(frozen=True)
class ExportReport(Report):
    """What was written.

    Attributes
    ----------
    format : str
    directory : Path
    files : tuple of str     names in the directory
    n_atoms : int            of the supercell that the force constants of the highest order are given on
    supercells : dict        by order: its vectors as rows, in vectors of the input cell
    """

    verb = "export"
    format: str
    directory: Path
    files: tuple[str, ...]
    n_atoms: int
    supercells: dict[int, list[list[int]]] = field(default_factory=dict)

    def values(self) -> dict[str, object]:
        """Return the JSON values, the files with their directory."""
        return {**super().values(), "files": [self.directory / name for name in self.files]}

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        rows = [("format", self.format), ("supercell", f"{self.n_atoms} atoms")]
        if len({str(matrix) for matrix in self.supercells.values()}) > 1:
            rows += [(f"  order {order}", str(matrix)) for order, matrix in self.supercells.items()]
        return rows + [("file", str(self.directory / name)) for name in self.files]


def export(
    source: Path | Config,
    *,
    format: str,  # noqa: A002 (contract)
    output: Path,
    force: bool,
    supercell: str | None = None,
    allow_unconverged: bool = False,
    dry_run: bool = False,
) -> ExportReport:
    """Write a model for another program; the files appear complete, the main one last.

    Parameters
    ----------
    source : Path or Config
        Model file, the run directory that holds it, or the configuration that it must be of.
    format : str
        A name of `mlff_dyn.formats.registry.FORMATS`.
    output : Path
        Directory of the files; made when it is missing.
    force : bool
        Replace files that exist with another content.
    supercell : str, optional
        See `mlff_dyn.config.supercells.parse_supercells`; default: the training cell for all orders.
    allow_unconverged : bool
        Take the model also where its training did not end, did not converge, or had other settings.
    dry_run : bool
        Make the files elsewhere, and keep none.

    Raises
    ------
    UsageError
        If the format or supercell is none, other files are in the way, the format cannot hold the model, or
        another command works in the run directory.
    NotConverged
        If the training of the model did not converge or had other settings.
    DataError
        If there is no model, or a file cannot be written.
    """
    writer, orders = find_format(format)
    matrices = {} if supercell is None else parse_supercells(supercell, orders)
    force_field, torus = read_source(source, allow_unconverged=allow_unconverged)
    force_field = force_field.at_rest if format in AT_REST_FORMATS else force_field
    if format in DYNAMICS_FORMATS:
        writer, torus = _for_dynamics(writer, source, torus)
    tori = dict.fromkeys(orders, torus)
    tori.update({order: input_supercell(torus.crystal, matrix) for order, matrix in matrices.items()})
    torus = tori[max(orders)]
    apart = {} if np.array_equal(tori[2].matrix, torus.matrix) else {"harmonic": tori[2]}
    write = partial(writer, force_field, torus, **apart)
    names, up_to_date = _write_files(write, output, force=force, dry_run=dry_run)
    return ExportReport(
        status="dry run" if dry_run else "done",
        format=format,
        directory=output,
        files=names,
        n_atoms=torus.n_atoms,
        supercells={order: _in_input_vectors(each) for order, each in tori.items()},
        up_to_date=up_to_date,
    )


def _write_files(
    write: Callable[[Path], tuple[str, ...]], output: Path, *, force: bool, dry_run: bool
) -> tuple[tuple[str, ...], bool]:
    """Names of the files, and whether all of them were there already."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file", fix="give a directory with --output")
    place = None if dry_run else output.parent
    try:
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix=f".{output.name}.") as scratch:
            names = write(Path(scratch))
            return names, _publish(Path(scratch), names, output, force=force, dry_run=dry_run)
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror or error}", fix=fix_of(error)) from error


def _for_dynamics(
    writer: Callable[..., tuple[str, ...]], source: Path | Config, torus: Torus
) -> tuple[Callable[..., tuple[str, ...]], Torus]:
    """Writer with the settings of the configuration, whose files the model goes with, and its supercell."""
    settings = None
    if not isinstance(source, Path):
        settings = dynamics_settings(source)
        torus = Workspace(source).supercell(source.md.supercell)

    def write(force_field: ForceField, torus: Torus, directory: Path) -> tuple[str, ...]:
        shutil.copyfile(model_path(source), directory / MODEL_FILE)
        return (MODEL_FILE, *writer(force_field, torus, directory, settings=settings))

    return write, torus


def dynamics_settings(config: Config) -> DynamicsSettings:
    """Return what the section ``md`` of a configuration asks for, at its first temperature."""
    md = config.md
    of_langevin = md.thermostat == "langevin"
    return DynamicsSettings(
        ensemble=md.ensemble,
        temperature_kelvin=md.temperatures_kelvin[0],
        timestep_femtoseconds=md.timestep_femtoseconds,
        n_steps=md.n_steps,
        sample_every=md.sample_every,
        seed=config.seed,
        thermostat=md.thermostat,
        thermostat_time_femtoseconds=1e3 / md.friction_per_picosecond
        if of_langevin
        else md.thermostat_time_femtoseconds,
        pressure=md.pressure_gigapascal / EV_PER_ANGSTROM3_GPA,
        barostat_shape=md.barostat_shape,
    )


def model_path(source: Path | Config) -> Path:
    """Return the path of the model file of a source."""
    directory = source if isinstance(source, Path) else source.run_dir
    return directory if isinstance(source, Path) and not source.is_dir() else directory / MODEL_NAME


def read_source(source: Path | Config, *, allow_unconverged: bool) -> tuple[ForceField, Torus]:
    """Model whose training converged, and its training supercell.

    Parameters
    ----------
    source : Path or Config
        As in `export`.
    allow_unconverged : bool

    Raises
    ------
    UsageError
        If another command works in the run directory.
    NotConverged
        If the training of the model did not converge or had other settings.
    DataError
        If there is no model.
    """
    path = model_path(source)
    with reading(path.parent):
        if not isinstance(source, Path):
            workspace = Workspace(source)
            return read_trained(workspace, allow_unconverged=allow_unconverged), workspace.training_torus
        force_field, metadata = read_model(path)
        is_alone = source.is_file() and not path.with_name(ANSWER_NAME).exists()
        check_trained(path, None, allow_unconverged=allow_unconverged or is_alone)
        return force_field, training_supercell(force_field, metadata, path)


def _in_input_vectors(torus: Torus) -> list[list[int]]:
    rows: list[list[int]] = (
        np.rint(torus.matrix @ np.linalg.inv(torus.crystal.input_matrix)).astype(int).tolist()
    )
    return rows


def training_supercell(force_field: ForceField, metadata: dict[str, Any], model_path: Path) -> Torus:
    """Training supercell of a model: from its metadata, or from the configuration beside it.

    Raises
    ------
    DataError
        If neither says it.
    """
    given = metadata.get("supercell")
    beside = model_path.with_name(CONFIG_NAME)
    if given is None and beside.exists():
        try:
            given = parse_yaml(beside.read_text(encoding="utf-8"), str(beside))[0]["structure"]["supercell"]
        except (OSError, ValueError, TypeError, KeyError, ConfigError):
            raise DataError(f"{beside} is damaged", fix="run mlff-dyn train again") from None
    if given is None:
        raise DataError(
            f"the training supercell of {model_path} is not known",
            fix=f"keep {CONFIG_NAME} of its run directory beside it",
        )
    return input_supercell(force_field.basis.crystal, np.asarray(given, np.int64))


def _publish(scratch: Path, names: tuple[str, ...], output: Path, *, force: bool, dry_run: bool) -> bool:
    """Move files to their place; True if all of them were there already."""
    different = [name for name in names if not _same(scratch / name, output / name)]
    in_the_way = [name for name in different if (output / name).exists()]
    if in_the_way and not force:
        raise UsageError(
            f"{output} already holds other files of these names: {', '.join(in_the_way)}",
            fix="replace them with --force, or choose another --output",
        )
    if dry_run:
        return not different
    output.mkdir(exist_ok=True)
    for name in different:
        sync_path(scratch / name)
        (scratch / name).replace(output / name)
    sync_path(output)
    return not different


def _same(new: Path, present: Path) -> bool:
    return present.is_file() and new.read_bytes() == present.read_bytes()
