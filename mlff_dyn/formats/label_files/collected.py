"""Labelled structures of many files as one data set: what was taken, what was refused, and why."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.extxyz_frames import EXTXYZ
from mlff_dyn.formats.label_files.registry import LABEL_FORMATS
from mlff_dyn.store.calculated_steps import RefusedStep
from mlff_dyn.store.dataset import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mlff_dyn.formats.label_files.search import LabelFile
    from mlff_dyn.store.calculated_steps import ReadOptions


@dataclass(frozen=True)
class SameFrame:
    """How close frames of two files are that are one calculation; by what programs print.

    Attributes
    ----------
    position_angstrom : float
        Largest difference; outputs have five decimals at least.
    force_ev_per_angstrom : float
        Largest difference; outputs have six decimals at least.
    """

    position_angstrom: float = 3e-5
    force_ev_per_angstrom: float = 3e-6


SAME_FRAME = SameFrame()


@dataclass(frozen=True)
class KindCount:
    """What the files of one kind gave.

    Attributes
    ----------
    kind : str
    n_files, n_frames, n_repeated, n_refused : int
        Frames taken; frames that another file has, too; steps, and whole files, that were refused.
    """

    kind: str
    n_files: int
    n_frames: int
    n_repeated: int
    n_refused: int


@dataclass(frozen=True, eq=False)
class CollectedLabels:
    """Labelled structures of some files.

    Attributes
    ----------
    snapshots : tuple of Snapshot
        In the order of the files.
    refused : tuple of RefusedStep
    kinds : tuple of KindCount
    """

    snapshots: tuple[Snapshot, ...]
    refused: tuple[RefusedStep, ...]
    kinds: tuple[KindCount, ...]

    def refusals(self) -> list[str]:
        """One line for each file and reason, with the number of steps."""
        groups: dict[tuple[str, str], list[RefusedStep]] = defaultdict(list)
        for each in self.refused:
            groups[str(each.source), each.reason].append(each)
        return [
            f"{source}: {reason}" + (f" ({len(steps)} steps)" if len(steps) > 1 else _step(steps[0]))
            for (source, reason), steps in groups.items()
        ]


def collect_labels(
    files: Sequence[LabelFile], options: ReadOptions, refused: Sequence[RefusedStep] = ()
) -> CollectedLabels:
    """Read files with labelled structures.

    A calculation that several files hold, like ``vasprun.xml`` and ``OUTCAR``, is taken once, from the kind
    that says most.

    Parameters
    ----------
    files : sequence of LabelFile
    options : ReadOptions
    refused : sequence of RefusedStep
        What was refused before.

    Raises
    ------
    DataError
        If nothing remains; or a data set in extended XYZ that was named is damaged.
    """
    found: list[tuple[Snapshot, LabelFile]] = []
    dropped = list(refused)
    for file in files:
        for step in _steps(file, options, is_alone=len(files) == 1):
            if isinstance(step, Snapshot):
                found.append((step, file))
            else:
                dropped.append(step)
    if not found:
        raise _nothing(dropped)
    repeated = _repeated(found)
    kept = tuple(snapshot for k, (snapshot, _) in enumerate(found) if k not in repeated)
    return CollectedLabels(kept, tuple(dropped), _count(files, found, repeated, dropped))


def _steps(file: LabelFile, options: ReadOptions, *, is_alone: bool) -> Iterator[Snapshot | RefusedStep]:
    """Steps of a file, or why it has none; of a file that the user means, that is an error."""
    try:
        yield from file.format.read(file.source, options)
    except DataError as error:
        if file.is_named and (is_alone or file.format is EXTXYZ):
            raise
        reason = error.message.replace(str(file.source), "").lstrip(",: ")
        yield RefusedStep(file.source, None, reason, error.fix)


def _step(each: RefusedStep) -> str:
    return "" if each.step is None else f" (step {each.step})"


def _nothing(refused: Sequence[RefusedStep]) -> DataError:
    if not refused:
        return DataError("none of the files holds a step that was asked for", fix="check --steps")
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    return DataError(f"no labelled structure is left: {refused[0]}{more}", fix=refused[0].fix)


def _repeated(found: Sequence[tuple[Snapshot, LabelFile]]) -> set[int]:
    """Numbers of frames that a file of a better, or an earlier, kind has, too."""
    if len({file.source for _, file in found}) < 2:
        return set()
    names = {kind.name: rank for rank, kind in enumerate(LABEL_FORMATS)}
    groups: dict[int, list[int]] = defaultdict(list)
    for k, (snapshot, _) in enumerate(found):
        groups[snapshot.n_atoms].append(k)
    repeated: set[int] = set()
    for members in groups.values():
        sizes = {k: float(np.linalg.norm(found[k][0].forces_ev_per_angstrom)) for k in members}
        members.sort(key=sizes.__getitem__)
        limit = SAME_FRAME.force_ev_per_angstrom * np.sqrt(3.0 * found[members[0]][0].n_atoms)
        for place, k in enumerate(members):
            for other in members[place + 1 :]:
                if sizes[other] - sizes[k] > limit:
                    break
                (a, of_a), (b, of_b) = found[k], found[other]
                if other not in repeated and of_a.source != of_b.source and _is_same(a, b):
                    ranks = {i: (names[file.format.name], i) for i, file in ((k, of_a), (other, of_b))}
                    repeated.add(max(ranks, key=ranks.__getitem__))
                    if k in repeated:
                        break
    return repeated


def _is_same(a: Snapshot, b: Snapshot) -> bool:
    if not np.array_equal(a.numbers, b.numbers):
        return False
    forces = np.abs(a.forces_ev_per_angstrom - b.forces_ev_per_angstrom).max()
    if (
        forces > SAME_FRAME.force_ev_per_angstrom
        or np.abs(a.cell - b.cell).max() > SAME_FRAME.position_angstrom
    ):
        return False
    apart = np.linalg.solve(a.cell.T, (a.positions - b.positions).T).T
    return float(np.abs((apart - np.rint(apart)) @ a.cell).max()) < SAME_FRAME.position_angstrom


def _count(
    files: Sequence[LabelFile],
    found: Sequence[tuple[Snapshot, LabelFile]],
    repeated: set[int],
    refused: Iterable[RefusedStep],
) -> tuple[KindCount, ...]:
    kinds = {file.source: file.format.name for file in files}
    rejected = [kinds.get(each.source, "not readable") for each in refused]
    of_frames = [file.format.name for _, file in found]
    of_repeated = [of_frames[k] for k in repeated]
    names = dict.fromkeys([*kinds.values(), *rejected])
    return tuple(
        KindCount(
            name,
            sum(each == name for each in kinds.values()),
            of_frames.count(name) - of_repeated.count(name),
            of_repeated.count(name),
            rejected.count(name),
        )
        for name in names
    )
