"""The data of a fit: labelled frames, their rows, the sums over them, and where earlier searches ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import FitError
from mlff_dyn.kernels.strain.moves import strain_components
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.labelled_frame import DEFAULT_OPTIONS, FitOptions, stress_design
from mlff_dyn.regression.data.binning import Binning, bin_rows
from mlff_dyn.regression.data.conditions import Conditions, RowKind
from mlff_dyn.regression.data.growing_sums import GrowingSums
from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import PackedStatistics, collect
from mlff_dyn.regression.linalg.packed import pack
from mlff_dyn.regression.linalg.triangles import collect_roots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.regression.fit.evidence import Hyperparameters
    from mlff_dyn.regression.fit.posterior import Posterior

_N_STRESS = 6
_MOST_BYTES = 2**29

_StartKey = tuple[FitOptions, bool, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of one labelled frame.

    Attributes
    ----------
    design : ndarray, shape (n_rows, n_parameters)
    free_design : ndarray, shape (n_rows, n_free)     columns of the zeros of energy and of the stress at rest
    targets : ndarray, shape (n_rows,)
    """

    design: NDArray[np.float64]
    free_design: NDArray[np.float64]
    targets: NDArray[np.float64]


@dataclass
class _Kept:
    """What data with the same beginning share: rows of frames, sums over the first, ends of searches."""

    frames: list[LabelledFrame]
    room: int
    forces: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    energies: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    stresses: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    sums: GrowingSums | None = None
    starts: dict[_StartKey, Hyperparameters] = field(default_factory=dict)
    variances: dict[int, tuple[Posterior, NDArray[np.float64]]] = field(default_factory=dict)
    nested: dict[int, FitData] = field(default_factory=dict)


