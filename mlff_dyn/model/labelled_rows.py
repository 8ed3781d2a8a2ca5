"""Labelled supercells as rows of the linear model, and their sums for a fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.lattice.strain import stress_of_displacing, to_voigt
from mlff_dyn.regression.binning import Binning, bin_rows
from mlff_dyn.regression.evidence import Observations
from mlff_dyn.regression.noise import Conditions, RowKind
from mlff_dyn.regression.statistics import collect, no_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.expansion import SupercellExpansion

_CHUNK_BYTES = 2**26
_N_STRESS = 6


@dataclass(frozen=True)
class FitOptions:
    """Kinds of rows in the likelihood beyond forces.

    Attributes
    ----------
    energies : bool
    stress : bool
    """

    energies: bool = True
    stress: bool = False


class Targets(NamedTuple):
    """Forces (3 * n_atoms,), energy and stress (6,) that rows are to give; eV/Å, eV, eV/Å³."""

    forces: NDArray[np.float64]
    energy_ev: float | None
    stress_ev_per_angstrom3: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """One labelled supercell as rows of the linear model, which are made when they are needed.

    Attributes
    ----------
    supercell : SupercellExpansion
    displacements : ndarray, shape (n_atoms, 3)               Å
    forces : ndarray, shape (3 * n_atoms,)                    eV/Å
    energy_ev : float or None
    stress_ev_per_angstrom3 : ndarray, shape (6,), or None    xx, yy, zz, yz, xz, xy, positive under tension
    origin : int                                              snapshots of one origin share the zero of energy
    """

    supercell: SupercellExpansion
    displacements: NDArray[np.float64]
    forces: NDArray[np.float64]
    energy_ev: float | None
    stress_ev_per_angstrom3: NDArray[np.float64] | None = None
    origin: int = 0

    @cached_property
    def amplitude_angstrom(self) -> float:
        """Relative amplitude, see `SupercellExpansion.amplitude`."""
        return self.supercell.amplitude(self.displacements)

    @cached_property
    def conditions(self) -> Conditions:
        """What the noise of the force on each atom depends on."""
        return self.supercell.force_conditions(self.displacements)

    @cached_property
    def targets(self) -> Targets:
        """What the rows are to give: the labels without the long-range interaction."""
        dipoles = self.supercell.dipole_dipole
        if dipoles is None:
            return Targets(self.forces, self.energy_ev, self.stress_ev_per_angstrom3)
        energy, forces = dipoles.energy_forces(self.displacements)
        stress = self.stress_ev_per_angstrom3
        return Targets(
            self.forces - forces.ravel(),
            None if self.energy_ev is None else self.energy_ev - energy,
            None if stress is None else stress - _dipole_stress(self.supercell, self.displacements, forces),
        )

    @property
    def n_atoms(self) -> int:
        """Atoms of the supercell."""
        return len(self.displacements)

    @property
    def n_cells(self) -> int:
        """Primitive cells of the supercell."""
        return self.supercell.torus.n_cells

    @property
    def force_rows(self) -> NDArray[np.float64]:
        """Rows of the forces, shape (3 * n_atoms, n_parameters); made anew at every call."""
        return self.supercell.rows(self.displacements)[0]


def label_rows(
    supercell: SupercellExpansion,
    displacements: NDArray[np.float64],
    forces: NDArray[np.float64],
    energy_ev: float | None,
    stress_ev_per_angstrom3: NDArray[np.float64] | None = None,
    *,
    origin: int = 0,
) -> LabelledRows:
    """Turn one labelled supercell into rows.

    Parameters
    ----------
    supercell : SupercellExpansion
    displacements, forces : ndarray, shape (n_atoms, 3)     Å, eV/Å; in the atom order of the torus
    energy_ev : float or None
    stress_ev_per_angstrom3 : ndarray, shape (6,), optional
    origin : int
        Snapshots of one origin share the zero of energy.
    """
    check_shape("forces", forces, displacements.shape)
    return LabelledRows(
        supercell=supercell,
        displacements=displacements,
        forces=(forces - forces.mean(axis=0)).ravel(),
        energy_ev=energy_ev,
        stress_ev_per_angstrom3=stress_ev_per_angstrom3,
        origin=origin,
    )


def stress_design(
    supercell: SupercellExpansion, displacements: NDArray[np.float64], force_rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rows of the stress of a strain that moves sites and displaced atoms alike, as ASE defines it.

    Parameters
    ----------
    supercell : SupercellExpansion
    displacements : ndarray, shape (n_atoms, 3)                        Å
    force_rows : ndarray, shape (3 * n_atoms, n_parameters)

    Returns
    -------
    ndarray, shape (6, n_parameters)
        Measured from the stress of the undisplaced crystal: stress = row @ parameters, eV/Å³.
    """
    by_axis = force_rows.reshape(len(displacements), 3, -1)
    return np.asarray(supercell.stress_rows(displacements) + _taken_along(supercell, displacements, by_axis))


