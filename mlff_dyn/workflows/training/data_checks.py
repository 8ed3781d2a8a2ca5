"""Checks of labelled frames before they are fitted: what would spoil a model without a trace.

Each finding is one line with what, where and how to mend it. Some are warnings, some refuse the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import DataError, FitError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.store.dataset import Snapshot


@dataclass(frozen=True)
class DataLimits:
    """From where on data look suspicious; all by convention.

    Attributes
    ----------
    net_force_warned, net_force_refused : float
        Net force per atom over the rms force component.
    net_force_small : float
        Net force of a frame that never matters, eV/Å.
    same_displacement : float
        Largest difference of frames that are the same, Å.
    same_force : float
        Largest difference of their forces, over the largest force.
    large_displacement : float
        Rms displacement over the distance of neighbors.
    energy_jump : float
        Smallest gap between energies with different zeros, eV per atom.
    static_force_warned, static_force_refused : float
        Force on an undisplaced atom, beyond two of its standard deviations, eV/Å.
    poor_fit, no_fit : float
        Residual over the forces at which a fit is warned of, and refused.
    """

    net_force_warned: float = 0.01
    net_force_refused: float = 0.3
    net_force_small: float = 0.05
    same_displacement: float = 1e-5
    same_force: float = 1e-3
    large_displacement: float = 0.15
    energy_jump: float = 0.02
    static_force_warned: float = 0.05
    static_force_refused: float = 1.0
    poor_fit: float = 0.5
    no_fit: float = 0.9


DATA_LIMITS = DataLimits()


@dataclass(frozen=True)
class DataFindings:
    """What the checks found.

    Attributes
    ----------
    warnings : tuple of str
    repeated : tuple of int         frames, counted from 0, that say the same as an earlier one
    origins : tuple of int          group of each frame whose energies have one zero
    """

    warnings: tuple[str, ...]
    repeated: tuple[int, ...]
    origins: tuple[int, ...]

    def with_origins(self, rows: Sequence[LabelledFrame]) -> list[LabelledFrame]:
        """Frames with their origins, the same object where it was right."""
        pairs = zip(rows, self.origins, strict=True)
        return [each if each.origin == origin else replace(each, origin=origin) for each, origin in pairs]

    def distinct(self, rows: Sequence[LabelledFrame]) -> list[LabelledFrame]:
        """Frames without those that repeat an earlier one."""
        return [each for k, each in enumerate(rows) if k not in self.repeated]


def check_frames(
    path: Path, snapshots: Sequence[Snapshot], rows: Sequence[LabelledFrame], *, uses_stress: bool = False
) -> DataFindings:
    """Look through labelled frames.

    Parameters
    ----------
    path : Path
        Their file, for the messages.
    snapshots : sequence of Snapshot
    rows : sequence of LabelledFrame
        The same frames, matched to the crystal.
    uses_stress : bool
        Whether stresses are fitted.

    Raises
    ------
    DataError
        If a net force is absurd.
    """
    warnings = _check_net_forces(path, snapshots)
    repeated, lines = _find_repeated(path, rows)
    warnings += lines
    warnings += _check_displacements(path, rows)
    origins = energy_origins(rows)
    warnings += _describe_origins(path, rows, origins)
    warnings += _check_missing(path, snapshots, uses_stress=uses_stress)
    warnings += _name_set_aside(path, snapshots)
    return DataFindings(tuple(warnings), tuple(repeated), tuple(origins))


def check_fit(path: Path, force_field: ForceField) -> list[str]:
    """Look at the residual of a fit.

    Parameters
    ----------
    path : Path
        File of the data, for the message.
    force_field : ForceField

    Raises
    ------
    FitError
        If the expansion describes next to nothing of the forces, or the reference is no equilibrium.
    """
    found_static = _check_static_forces(path, force_field)
    training = force_field.training
    relative = training.rmse_force_ev_per_angstrom / training.force_rms_ev_per_angstrom
    if relative < DATA_LIMITS.poor_fit:
        return found_static
    found = (
        f"{path}: the fit leaves {100 * relative:.0f} % of the forces (rms displacement "
        f"{np.sqrt(3.0) * training.displacement_rms_angstrom:.2f} Å)"
    )
    if relative >= DATA_LIMITS.no_fit:
        raise FitError(
            f"{found}: an expansion about the sites of structure.file cannot describe these frames",
            fix="use frames at lower temperature, or another structure.file (a phase, a lattice constant)",
        )
    fix = (
        "lower the temperature, add an order, enlarge cutoffs_angstrom or local of expansion, or give files "
        "of displacements the structure in their order of atoms (--structure)"
    )
    return [*found_static, f"{found}; {fix}"]


def _check_static_forces(path: Path, force_field: ForceField) -> list[str]:
    """Look at the forces on undisplaced atoms, which the fit finds where symmetry allows them."""
    forces, sds = force_field.static_forces
    sizes = np.linalg.norm(forces, axis=1)
    certain = sizes - 2.0 * np.linalg.norm(sds, axis=1)
    worst = int(certain.argmax())
    if certain[worst] < DATA_LIMITS.static_force_warned:
        return []
    symbol = chemical_symbols[int(force_field.basis.crystal.numbers[worst])]
    found = (
        f"{path}: static forces up to {sizes[worst]:.2g} eV/Å (site {worst + 1}, {symbol}) act on the "
        "undisplaced atoms of structure.file"
    )
    fix = "relax it with the settings of these labels"
    if certain[worst] > DATA_LIMITS.static_force_refused:
        raise FitError(f"{found}, which is no equilibrium", fix=fix)
    return [f"{found}; errors are relative to forces without them; {fix}"]


def check_engines(
    path: Path, snapshots: Sequence[Snapshot], identities: Collection[str], *, force: bool
) -> list[str]:
    """Refuse to mix labels of different engine settings, or warn where that was asked for.

    Parameters
    ----------
    path : Path
        File of the frames, for the messages.
    snapshots : sequence of Snapshot
        Their provenance says, where a training of this program labelled them, by what.
    identities : collection of str
        Of the engine of this training, see `mlff_dyn.engines.base.label_identities`; empty without one.
    force : bool
        Whether to go on.

    Raises
    ------
    DataError
        If settings differ.
    """
    by_engine: dict[str, list[int]] = {}
    for number, snapshot in enumerate(snapshots, start=1):
        label = snapshot.provenance.labelled_by
        if label is not None:
            by_engine.setdefault(label, []).append(number)
    others = {label: numbers for label, numbers in by_engine.items() if label not in identities}
    if not others or (not identities and len(others) == 1):
        return []
    numbers = list(others.values())[0 if identities else -1]
    found = f"{path}, {_frames(numbers)}: labelled with other engine parameters"
    if not force:
        raise DataError(found, fix="leave them out, restore engine.parameters, or mix with --allow-mixed")
    return [f"{found}; mixed as asked for"]


def energy_origins(rows: Sequence[LabelledFrame]) -> list[int]:
    """Group frames whose energies have one zero.

    Energies at rest, estimated with the harmonic energy -1/2 sum F u, scatter by what is anharmonic; a gap
    that is larger than the harmonic energies themselves separates two zeros.
    """
    known = [k for k, frame in enumerate(rows) if frame.energy_ev is not None]
    origins = [0] * len(rows)
    if len(known) < 2:
        return origins
    works = np.array([0.5 * float(rows[k].forces @ rows[k].displacements.ravel()) for k in known])
    atoms = np.array([rows[k].n_atoms for k in known], float)
    energies = np.array([float(rows[k].energy_ev or 0.0) for k in known])
    at_rest = (energies + works) / atoms
    least = max(DATA_LIMITS.energy_jump, float(np.abs(works / atoms).max()))
    order = np.argsort(at_rest, kind="stable")
    groups = np.zeros(len(known), int)
    groups[order[1:]] = np.cumsum(np.diff(at_rest[order]) > least)
    seen: dict[int, int] = {}
    for k, group in zip(known, groups.tolist(), strict=True):
        origins[k] = seen.setdefault(group, len(seen))
    return origins


def _check_net_forces(path: Path, snapshots: Sequence[Snapshot]) -> list[str]:
    warned = []
    for number, snapshot in enumerate(snapshots, start=1):
        forces = snapshot.forces_ev_per_angstrom
        net = float(np.linalg.norm(forces.sum(axis=0)))
        size = float(np.sqrt(np.mean(forces**2)))
        if net < DATA_LIMITS.net_force_small or net / len(forces) < DATA_LIMITS.net_force_warned * size:
            continue
        if net / len(forces) > DATA_LIMITS.net_force_refused * size:
            raise DataError(
                f"{path}, frame {number}: the forces add up to {net:.3g} eV/Å, they should add up to zero",
                fix="look for missing atoms, an external field or another unit, or leave the frame out",
            )
        warned.append((number, net))
    if not warned:
        return []
    worst = max(net for _, net in warned)
    where = f"{path}, {_frames([number for number, _ in warned])}"
    return [f"{where}: net force up to {worst:.2g} eV/Å, which is taken away; converge the forces better"]


def _find_repeated(path: Path, rows: Sequence[LabelledFrame]) -> tuple[list[int], list[str]]:
    """Frames that repeat an earlier one, sought among those of the same mean square displacement."""
    repeated: list[int] = []
    lines = []
    sizes = np.array([float(np.linalg.norm(frame.displacements)) for frame in rows])
    order = np.argsort(sizes, kind="stable")
    for place, later in enumerate(order.tolist()):
        limit = DATA_LIMITS.same_displacement * np.sqrt(rows[later].n_atoms)
        for first in order[:place][::-1].tolist():
            if sizes[later] - sizes[first] > limit:
                break
            if not _is_same(rows[first], rows[later]):
                continue
            pair = sorted((first, later))
            if pair[1] in repeated:
                break
            repeated.append(pair[1])
            gap = np.abs(rows[first].forces - rows[later].forces).max()
            differ = gap > DATA_LIMITS.same_force * np.abs(rows[first].forces).max()
            what = f"repeats frame {pair[0] + 1}" + (" with other forces" if differ else "")
            lines.append((pair[1], f"{path}, frame {pair[1] + 1} {what} and is not counted; remove one"))
            break
    return sorted(repeated), [line for _, line in sorted(lines)]


def _is_same(first: LabelledFrame, second: LabelledFrame) -> bool:
    if first.supercell is not second.supercell:
        return False
    return bool(np.abs(first.displacements - second.displacements).max() < DATA_LIMITS.same_displacement)


def _check_displacements(path: Path, rows: Sequence[LabelledFrame]) -> list[str]:
    far = []
    for number, frame in enumerate(rows, start=1):
        bond = frame.supercell.basis.crystal.nearest_neighbor_distance
        if np.sqrt(3.0 * np.mean(frame.displacements**2)) > DATA_LIMITS.large_displacement * bond:
            far.append(number)
    if not far:
        return []
    share = 100 * DATA_LIMITS.large_displacement
    found = f"{path}, {_frames(far)}: rms displacement above {share:.0f} % of a bond"
    return [f"{found}, where crystals melt and expansions fail; leave them out or check structure.file"]


def _describe_origins(path: Path, rows: Sequence[LabelledFrame], origins: Sequence[int]) -> list[str]:
    if max(origins, default=0) == 0:
        return []
    lines = []
    for origin in range(1, max(origins) + 1):
        members = [k + 1 for k, o in enumerate(origins) if o == origin and rows[k].energy_ev is not None]
        lines.append(
            f"{path}, {_frames(members)}: energies with another zero than those of frame 1; each group gets "
            "its own, but check that all are of one engine and one setting"
        )
    return lines


def _check_missing(path: Path, snapshots: Sequence[Snapshot], *, uses_stress: bool) -> list[str]:
    lines = []
    labels = [("energy", [s.energy_ev is None for s in snapshots])]
    if uses_stress:
        labels.append(("stress", [s.stress_ev_per_angstrom3 is None for s in snapshots]))
    for name, missing in labels:
        if any(missing) and not all(missing):
            numbers = [number for number, is_missing in enumerate(missing, start=1) if is_missing]
            lines.append(f"{path}, {_frames(numbers)}: no {name}, which other frames have; label them alike")
    return lines


def _name_set_aside(path: Path, snapshots: Sequence[Snapshot]) -> list[str]:
    """Labels that contradicted all others when the training began, and given ones that are outgrown."""
    largest = max((len(each.positions) for each in snapshots if each.provenance.set_aside is None), default=0)
    lines = []
    for number, snapshot in enumerate(snapshots, start=1):
        label = snapshot.provenance
        if label.set_aside not in ("forces", "energy"):
            continue
        named = "the frame" if label.set_aside == "forces" else "the energy"
        advice = "calculate it again or remove it"
        if len(snapshot.positions) > largest > 0:
            advice = (
                f"its cell has {len(snapshot.positions)} atoms, no other frame more than {largest}: what "
                "reaches beyond the smaller cells needs it as structure.supercell; else remove it"
            )
        lines.append(f"{path}, frame {number}: {label.set_aside_because}; {named} is set aside, {advice}")
    numbers = [
        number
        for number, snapshot in enumerate(snapshots, start=1)
        if snapshot.provenance.set_aside == "outgrown" and not snapshot.provenance.is_calculation
    ]
    if numbers:
        labels = "they are" if len(numbers) > 1 else "it is"
        reason = snapshots[numbers[0] - 1].provenance.set_aside_because
        lines.append(f"{path}, {_frames(numbers)}: {reason}; {labels} set aside but for derivatives at rest")
    return lines


def _frames(numbers: Sequence[int]) -> str:
    """Write numbers of frames, runs of them as ranges, the first few only."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:5]]
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return ("frame " if len(numbers) == 1 else "frames ") + ", ".join(texts) + more
