"""The force kernel in plain numpy: slow, readable, and the measure of the compiled one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels.dynamics import Dynamics, MdRun, MdState, check_replicas, check_run
from mlff_dyn.kernels.gather import GatherTables, check_precision
from mlff_dyn.kernels.harmonic import check_harmonic
from mlff_dyn.kernels.local_tables import check_local
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.reference.local_energy import local_energy_forces
from mlff_dyn.kernels.reference.nodes import cell_chunks, group_starts, node_values, slot_variables
from mlff_dyn.kernels.reference.random_numbers import draw_gaussians
from mlff_dyn.kernels.threads import check_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.kernels.local_tables import LocalTerms
    from mlff_dyn.kernels.slot_atoms import SlotAtoms


class ForceKernel:
    """Energy, forces and molecular dynamics of one torus for given parameters.

    Parameters
    ----------
    tables : GatherTables
    parameters : ndarray, shape (n_parameters,)
    slot_atoms : SlotAtoms, or ndarray, shape (n_slots, n_cells), int32
        Atom that each slot of the tables means for each home cell.
    precision : str
        ``double`` or ``single``; this version computes in double in either case.
    n_threads : int or None
        Taken for the sake of the compiled version; this one has one thread.
    grid : tuple of 3 int, optional
        Extents of the torus; taken for the sake of the compiled version.
    harmonic : HarmonicTorus, optional
        Further interactions of order 2, between all atoms.
    local : LocalTerms, optional
        Functions of distances and angles.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """

    def __init__(
        self,
        tables: GatherTables,
        parameters: NDArray[np.float64],
        slot_atoms: SlotAtoms | NDArray[np.int32],
        precision: str = "double",
        n_threads: int | None = 1,
        *,
        grid: tuple[int, int, int] | None = None,  # noqa: ARG002 (the compiled version needs it)
        harmonic: HarmonicTorus | None = None,
        local: LocalTerms | None = None,
    ) -> None:
        check_precision(precision)
        check_threads(n_threads)
        check_shape("parameters", parameters, (tables.n_parameters,))
        self._place = place_tables(tables, slot_atoms)
        self.n_atoms = self._place.n_atoms
        self._harmonic = harmonic
        if harmonic is not None:
            check_harmonic(harmonic, self.n_atoms)
        self._local = None if local is None else check_local(local, self.n_atoms)
        self._coefficients = tables.entry_factors * parameters[tables.entry_parameters]
        orders = tables.polynomial.parameter_orders[tables.entry_parameters]
        self._starts = group_starts(tables.entry_targets, orders)
        self._targets = tables.entry_targets[self._starts]
        self._orders = orders[self._starts]

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Potential energy and forces; see `mlff_dyn.kernels.compiled.forces.ForceKernel.energy_forces`."""
        place, tables = self._place, self._place.tables
        displacements = place.check_displacements(displacements)
        by_site = displacements.reshape(place.n_sites, place.n_cells, 3)
        forces = np.zeros_like(by_site)
        energy = 0.0
        sites, axes = np.divmod(self._targets[:, None], 3)
        for cells in cell_chunks(place.n_cells, len(tables.entry_nodes) + len(tables.node_parents)):
            nodes = node_values(tables, slot_variables(place.slot_atoms.of_cells(cells), displacements))
            products = self._coefficients[:, None] * nodes[tables.entry_nodes]
            if len(self._starts):
                gradients = np.add.reduceat(products, self._starts, axis=0)
                np.subtract.at(forces, (sites, cells, axes), gradients)
                energy += float((by_site[sites, cells, axes] * gradients / self._orders[:, None]).sum())
        parts = [(energy, forces.reshape(-1, 3))]
        if self._harmonic is not None:
            parts.append(self._harmonic.energy_forces(displacements))
        if self._local is not None:
            parts.append(local_energy_forces(self._local, displacements))
        return sum(part[0] for part in parts), np.sum([part[1] for part in parts], axis=0)

    def run(self, state: MdState, dynamics: Dynamics, n_steps: int, sample_every: int) -> MdRun:
        """Molecular dynamics; see `mlff_dyn.kernels.dynamics` for the equations.

        See `mlff_dyn.kernels.compiled.forces.ForceKernel.run`.
        """
        check_run(state, dynamics, self.n_atoms, n_steps, sample_every)
        u, v, rng = state.displacements.copy(), state.velocities.copy(), state.rng
        inertias = dynamics.inertias[:, None]
        samples: list[tuple[NDArray[np.float64], NDArray[np.float64], float, float]] = []
        stopped: tuple[int, int] | None = None
        _, forces = self.energy_forces(u)
        for step in range(1, n_steps + 1):
            v += 0.5 * dynamics.timestep_fs * forces / inertias
            rng = _drift(u, v, rng, dynamics)
            distances = np.linalg.norm(u, axis=1)
            outside = ~((distances <= dynamics.displacement_limit) & np.isfinite(distances))
            if outside.any():
                stopped = (step, int(np.argmax(outside)))
                break
            energy, forces = self.energy_forces(u)
            v += 0.5 * dynamics.timestep_fs * forces / inertias
            if step % sample_every == 0:
                samples.append((u.copy(), v.copy(), energy, float(0.5 * (inertias * v**2).sum())))
        return MdRun(
            state=MdState(u, v, rng),
            displacements=np.array([sample[0] for sample in samples]).reshape(-1, self.n_atoms, 3),
            velocities=np.array([sample[1] for sample in samples]).reshape(-1, self.n_atoms, 3),
            potential_energies=np.array([sample[2] for sample in samples]),
            kinetic_energies=np.array([sample[3] for sample in samples]),
            stopped_step=None if stopped is None else stopped[0],
            stopped_atom=None if stopped is None else stopped[1],
        )

    def run_replicas(
        self, states: Sequence[MdState], dynamics: Sequence[Dynamics], n_steps: int, sample_every: int
    ) -> list[MdRun]:
        """Molecular dynamics of independent trajectories.

        See `mlff_dyn.kernels.compiled.forces.ForceKernel.run_replicas`.
        """
        check_replicas(states, dynamics, self.n_atoms, n_steps, sample_every)
        return [
            self.run(state, own, n_steps, sample_every) for state, own in zip(states, dynamics, strict=True)
        ]


