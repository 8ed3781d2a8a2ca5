"""`export`: the trained force field as files of another program."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.config.yaml_source import parse_yaml
from mlff_dyn.errors import ConfigError, DataError, UsageError
from mlff_dyn.formats.registry import find_format
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.report.answer import Report
from mlff_dyn.store.atomic import sync_path
from mlff_dyn.store.model_file import read_model

if TYPE_CHECKING:
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
    n_atoms : int            of the supercell that the force constants are given on
    """

    verb = "export"
    format: str
    directory: Path
    files: tuple[str, ...]
    n_atoms: int

    def values(self) -> dict[str, object]:
        """Return the JSON values, the files with their directory."""
        return {**super().values(), "files": [self.directory / name for name in self.files]}

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        files = (("file", str(self.directory / name)) for name in self.files)
        return [("format", self.format), ("supercell", f"{self.n_atoms} atoms"), *files]


def export(source: Path, *, format: str, output: Path, force: bool) -> ExportReport:  # noqa: A002 (contract)
    """Write a model for another program.

    The files appear complete, the main one last.

    Parameters
    ----------
    source : Path
        Model file, or the run directory that holds it.
    format : str
        A name of `mlff_dyn.formats.registry.FORMATS`.
    output : Path
        Directory of the files; made when it is missing.
    force : bool
        Replace files that exist with another content.

    Raises
    ------
    UsageError
        If the format is unknown, other files are in the way, or the format cannot hold the model.
    DataError
        If there is no model, or a file cannot be written.
    """
    writer = find_format(format)
    model_path = source / MODEL_NAME if source.is_dir() else source
    force_field, metadata = read_model(model_path)
    torus = training_supercell(force_field, metadata, model_path)
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file", fix="give a directory with --output")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
            names = writer(force_field, torus, Path(scratch))
            up_to_date = _publish(Path(scratch), names, output, force=force)
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror or error}") from error
    return ExportReport("done", format, output, names, torus.n_atoms, up_to_date=up_to_date)


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


def _publish(scratch: Path, names: tuple[str, ...], output: Path, *, force: bool) -> bool:
    """Move files to their place; True if all of them were there already."""
    different = [name for name in names if not _same(scratch / name, output / name)]
    in_the_way = [name for name in different if (output / name).exists()]
    if in_the_way and not force:
        raise UsageError(
            f"{output} already holds other files of these names: {', '.join(in_the_way)}",
            fix="replace them with --force, or choose another --output",
        )
    output.mkdir(exist_ok=True)
    for name in different:
        sync_path(scratch / name)
        (scratch / name).replace(output / name)
    sync_path(output)
    return not different


def _same(new: Path, present: Path) -> bool:
    return present.is_file() and new.read_bytes() == present.read_bytes()
