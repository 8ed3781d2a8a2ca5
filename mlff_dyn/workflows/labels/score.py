"""`label score`: the expected error of each frame of a trajectory, and which to calculate next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.execution.calculation import is_ready, prepare
from mlff_dyn.formats.unlabelled_frames import read_unlabelled
from mlff_dyn.lattice.other_lengths import match_frame
from mlff_dyn.regression.planning.selection import SELECTIONS, select
from mlff_dyn.store.atomic import fix_of
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.model_file import read_model
from mlff_dyn.training.frame_choice import information_of_frames
from mlff_dyn.training.limits import LIMITS, POOL_LIMITS, DecisionLimits
from mlff_dyn.training.trusted_region import is_extrapolated
from mlff_dyn.workflows.labels.score_report import FrameScore, ScoreReport
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import check_periodic, displaced_atoms, frames_of_snapshots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.matching import Match
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.training.frame_choice import Frame

REASON = "chosen by label score"
DESIGN = "i-optimal"
SAME_ANGSTROM, SAME_STRAIN = 1e-3, 1e-4
"""Files of trajectories round positions and cells; frames of dynamics differ by 100 times more."""


@dataclass(frozen=True, eq=False)
class _Scored:
    """A frame that belongs to the crystal."""

    match: Match
    score: FrameScore


def score(
    source: Path | Config,
    file: Path,
    *,
    n: int,
    stride: int,
    output: Path | None,
    dry_run: bool,
    progress: Progress,
    scale: float = 1.0,
) -> ScoreReport:
    """Expected errors of the frames of a file, and those whose calculation would teach most.

    Parameters
    ----------
    source : Path or Config
        Model file, or the configuration of its run.
    file : Path
        Any supercells of the crystal, atoms in any order; see `read_unlabelled`.
    n : int
        How many frames to choose.
    stride : int
        Every so many frames one is looked at, beginning with the first.
    output : Path or None
        Folder of calculations that the chosen frames are written into, as inputs of the engine.
    dry_run : bool
        Write nothing.
    progress : Progress
    scale : float
        Factor on the displacements of the frames.

    Raises
    ------
    UsageError
        If inputs are wanted without a configuration, or another calculation is in the way.
    DataError
        If a file cannot be read, or no frame belongs to the crystal.
    """
    config = None if isinstance(source, Path) else source
    if output is not None and config is None:
        raise UsageError("--write needs the engine of a configuration", fix="give CONFIG.yaml instead")
    force_field = read_model(source)[0] if isinstance(source, Path) else Workspace(source).read_model()
    found, strangers, damage = _score_frames(force_field, file, stride, scale, progress)
    labelled = _labelled(force_field, source)
    found = [_if_new(each, labelled) for each in found]
    chosen, expected = _choose(force_field, labelled, found, n)
    written: list[Path] = []
    if output is not None and config is not None:
        name = file.name.split(".")[0] + ("" if scale == 1.0 else f"-times-{scale:g}")
        written = _write(config, output / name, file, chosen, dry_run=dry_run)
    every = sorted([*strangers, *(each.score for each in found)], key=lambda each: each.frame)
    return ScoreReport(
        status="dry run" if dry_run else "done",
        file=file,
        frames=tuple(every),
        next=tuple(each.score.frame for each in chosen),
        expected_epistemic_ev_per_angstrom=tuple(expected),
        directories=tuple(written),
        warnings=tuple(damage),
    )


def _score_frames(
    force_field: ForceField, file: Path, stride: int, scale: float, progress: Progress
) -> tuple[list[_Scored], list[FrameScore], list[str]]:
    """Frames of the crystal with their errors, those that are not of it, and where the file is damaged."""
    crystal = force_field.basis.crystal
    found: list[_Scored] = []
    strangers: list[FrameScore] = []
    progress.start(None, "frames")
    damage: list[str] = []
    try:
        for number, atoms in read_unlabelled(file, stride=stride):
            try:
                check_periodic(atoms.pbc.tolist(), crystal)
                match = match_frame(crystal, atoms.cell.array, atoms.positions, atoms.numbers)
            except DataError as error:
                strangers.append(FrameScore(number, outside=error.message))
                continue
            match = replace(match, displacements=scale * match.displacements)
            found.append(_Scored(match, _score(force_field, number, match)))
            progress.update(number)
    except DataError as error:
        if not found and not strangers:
            raise
        damage.append(f"{error.message}; only the frames before it are looked at")
    progress.stop()
    if not found:
        raise DataError(
            f"{file}: no frame belongs to the crystal of the model; frame {strangers[0].frame}: "
            f"{strangers[0].outside}",
            fix="give frames of the crystal that the model was trained for",
        )
    return found, strangers, damage


def _score(force_field: ForceField, number: int, match: Match) -> FrameScore:
    displacements = match.displacements
    lengths = np.linalg.norm(displacements, axis=1)
    farthest = int(np.argmax(lengths))
    moved = FrameScore(
        number,
        displacement_rms_angstrom=_rms(displacements),
        largest_displacement_angstrom=float(lengths[farthest]),
    )
    limit = _largest_displacement(force_field)
    if lengths[farthest] > limit:
        atom = f"atom {match.atoms[farthest] + 1} ({chemical_symbols[match.torus.numbers[farthest]]})"
        text = f"{atom} is {lengths[farthest]:.3g} Å from its site, more than {limit:.3g} Å"
        return replace(moved, outside=text)
    supercell = force_field.on(match.torus)
    if match.strain.any():
        supercell = supercell.strained(match.strain)
    is_moved = bool(match.strain.any() or lengths[farthest] > force_field.basis.crystal.symprec)
    errors = supercell.force_errors(displacements)
    trained = force_field.training
    is_far = is_extrapolated(trained, _rms(displacements), float(lengths[farthest]))
    text = f"farther from the sites than the data, which reach {trained.displacement_max_angstrom:.2g} Å"
    return replace(
        moved,
        predictive_ev_per_angstrom=_rms(errors.predictive),
        epistemic_ev_per_angstrom=_rms(errors.epistemic),
        truncation_ev_per_angstrom=_rms(errors.truncation),
        force_rms_ev_per_angstrom=_rms(supercell.vibrational_forces(displacements)) if is_moved else 0.0,
        is_candidate=is_moved,
        outside=text if is_far else None,
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _largest_displacement(force_field: ForceField, limits: DecisionLimits = LIMITS) -> float:
    """Where an atom no longer belongs to its site, or the local part knows no neighbors (Å)."""
    half = limits.largest_fraction_of_bond * force_field.basis.crystal.nearest_neighbor_distance
    return half if force_field.local is None else min(half, force_field.local.largest_displacement)


def _if_new(frame: _Scored, labelled: Sequence[LabelledFrame]) -> _Scored:
    """Take a frame from the candidates that the model was trained on."""
    torus, displacements = frame.match.torus, frame.match.displacements
    is_labelled = any(
        np.array_equal(rows.supercell.torus.matrix, torus.matrix)
        and np.abs(rows.displacements - displacements).max() < SAME_ANGSTROM
        and np.abs(rows.supercell.strain - frame.match.strain).max() < SAME_STRAIN
        for rows in labelled
    )
    if not is_labelled:
        return frame
    return replace(frame, score=replace(frame.score, is_candidate=False, is_labelled=True))


def _choose(
    force_field: ForceField, labelled: Sequence[LabelledFrame], found: list[_Scored], n: int
) -> tuple[list[_Scored], list[float]]:
    """Frames to calculate, most useful first, and the expected error of the others after each of them."""
    candidates = [each for each in found if each.score.is_candidate]
    most = max(n, POOL_LIMITS.n_frames(force_field.expansion.n_parameters))
    if len(candidates) > most:
        spaced = np.linspace(0, len(candidates) - 1, most).round().astype(int)
        candidates = [candidates[k] for k in spaced]
    if not candidates:
        return [], []
    frames: list[Frame] = [
        (force_field.expansion.on(each.match.torus, each.match.strain), each.match.displacements)
        for each in candidates
    ]
    pool = information_of_frames(force_field, frames, labelled)
    selection = select(pool, SELECTIONS[DESIGN], min(n, len(pool)))
    errors = force_field.calibration * np.sqrt(selection.mean_variances)
    return [candidates[k] for k in selection.frames], errors.tolist()


def _labelled(force_field: ForceField, source: Path | Config) -> list[LabelledFrame]:
    """What the model was trained on; nothing where its data set is not beside it."""
    path = source.with_name("dataset.extxyz") if isinstance(source, Path) else Workspace(source).dataset_path
    if not path.exists():
        return []
    return frames_of_snapshots(path, read_snapshots(path), force_field.expansion)


def _write(config: Config, start: Path, file: Path, chosen: list[_Scored], *, dry_run: bool) -> list[Path]:
    """Write inputs of the engine, each complete when its directory appears; those that are there stay.

    The names of the directories begin with that of ``start`` and lie beside it.
    """
    engine = create_engine(**config.require_engine().model_dump())
    structures: dict[Path, Atoms] = {}
    for each in chosen:
        atoms = displaced_atoms(each.match.torus, each.match.displacements, each.match.strain)
        atoms.info = {"reason": REASON, "file": str(file), "step": each.score.frame}
        structures[start.with_name(f"{start.name}-{each.score.frame:06d}")] = atoms
    for directory, atoms in structures.items():
        if directory.exists() and not is_ready(engine, atoms, directory):
            raise UsageError(
                f"{directory} exists, with another structure or other parameters of the engine",
                fix="choose another folder with --write",
            )
    for directory, atoms in structures.items():
        if dry_run or directory.exists():
            continue
        try:
            prepare(engine, atoms, directory)
        except OSError as error:
            raise DataError(f"cannot write {directory}: {error.strerror}", fix=fix_of(error)) from error
    return list(structures)
