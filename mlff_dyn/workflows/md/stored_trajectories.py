"""Which trajectory is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.store.json_file import digest
from mlff_dyn.store.trajectory import part_path
from mlff_dyn.store.trajectory_layout import damage_told, open_trajectory, read_attributes
from mlff_dyn.workflows.md.md_inputs import inputs_of_trajectory
from mlff_dyn.workflows.md.places import TRAJECTORY_NAME, place_of_trajectory
from mlff_dyn.workflows.setup.workspace import Workspace

if TYPE_CHECKING:
    from mlff_dyn.config.schema import Config


def find_trajectory(source: Path | Config, name: str | None = None) -> Path:
    """Return the path of a stored trajectory.

    Parameters
    ----------
    source : Path or Config
        The trajectory itself, also an unfinished one; its directory; the run directory, or the configuration
        that it must be of.
    name : str, optional
        Of its directory, like ``300K-1``, where there are several, or one of another configuration.

    Raises
    ------
    UsageError
        If several may be meant, or the one of the configuration is of other inputs.
    DataError
        If there is none.
    """
    if not isinstance(source, Path):
        return _of_config(source) if name is None else _of_directory(source.run_dir, [name])
    if source.is_dir() and name is None and (source / TRAJECTORY_NAME).exists():
        return source / TRAJECTORY_NAME
    if source.is_dir():
        return _of_directory(source, _present(source) if name is None else [name])
    if name is not None:
        raise UsageError(f"{source} is one trajectory itself", fix="leave out --trajectory")
    return source


def _present(run_dir: Path) -> list[str]:
    return sorted(path.parent.name for path in run_dir.glob(f"md/*/{TRAJECTORY_NAME}"))


def _of_directory(run_dir: Path, wanted: list[str]) -> Path:
    """Path of the one finished trajectory among those wanted."""
    present = _present(run_dir)
    found = [each for each in wanted if each in present]
    if len(found) > 1:
        raise UsageError(
            f"{run_dir} holds several trajectories: {', '.join(found)}",
            fix=f"choose one, like --trajectory {found[0]}",
        )
    if not found:
        raise _missing(run_dir, wanted, present)
    return run_dir / "md" / found[0] / TRAJECTORY_NAME


def _of_config(config: Config) -> Path:
    """Path of its trajectory; one of the same place from another model or other settings is refused."""
    places = {
        Path(place_of_trajectory(temperature, config.seed)).name: temperature
        for temperature in config.md.temperatures_kelvin
    }
    path = _of_directory(config.run_dir, list(places))
    workspace = Workspace(config)
    if not workspace.model_path.exists():
        return path
    torus = workspace.supercell(config.md.supercell)
    inputs = inputs_of_trajectory(workspace, torus, places[path.parent.name])
    with open_trajectory(path) as file, damage_told(path):
        identity = read_attributes(file).get("identity")
    if identity != digest(inputs):
        raise UsageError(
            f"{path} is of another model or other settings than the configuration",
            fix=f"run mlff-dyn run-md again, or export it as it is: mlff-dyn export {path}",
        )
    return path


def _missing(run_dir: Path, wanted: list[str], present: list[str]) -> DataError:
    parts = [part_path(run_dir / "md" / name / TRAJECTORY_NAME) for name in wanted]
    parts = [path for path in parts or sorted(run_dir.glob("md/*/*.part.h5")) if path.exists()]
    if parts:
        return DataError(
            f"the trajectory {parts[0].parent.name} in {run_dir} is not finished",
            fix=f"run mlff-dyn run-md again, or export what there is: mlff-dyn export {parts[0]}",
        )
    which = f" {' or '.join(wanted)}" if wanted else ""
    if present:
        return DataError(
            f"{run_dir} holds no trajectory{which}",
            fix=f"choose one with --trajectory: {', '.join(present)}",
        )
    return DataError(f"{run_dir} holds no trajectory{which}", fix="run mlff-dyn run-md first")
