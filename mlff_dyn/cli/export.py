"""`mlff-dyn export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mlff_dyn.cli.options import AllowUnconverged, Given, takes
from mlff_dyn.errors import DataError, UsageError

Source = Annotated[
    Path,
    typer.Argument(metavar="SOURCE", help="CONFIG.yaml, its run directory, a model.h5, or a trajectory.h5."),
]
FileFormat = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help="Of a model: phonopy, phono3py, shengbte, kaldo, tdep, alamode, hiphive, gpumd, lammps, i-pi; "
        "of a trajectory: extxyz, xdatcar, lammps-dump.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="PATH", help="File of a trajectory, directory of a model.")
]
Supercell = Annotated[
    str | None,
    typer.Option(
        "--supercell",
        metavar="N N N",
        help="Supercell of the force constants, as in structure.supercell, or by order: "
        "'{2: [4, 4, 4], 3: [2, 2, 2]}' [default: the training cell].",
    ),
]
TrajectoryName = Annotated[
    str | None,
    typer.Option("--trajectory", metavar="NAME", help="Which trajectory, like 300K-1, if there are several."),
]
Stride = Annotated[
    int | None, typer.Option("--stride", metavar="N", min=1, help="Every N-th stored frame of a trajectory.")
]


@takes()
def export(
    given: Given,
    source: Source,
    *,
    file_format: FileFormat,
    output: Output,
    supercell: Supercell = None,
    trajectory: TrajectoryName = None,
    stride: Stride = None,
    allow_unconverged: AllowUnconverged = False,
) -> None:
    """Write the trained force field, or a trajectory, for another program."""
    found = given.load_or_find(source)

    from mlff_dyn.formats.registry import TRAJECTORY_FORMATS

    shared: dict[str, Any] = {
        "format": file_format,
        "output": output,
        "force": given.force,
        "dry_run": given.dry_run,
    }
    if file_format in TRAJECTORY_FORMATS:
        from mlff_dyn.workflows.export_trajectory import export_trajectory

        _refuse(file_format, supercell=supercell)
        written = export_trajectory(
            found, **shared, name=trajectory, stride=stride or 1, progress=given.progress
        )
        given.sources = (*given.sources, written.trajectory)
        given.finish(written, results=written.files)

    from mlff_dyn.workflows.export import export as write_files

    if found is source and not source.exists():
        raise DataError(f"there is no model in {source}", fix="run mlff-dyn train first")
    _refuse(file_format, trajectory=trajectory, stride=stride)
    report = write_files(found, **shared, supercell=supercell, allow_unconverged=allow_unconverged)
    given.finish(report, results=[output / name for name in report.files])


def _refuse(file_format: str, **options: object) -> None:
    """Refuse options that have no meaning for a format."""
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"--{name} has no meaning for the format {file_format}", fix="leave it out")
