"""`export` of a trajectory: its frames as a file of another program."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.formats.registry import TRAJECTORY_FORMATS
from mlff_dyn.formats.trajectory_frames import read_frames, read_outline
from mlff_dyn.report.answer import Report
from mlff_dyn.store.atomic import atomic_write, fix_of, reading_fix, refuse_device
from mlff_dyn.store.lock import reading
from mlff_dyn.workflows.md.stored_trajectories import find_trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlff_dyn.config.schema import Config
    from mlff_dyn.formats.trajectory_frames import Frame, Outline
    from mlff_dyn.report.progress import Progress


@dataclass(frozen=True)
class TrajectoryExport(Report):
    """What was written.

    Attributes
    ----------
    format : str
    files : tuple of Path      the file
    trajectory : Path          that was read
    n_atoms, n_frames : int    of the file
    elements : tuple of str    in the order of the types of LAMMPS
    has_velocities : bool      they are stored
    """

    verb = "export"
    format: str
    files: tuple[Path, ...]
    trajectory: Path
    n_atoms: int
    n_frames: int
    elements: tuple[str, ...]
    has_velocities: bool

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        without = "" if self.has_velocities else ", without velocities, which are not stored (md.store)"
        return [
            ("format", self.format),
            ("trajectory", str(self.trajectory)),
            ("frames", f"{self.n_frames} of {self.n_atoms} atoms ({', '.join(self.elements)}){without}"),
            ("file", str(self.files[0])),
        ]


def export_trajectory(
    source: Path | Config,
    *,
    format: str,  # noqa: A002 (contract)
    output: Path,
    progress: Progress,
    name: str | None = None,
    stride: int = 1,
    force: bool = False,
    dry_run: bool = False,
) -> TrajectoryExport:
    """Write a trajectory for another program, frame by frame, atoms in the order of `init`.

    Parameters
    ----------
    source : Path or Config
        See `find_trajectory`.
    format : str
        A name of `mlff_dyn.formats.registry.TRAJECTORY_FORMATS`.
    output : Path
        The file.
    progress : Progress
    name : str, optional
        Which trajectory of the run directory.
    stride : int
        Every so many stored frames one is written, beginning with the first.
    force : bool
        Replace a file of another content.
    dry_run : bool
        Read all that would be written, and write nothing.

    Raises
    ------
    UsageError
        If it is not clear which trajectory is meant, it is of another configuration, the file has another
        content, or the run directory is in use.
    DataError
        If there is no trajectory, it is damaged or empty, or the file cannot be written.
    """
    if output.is_dir():
        raise UsageError(f"{output} is a folder", fix=f"give a file with --output, like {output / format}")
    run_dir = source if isinstance(source, Path) else source.run_dir
    with nullcontext() if run_dir.is_file() else reading(run_dir):
        path = find_trajectory(source, name)
        outline = read_outline(path, stride=stride)
        if not outline.n_frames:
            raise DataError(f"{path} holds no frame", fix="lower md.sample_every, or raise md.n_steps")
        pieces = partial(_pieces, path, outline, format, stride, progress)
        up_to_date = _publish(pieces, output, (path, run_dir), force=force, dry_run=dry_run)
    return TrajectoryExport(
        status="dry run" if dry_run else "done",
        format=format,
        files=(output,),
        trajectory=path,
        n_atoms=len(outline.numbers),
        n_frames=outline.n_frames,
        elements=tuple(outline.elements),
        has_velocities=outline.has_velocities,
        up_to_date=up_to_date,
    )


def _pieces(
    path: Path, outline: Outline, file_format: str, stride: int, progress: Progress
) -> Iterator[bytes]:
    """Content of the file."""
    frames = _shown(read_frames(path, stride=stride), outline, progress)
    return (text.encode() for text in TRAJECTORY_FORMATS[file_format](outline, frames))


def _shown(frames: Iterator[Frame], outline: Outline, progress: Progress) -> Iterator[Frame]:
    progress.start(outline.n_frames, "frames")
    for k, frame in enumerate(frames, start=1):
        yield frame
        progress.update(k)
    progress.stop()


def _publish(
    pieces: Callable[[], Iterator[bytes]],
    output: Path,
    kept: tuple[Path, Path],
    *,
    force: bool,
    dry_run: bool,
) -> bool:
    """Write the file, which must not replace one of those kept; True if it was there already."""
    refuse_device(output)
    if output.exists():
        if _holds(output, pieces()):
            return True
        if any(output.resolve().is_relative_to(each.resolve()) for each in kept):
            raise UsageError(
                f"{output} is a file of the run directory with another content",
                fix="choose another --output",
            )
        if not force:
            raise UsageError(
                f"{output} exists with another content",
                fix="replace it with --force, or choose another --output",
            )
    if dry_run:
        for _ in pieces():
            pass
        return False
    try:
        with atomic_write(output) as temporary, temporary.open("wb") as file:
            file.writelines(pieces())
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror or error}", fix=fix_of(error)) from error
    return False


def _holds(path: Path, pieces: Iterator[bytes]) -> bool:
    try:
        with path.open("rb") as file:
            return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix=reading_fix(error)) from None