class FitData:
    """Labelled frames of one basis as data of a fit; new frames make new data that share what is known.

    Energies are per atom and measured from the mean of their origin; origins with a single energy have none.
    The energy of a strained supercell contains the stress at rest, so it is a row only where that is fitted,
    to first order in the strain.

    Parameters
    ----------
    frames : sequence of LabelledFrame
    options : FitOptions
        Kinds of rows beyond forces.
    grows : bool
        Whether there are fits to fewer of the frames, so that each search begins where that of a little less
        data ended. A fit depends on the order of the frames then, by a fraction of its errors.
    most_bytes : int
        Of the rows that are kept; those of further frames are made whenever they are needed. Results do not
        depend on it.

    Examples
    --------
    A frame of fcc copper at rest and one with a displaced atom.

    >>> import numpy as np
    >>> from ase.build import bulk
    >>> from mlff_dyn.lattice.basis import build_basis
    >>> from mlff_dyn.lattice.crystal import build_crystal
    >>> from mlff_dyn.lattice.torus import input_supercell
    >>> from mlff_dyn.model.expansion import Expansion
    >>> from mlff_dyn.model.fitting.labelled_frame import labelled_frame
    >>> cell = bulk("Cu", "fcc", a=3.6, cubic=True)
    >>> crystal = build_crystal(cell.cell.array, cell.positions, cell.numbers)
    >>> supercell = Expansion(build_basis(crystal, {2: 3.0})).on(input_supercell(crystal, (2, 2, 2)))
    >>> moved = 0.05 * np.eye(32, 3)
    >>> data = FitData([labelled_frame(supercell, 0.0 * moved, 0.0 * moved, energy_ev=0.0)])
    >>> more = data.extended([labelled_frame(supercell, moved, -2.0 * moved, energy_ev=0.1)])
    >>> len(data), len(more)
    (1, 2)
    """

    def __init__(
        self,
        frames: Sequence[LabelledFrame] = (),
        options: FitOptions = DEFAULT_OPTIONS,
        *,
        grows: bool = False,
        most_bytes: int = _MOST_BYTES,
        _kept: _Kept | None = None,
    ) -> None:
        self.frames = tuple(frames)
        self.options = options
        self.grows = grows
        self._most_bytes = most_bytes
        self._kept = _Kept(list(self.frames), most_bytes) if _kept is None else _kept

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def extended(self, frames: Sequence[LabelledFrame]) -> FitData:
        """Return the data with further frames."""
        return self.updated([*self.frames, *frames])

    def first(self, n_frames: int) -> FitData:
        """Return the data of the first frames."""
        return self.updated(self.frames[:n_frames])

    def with_options(self, options: FitOptions, *, grows: bool = False) -> FitData:
        """Return the data of the same frames with other kinds of rows; what is known of forces is shared."""
        return FitData(self.frames, options, grows=grows, most_bytes=self._most_bytes, _kept=self._kept)

    def up_to(self, order: int) -> FitData:
        """Return the data of the same frames for the expansion without the orders above one."""
        whole = self.expansion
        if order >= max(whole.basis.orders):
            return self
        known = self._kept.nested.get(order)
        if known is None:
            part, laid = Expansion(whole.basis.up_to(order), whole.long_range, whole.local), []
            known = FitData(most_bytes=self._most_bytes)
        else:
            part, laid = known.expansion, known._kept.frames
        frames = [
            laid[k]
            if k < len(laid) and _same_labels(frame, laid[k]) and frame.origin == laid[k].origin
            else replace(frame, supercell=part.on(frame.supercell.torus, frame.supercell.strain))
            for k, frame in enumerate(self.frames)
        ]
        found = known.with_options(self.options, grows=self.grows).updated(frames)
        self._kept.nested[order] = found
        return found

    def updated(self, frames: Sequence[LabelledFrame]) -> FitData:
        """Return the data of given frames; what is known of the same frames in the same places is kept."""
        kept, frames = self._kept, list(frames)
        common = 0
        while common < min(len(frames), len(kept.frames)) and _same_rows(frames[common], kept.frames[common]):
            common += 1
        if common < min(len(frames), len(kept.frames)):
            kept = self._branch(frames, common)
        else:
            kept.frames += frames[len(kept.frames) :]
        return FitData(frames, self.options, grows=self.grows, most_bytes=self._most_bytes, _kept=kept)

    def _branch(self, frames: list[LabelledFrame], common: int) -> _Kept:
        """Return what holds for the first frames alone."""
        old, new = self._kept, _Kept(list(frames), self._most_bytes)
        new.forces = {k: rows for k, rows in old.forces.items() if k < common}
        new.energies = {k: row for k, row in old.energies.items() if k < common}
        new.stresses = {k: rows for k, rows in old.stresses.items() if k < common}
        new.room -= sum(rows.nbytes for rows in new.forces.values())
        new.starts = {key: start for key, start in old.starts.items() if len(key[-1]) <= common}
        new.nested = dict(old.nested)
        return new

    @property
    def start(self) -> Hyperparameters | None:
        """Hyperparameters of a fit to exactly these data, where it is known."""
        return self._kept.starts.get(self._start_key)

    def remember(self, hyperparameters: Hyperparameters) -> None:
        """Keep the hyperparameters of a fit to these data."""
        self._kept.starts[self._start_key] = hyperparameters

    @property
    def _start_key(self) -> _StartKey:
        """All that data which share what is kept may have different, the origins of the frames last."""
        return self.options, self.grows, tuple(frame.origin for frame in self.frames)

    @property
    def expansion(self) -> Expansion:
        """The energy whose parameters are fitted.

        Raises
        ------
        FitError
            If there are no frames.
        """
        if not self.frames:
            raise FitError("there is no labelled snapshot", fix="label some or give --dataset")
        return self.frames[0].supercell.expansion

    def force_rows(self, index: int) -> NDArray[np.float64]:
        """Rows of the forces of a frame, shape (3 * n_atoms, n_parameters); not to be changed."""
        kept = self._kept
        if index in kept.forces:
            return kept.forces[index]
        rows, energy = self.frames[index].supercell.rows(self.frames[index].displacements)
        kept.energies[index] = energy
        if rows.nbytes <= kept.room:
            kept.forces[index] = rows
            kept.room -= rows.nbytes
        return rows

    def force_variances(self, index: int, posterior: Posterior) -> NDArray[np.float64]:
        """Epistemic variance of the forces of a frame, shape (3 * n_atoms,), (eV/Å)²."""
        known = self._kept.variances.get(index)
        if known is not None and known[0] is posterior:
            return known[1]
        return posterior.variance(self.force_rows(index))

    def keep_variances(self, index: int, posterior: Posterior, variances: NDArray[np.float64]) -> None:
        """Keep the epistemic variance of the forces of a frame, found on the way to something else."""
        self._kept.variances[index] = (posterior, variances)

    def energy_row(self, index: int) -> NDArray[np.float64]:
        """Row of the energy of a frame, shape (n_parameters,)."""
        if index not in self._kept.energies:
            self.force_rows(index)
        return self._kept.energies[index]

    def stress_rows(self, index: int) -> NDArray[np.float64]:
        """Rows of the stress of a frame, shape (6, n_parameters); see `stress_design`."""
        known = self._kept.stresses
        if index not in known:
            frame = self.frames[index]
            known[index] = stress_design(frame.supercell, frame.displacements, self.force_rows(index))
        return known[index]

    @cached_property
    def stress_components(self) -> NDArray[np.int64]:
        """Components that are fitted: all, or those of a sheet in its plane; see `Crystal`."""
        if not self.frames:
            return np.arange(_N_STRESS)
        return self.frames[0].supercell.torus.crystal.stress_components

    @cached_property
    def stress_mean(self) -> NDArray[np.float64] | None:
        """Mean of the stresses that are fitted, shape (n_components,), eV/Å³; None where there are no two."""
        known = [frame.targets.stress_ev_per_angstrom3 for frame in self.frames if self.options.stress]
        told = [stress for stress in known if stress is not None]
        return np.mean(told, axis=0)[self.stress_components] if len(told) > 1 else None

    @property
    def has_stress(self) -> bool:
        """Whether stresses are fitted."""
        return self.stress_mean is not None

    @property
    def stress_rms(self) -> float:
        """Size of the stresses about their mean."""
        return _rms([self._stress_target(k) for k in range(len(self.frames)) if self.has_stress_rows(k)])

    def _stress_target(self, index: int) -> NDArray[np.float64]:
        stress = np.asarray(self.frames[index].targets.stress_ev_per_angstrom3)
        return np.asarray(stress[self.stress_components] - self._mean_stress)

    @property
    def _mean_stress(self) -> NDArray[np.float64]:
        return np.zeros(len(self.stress_components)) if self.stress_mean is None else self.stress_mean

    @cached_property
    def _energies(self) -> list[float | None]:
        """Target of the energy of each frame without the work against the mean stress; None if no row."""
        return [
            None
            if not self.options.energies
            or frame.targets.energy_ev is None
            or (frame.supercell.strain.any() and not self.has_stress)
            else frame.targets.energy_ev / frame.n_atoms - float(self._stress_work(frame) @ self._mean_stress)
            for frame in self.frames
        ]

    @cached_property
    def energy_means(self) -> dict[int, float]:
        """Mean energy per atom of each origin with two or more, eV."""
        found: dict[int, list[float]] = {}
        for frame, energy in zip(self.frames, self._energies, strict=True):
            if energy is not None:
                found.setdefault(frame.origin, []).append(energy)
        return {origin: float(np.mean(each)) for origin, each in sorted(found.items()) if len(each) > 1}

    @property
    def energy_rms(self) -> float:
        """Size of the energies per atom about the means of their origins, eV."""
        return _rms([self._energy_target(k) for k in range(len(self.frames)) if self.has_energy_row(k)])

    def _energy_target(self, index: int) -> NDArray[np.float64]:
        return np.array([self._energies[index]], float) - self.energy_means[self.frames[index].origin]

    @property
    def n_free(self) -> int:
        """Number of free parameters: a zero of energy per origin, and the stress at rest."""
        return len(self.energy_means) + (len(self.stress_components) if self.has_stress else 0)

    def _stress_work(self, frame: LabelledFrame) -> NDArray[np.float64]:
        """Energy per atom that a strained supercell has per component of the stress at rest, Å³."""
        volume_per_atom = frame.supercell.torus.volume / frame.n_atoms
        work = volume_per_atom * strain_components(frame.supercell.strain)
        return np.asarray(work[self.stress_components])

    def has_energy_row(self, index: int) -> bool:
        """Whether the energy of a frame is among the rows."""
        return self._energies[index] is not None and self.frames[index].origin in self.energy_means

    def has_stress_rows(self, index: int) -> bool:
        """Whether the stress of a frame is among the rows."""
        return self.has_stress and self.frames[index].stress_ev_per_angstrom3 is not None

    def block(self, index: int) -> Block:
        """All rows of a frame: forces, then energy, then stress."""
        design, targets = self._force_block(index)
        extra = self._other_rows(index)
        free = np.zeros((len(design), self.n_free))
        if extra is None:
            return Block(design, free, targets)
        return Block(
            np.concatenate([design, extra.design]),
            np.concatenate([free, extra.free_design]),
            np.concatenate([targets, extra.targets]),
        )

    def _force_block(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.force_rows(index), self.frames[index].targets.forces

    def _other_rows(self, index: int) -> Block | None:
        """Rows of the energy and of the stress of a frame, if it has any."""
        frame, n_zeros = self.frames[index], len(self.energy_means)
        parts, targets, free = [], [], []
        if self.has_energy_row(index):
            parts.append(self.energy_row(index)[None] / frame.n_atoms)
            targets.append(self._energy_target(index))
            own = np.zeros((1, self.n_free))
            own[0, list(self.energy_means).index(frame.origin)] = 1.0
            if self.has_stress:
                own[0, n_zeros:] = self._stress_work(frame)
            free.append(own)
        if self.has_stress_rows(index):
            parts.append(self.stress_rows(index)[self.stress_components])
            targets.append(self._stress_target(index))
            free.append(np.eye(self.n_free)[n_zeros:])
        return Block(*map(np.concatenate, (parts, free, targets))) if parts else None

    def conditions(self, index: int) -> tuple[Conditions, NDArray[np.int64]]:
        """Conditions of atoms, energy and stress of a frame, and the number of rows of each."""
        frame = self.frames[index]
        own, n_atoms = frame.conditions, len(frame.conditions.kinds)
        kinds = [int(RowKind.ENERGY)] * self.has_energy_row(index)
        kinds += [int(RowKind.STRESS)] * self.has_stress_rows(index)
        sizes = {int(RowKind.ENERGY): 1, int(RowKind.STRESS): len(self.stress_components)}
        together = Conditions(
            np.append(own.amplitudes, np.full(len(kinds), frame.amplitude_angstrom)),
            np.append(own.ratios, np.ones(len(kinds))),
            np.append(own.kinds, np.array(kinds, np.int64)),
        )
        return together, np.array([3] * n_atoms + [sizes[kind] for kind in kinds])

    @cached_property
    def binning(self) -> Binning:
        """Atoms, energies and stresses of all frames sorted by noise."""
        n_columns = self.expansion.n_parameters + self.n_free
        return bin_rows(Conditions.joined([conditions for conditions, _ in self._conditions]), n_columns)

    def row_labels(self, index: int) -> NDArray[np.int64]:
        """Bin of each row of a frame."""
        return self._labels[index]

    @cached_property
    def row_counts(self) -> NDArray[np.int64]:
        """Number of rows in each bin."""
        return np.bincount(np.concatenate(self._labels), minlength=len(self.binning))

    def weight_variances(self, hyperparameters: Hyperparameters) -> NDArray[np.float64]:
        """Variance of the rows of each bin in a fit."""
        return hyperparameters.weight_variances(self.binning.centers, self.row_counts)

    @cached_property
    def _conditions(self) -> list[tuple[Conditions, NDArray[np.int64]]]:
        return [self.conditions(index) for index in range(len(self.frames))]

    @cached_property
    def _labels(self) -> list[NDArray[np.int64]]:
        sizes = [of_rows for _, of_rows in self._conditions]
        ends = np.cumsum([0, *map(len, sizes)])
        return [
            np.repeat(self.binning.labels[start : start + len(each)], each)
            for start, each in zip(ends[:-1], sizes, strict=True)
        ]

    def observations(self, scale: NDArray[np.float64]) -> Observations:
        """Sums over the rows of each bin, columns divided by ``scale`` (n_parameters,)."""
        binning, n = self.binning, self.n_free + len(scale)
        keys = [(int(a), int(r), int(kind)) for a, r, kind in binning.keys]
        labels = [self._labels[k][: len(frame.forces)] for k, frame in enumerate(self.frames)]
        sums = self._growing_sums(scale, binning.widths).up_to(self._force_block, labels, keys)
        others = self._other_parts()
        stack = np.zeros((len(keys), n * (n + 1) // 2))
        totals = []
        for label, (key, packed) in enumerate(zip(keys, stack, strict=True)):
            if key[2] == RowKind.FORCE:
                part = sums[key]
                packed[-len(scale) * (len(scale) + 1) // 2 :] = pack(part.gram)
                moment = np.concatenate([np.zeros(self.n_free), part.moment])
                totals.append(PackedStatistics(packed, moment, part.target_sq, part.n_targets))
            else:
                block = Block(*map(np.concatenate, zip(*others[label], strict=True)))
                found = collect(np.hstack([block.free_design, block.design / scale]), block.targets)
                packed[:] = found.packed
                totals.append(PackedStatistics(packed, found.moment, found.target_sq, found.n_targets))
        centers = binning.centers
        return Observations(
            tuple(totals),
            centers.amplitudes,
            centers.ratios,
            centers.kinds,
            self.n_free,
            stack,
            rows=lambda: collect_roots(self._row_blocks(scale), len(keys), n),
        )

    def _growing_sums(self, scale: NDArray[np.float64], widths: tuple[float, float]) -> GrowingSums:
        """Return the sums that are kept, begun anew where they do not serve these data."""
        known = self._kept.sums
        if known is None or not known.serves(scale, widths, len(self)):
            known = self._kept.sums = GrowingSums(scale, widths)
        return known

    def _row_blocks(
        self, scale: NDArray[np.float64]
    ) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
        """All rows by bin: its number, the columns of `observations`, and the targets."""
        for index in range(len(self.frames)):
            block, labels = self.block(index), self._labels[index]
            design = np.hstack([block.free_design, block.design / scale])
            for label in np.unique(labels).tolist():
                here = labels == label
                yield label, design[here], block.targets[here]

    def _other_parts(self) -> dict[int, list[tuple[NDArray[np.float64], ...]]]:
        """Rows of energies and stresses by bin: design, free design, targets."""
        parts: dict[int, list[tuple[NDArray[np.float64], ...]]] = {}
        for index, frame in enumerate(self.frames):
            block = self._other_rows(index)
            if block is None:
                continue
            labels = self._labels[index][len(frame.forces) :]
            for label in np.unique(labels).tolist():
                here = labels == label
                part = (block.design[here], block.free_design[here], block.targets[here])
                parts.setdefault(label, []).append(part)
        return parts


def _same_rows(first: LabelledFrame, second: LabelledFrame) -> bool:
    """Whether two frames differ in their origin at most."""
    return first is second or (first.supercell is second.supercell and _same_labels(first, second))


def _same_labels(first: LabelledFrame, second: LabelledFrame) -> bool:
    """Whether two frames are of one snapshot."""
    return (
        first.displacements is second.displacements
        and first.forces is second.forces
        and first.energy_ev == second.energy_ev
        and first.stress_ev_per_angstrom3 is second.stress_ev_per_angstrom3
    )


def _rms(parts: list[NDArray[np.float64]]) -> float:
    values = np.concatenate(parts) if parts else np.zeros(0)
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