def _drift(
    u: NDArray[np.float64], v: NDArray[np.float64], rng: NDArray[np.uint64], dynamics: Dynamics
) -> NDArray[np.uint64]:
    """Steps A O A (or A S A) in place, or a whole drift without friction; returns the random state."""
    if dynamics.friction_per_fs == 0.0:
        u += dynamics.timestep_fs * v
        return rng
    u += 0.5 * dynamics.timestep_fs * v
    rng = _langevin(v, rng, dynamics) if dynamics.thermostat == "langevin" else _bussi(v, rng, dynamics)
    u += 0.5 * dynamics.timestep_fs * v
    return rng


def _langevin(v: NDArray[np.float64], rng: NDArray[np.uint64], dynamics: Dynamics) -> NDArray[np.uint64]:
    """Step O in place; each atom takes four numbers of the batch and uses three."""
    gaussians, rng = draw_gaussians(rng, 4 * len(v))
    v *= dynamics.velocity_decay
    v += dynamics.velocity_kicks[:, None] * gaussians.reshape(-1, 4)[:, :3]
    v -= dynamics.inertias @ v / dynamics.inertias.sum()
    return rng


def _bussi(v: NDArray[np.float64], rng: NDArray[np.uint64], dynamics: Dynamics) -> NDArray[np.uint64]:
    """Step S in place."""
    n_freedoms = 3 * (len(v) - 1)
    kinetic = float(0.5 * (dynamics.inertias[:, None] * v**2).sum())
    if n_freedoms == 0 or not kinetic > 0.0:
        return rng
    gaussians, rng = draw_gaussians(rng, n_freedoms)
    decay = dynamics.velocity_decay
    ratio = 0.5 * dynamics.thermal_energy / kinetic
    scale = np.sqrt(decay) + np.sqrt((1.0 - decay) * ratio) * gaussians[0]
    rest = (1.0 - decay) * ratio * (gaussians[1:] ** 2).sum()
    v *= np.copysign(np.sqrt(scale**2 + rest), scale)
    return rng