def _taken_along(
    supercell: SupercellExpansion, displacements: NDArray[np.float64], forces: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Stress of displaced atoms that a strain takes along against forces (n_atoms, 3, ...)."""
    return stress_of_displacing(forces, displacements, supercell.strain) / supercell.volume


def _dipole_stress(
    supercell: SupercellExpansion, displacements: NDArray[np.float64], forces: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Stress of the long-range interaction, whose forces are given, beyond that of the crystal at rest."""
    if supercell.long_range is None:
        return np.zeros(_N_STRESS)
    of_sites = supercell.long_range.stress_of_sites(supercell.torus, displacements)
    return of_sites + _taken_along(supercell, displacements, forces)


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
    """

    def __init__(self, data: Sequence[LabelledRows], options: FitOptions) -> None:
        self.data = tuple(data)
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
        together = Conditions(
            np.append(own.amplitudes, np.full(n_more, rows.amplitude_angstrom)),
            np.append(own.ratios, np.ones(n_more)),
            np.append(own.kinds, np.array(kinds, np.int64)),
        )
        sizes = {int(RowKind.FORCE): 3, int(RowKind.ENERGY): 1, int(RowKind.STRESS): _N_STRESS}
        return together, np.array([sizes[int(kind)] for kind in together.kinds])

    def block(self, rows: LabelledRows) -> Block:
        """Make the rows of a supercell."""
        force_rows, energy_row = rows.supercell.rows(rows.displacements)
        wanted = rows.targets
        parts, targets = [force_rows], [wanted.forces]
        n_atoms, n_forces = rows.n_atoms, len(rows.forces)
        free = np.zeros((n_forces + 1 + _N_STRESS, self.n_free))
        energy = self._energy_per_atom(rows)
        if energy is not None and rows.origin in self.energy_means:
            parts.append(energy_row[None] / n_atoms)
            targets.append(np.array([energy - self.energy_means[rows.origin]]))
            free[n_forces, list(self.energy_means).index(rows.origin)] = 1.0
            if self.has_stress:
                free[n_forces, len(self.energy_means) :] = _stress_work(rows)
        if self.has_stress_rows(rows):
            first = sum(map(len, targets))
            parts.append(stress_design(rows.supercell, rows.displacements, force_rows))
            targets.append(np.asarray(wanted.stress_ev_per_angstrom3) - self.stress_mean)
            free[first : first + _N_STRESS, len(self.energy_means) :] = np.eye(_N_STRESS)
        all_targets = np.concatenate(targets)
        return Block(np.concatenate(parts), free[: len(all_targets)], all_targets)

    @cached_property
    def binning(self) -> Binning:
        """Atoms, energies and stresses of all supercells sorted by noise."""
        n_columns = self.data[0].supercell.basis.n_parameters + self.n_free
        found = [self.conditions(rows)[0] for rows in self.data]
        together = Conditions(
            *(np.concatenate([getattr(c, name) for c in found]) for name in ("amplitudes", "ratios", "kinds"))
        )
        return bin_rows(together, n_columns)

    def row_labels(self, index: int) -> NDArray[np.int64]:
        """Bin of each row of a supercell."""
        sizes = self.conditions(self.data[index])[1]
        start = self._starts[index]
        return np.repeat(self.binning.labels[start : start + len(sizes)], sizes)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        counts = [len(self.conditions(rows)[1]) for rows in self.data]
        return np.concatenate([[0], np.cumsum(counts)])

    def observations(self, scale: NDArray[np.float64]) -> Observations:
        """Sums over the rows of each bin, columns divided by ``scale`` (n_parameters,)."""
        totals = [no_data(self.n_free + len(scale)) for _ in range(len(self.binning))]
        for design, targets, labels in self._chunks(scale):
            for label in np.unique(labels):
                here = labels == label
                totals[label] = totals[label] + collect(design[here], targets[here])
        centers = self.binning.centers
        return Observations(tuple(totals), centers.amplitudes, centers.ratios, centers.kinds, self.n_free)

    def _chunks(
        self, scale: NDArray[np.float64]
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]]:
        """Rows, targets and bins of as many supercells as fit into a chunk of memory."""
        designs, targets, labels, size = [], [], [], 0
        for index, rows in enumerate(self.data):
            block = self.block(rows)
            designs.append(np.hstack([block.free_design, block.design / scale]))
            targets.append(block.targets)
            labels.append(self.row_labels(index))
            size += designs[-1].nbytes
            if size > _CHUNK_BYTES or index == len(self.data) - 1:
                yield np.concatenate(designs), np.concatenate(targets), np.concatenate(labels)
                designs, targets, labels, size = [], [], [], 0


def _stress_work(rows: LabelledRows) -> NDArray[np.float64]:
    """Energy per atom that a strained supercell has per component of the stress at rest, Å³; shape (6,)."""
    counts = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    volume_per_atom = rows.supercell.torus.volume / rows.n_atoms
    return np.asarray(volume_per_atom * counts * to_voigt(rows.supercell.strain))


def _spread(parts: list[NDArray[np.float64]]) -> float:
    values = np.concatenate(parts) if parts else np.zeros(0)
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
