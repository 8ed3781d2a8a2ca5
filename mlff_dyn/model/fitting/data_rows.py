"""The rows of many labelled supercells, and their sums for a fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.lattice.deformation import to_voigt
from mlff_dyn.model.fitting.row_memory import RowMemory
from mlff_dyn.regression.data.binning import Binning, bin_rows
from mlff_dyn.regression.data.conditions import Conditions, RowKind
from mlff_dyn.regression.data.observations import Observations
from mlff_dyn.regression.data.sums import PackedStatistics, collect
from mlff_dyn.regression.linalg.packed import pack
from mlff_dyn.regression.linalg.triangles import collect_roots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.fitting.labelled_frame import FitOptions, LabelledRows
    from mlff_dyn.regression.fit.evidence import Hyperparameters

_N_STRESS = 6


@dataclass(frozen=True, eq=False)
class Block:
    """All rows of one labelled supercell: forces, then energy, then stress.

    Attributes
    ----------
    design : ndarray, shape (n_rows, n_parameters)
    free_design : ndarray, shape (n_rows, n_free)     columns of the zeros of energy and of the stress at rest
    targets : ndarray, shape (n_rows,)
    """

    design: NDArray[np.float64]
    free_design: NDArray[np.float64]
    targets: NDArray[np.float64]


class DataRows:
    """The rows of many labelled supercells, sorted by their noise.

    Energies are per atom and measured from the mean of their origin; origins with a single energy have none.
    The energy of a strained supercell contains the stress at rest, so it is a row only where that is fitted,
    to first order in the strain.

    Parameters
    ----------
    data : sequence of LabelledRows
    options : FitOptions
    memory : RowMemory, optional
        What earlier fits of the same data have made.
    """

    def __init__(
        self, data: Sequence[LabelledRows], options: FitOptions, memory: RowMemory | None = None
    ) -> None:
        self.data = tuple(data)
        self.memory = RowMemory(is_for_one_fit=True) if memory is None else memory
        stresses = [r.targets.stress_ev_per_angstrom3 for r in self.data if options.stress]
        known = [stress for stress in stresses if stress is not None]
        self.has_stress = len(known) > 1
        self.stress_mean = np.mean(known, axis=0) if self.has_stress else np.zeros(_N_STRESS)
        self.stress_rms = _spread([np.ravel(known - self.stress_mean)]) if self.has_stress else 0.0
        energies: dict[int, list[float]] = {}
        for rows in self.data if options.energies else ():
            energy = self._energy_per_atom(rows)
            if energy is not None:
                energies.setdefault(rows.origin, []).append(energy)
        self.energy_means = {k: float(np.mean(v)) for k, v in sorted(energies.items()) if len(v) > 1}
        self.energy_rms = _spread([np.array(energies[k]) - m for k, m in self.energy_means.items()])

    def _energy_per_atom(self, rows: LabelledRows) -> float | None:
        """Target of the energy without the work against the mean stress; None if it is no row."""
        strained = bool(rows.supercell.strain.any())
        if rows.targets.energy_ev is None or (strained and not self.has_stress):
            return None
        return rows.targets.energy_ev / rows.n_atoms - float(_stress_work(rows) @ self.stress_mean)

    @property
    def n_free(self) -> int:
        """Number of free parameters: a zero of energy per origin, and the stress at rest."""
        return len(self.energy_means) + (_N_STRESS if self.has_stress else 0)

    def has_energy_row(self, rows: LabelledRows) -> bool:
        """Whether the energy of a supercell is among the rows."""
        return self._energy_per_atom(rows) is not None and rows.origin in self.energy_means

    def has_stress_rows(self, rows: LabelledRows) -> bool:
        """Whether the stress of a supercell is among the rows."""
        return self.has_stress and rows.stress_ev_per_angstrom3 is not None

    def conditions(self, rows: LabelledRows) -> tuple[Conditions, NDArray[np.int64]]:
        """Conditions of atoms, energy and stress of a supercell, and the number of rows of each."""
        kinds = [int(RowKind.ENERGY)] * self.has_energy_row(rows)
        kinds += [int(RowKind.STRESS)] * self.has_stress_rows(rows)
        own, n_more = rows.conditions, len(kinds)
        if not kinds:
            return own, np.full(len(own.kinds), 3)
        together = Conditions(
            np.append(own.amplitudes, np.full(n_more, rows.amplitude_angstrom)),
            np.append(own.ratios, np.ones(n_more)),
            np.append(own.kinds, np.array(kinds, np.int64)),
        )
        sizes = {int(RowKind.FORCE): 3, int(RowKind.ENERGY): 1, int(RowKind.STRESS): _N_STRESS}
        return together, np.array([sizes[int(kind)] for kind in together.kinds])

    def block(self, rows: LabelledRows) -> Block:
        """Rows of a supercell."""
        design, wanted, extra = self.memory.force_rows(rows), rows.targets, self.other_rows(rows)
        if extra is None:
            return Block(design, np.zeros((len(design), self.n_free)), wanted.forces)
        free = np.concatenate([np.zeros((len(design), self.n_free)), extra.free_design])
        return Block(
            np.concatenate([design, extra.design]), free, np.concatenate([wanted.forces, extra.targets])
        )

    def other_rows(self, rows: LabelledRows) -> Block | None:
        """Rows of the energy and of the stress of a supercell, if it has any."""
        wanted, parts, targets, free = rows.targets, [], [], []
        energy = self._energy_per_atom(rows)
        if energy is not None and rows.origin in self.energy_means:
            parts.append(self.memory.energy_row(rows)[None] / rows.n_atoms)
            targets.append(np.array([energy - self.energy_means[rows.origin]]))
            own = np.zeros((1, self.n_free))
            own[0, list(self.energy_means).index(rows.origin)] = 1.0
            if self.has_stress:
                own[0, len(self.energy_means) :] = _stress_work(rows)
            free.append(own)
        if self.has_stress_rows(rows):
            parts.append(self.memory.stress_rows(rows))
            targets.append(np.asarray(wanted.stress_ev_per_angstrom3) - self.stress_mean)
            free.append(np.eye(self.n_free)[len(self.energy_means) :])
        return Block(*map(np.concatenate, (parts, free, targets))) if parts else None

    @cached_property
    def binning(self) -> Binning:
        """Atoms, energies and stresses of all supercells sorted by noise."""
        n_columns = self.data[0].supercell.basis.n_parameters + self.n_free
        found = [conditions for conditions, _ in self._conditions]
        together = Conditions(
            *(np.concatenate([getattr(c, name) for c in found]) for name in ("amplitudes", "ratios", "kinds"))
        )
        return bin_rows(together, n_columns)

    def row_labels(self, index: int) -> NDArray[np.int64]:
        """Bin of each row of a supercell."""
        return self._labels[index]

    def weight_variances(self, hyperparameters: Hyperparameters) -> NDArray[np.float64]:
        """Variance of the rows of each bin in a fit."""
        counts = np.bincount(np.concatenate(self._labels), minlength=len(self.binning))
        return hyperparameters.weight_variances(self.binning.centers, counts)

    @cached_property
    def _conditions(self) -> list[tuple[Conditions, NDArray[np.int64]]]:
        return [self.conditions(rows) for rows in self.data]

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
        labels = [self.row_labels(index)[: len(rows.forces)] for index, rows in enumerate(self.data)]
        sums = self.memory.sums(self.data, labels, keys, (scale, binning.widths))
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

    def _row_blocks(
        self, scale: NDArray[np.float64]
    ) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
        """All rows by bin: its number, the columns of `observations`, and the targets."""
        for index, rows in enumerate(self.data):
            block, labels = self.block(rows), self.row_labels(index)
            design = np.hstack([block.free_design, block.design / scale])
            for label in np.unique(labels).tolist():
                here = labels == label
                yield label, design[here], block.targets[here]

    def _other_parts(self) -> dict[int, list[tuple[NDArray[np.float64], ...]]]:
        """Rows of energies and stresses by bin: design, free design, targets."""
        parts: dict[int, list[tuple[NDArray[np.float64], ...]]] = {}
        for index, rows in enumerate(self.data):
            block = self.other_rows(rows)
            if block is None:
                continue
            labels = self.row_labels(index)[len(rows.forces) :]
            for label in np.unique(labels).tolist():
                here = labels == label
                part = (block.design[here], block.free_design[here], block.targets[here])
                parts.setdefault(label, []).append(part)
        return parts


def _stress_work(rows: LabelledRows) -> NDArray[np.float64]:
    """Energy per atom that a strained supercell has per component of the stress at rest, Å³; shape (6,)."""
    counts = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    volume_per_atom = rows.supercell.torus.volume / rows.n_atoms
    return np.asarray(volume_per_atom * counts * to_voigt(rows.supercell.strain))


def _spread(parts: list[NDArray[np.float64]]) -> float:
    values = np.concatenate(parts) if parts else np.zeros(0)
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
