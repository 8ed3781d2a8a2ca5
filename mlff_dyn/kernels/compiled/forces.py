"""The force kernel in C++."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.compiled.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.compiled.local_energy import local_arguments, work_of_local
from mlff_dyn.kernels.compiled.tables.lifted import build_lifted_chunks
from mlff_dyn.kernels.compiled.tables.site_groups import SiteGroup, build_site_groups
from mlff_dyn.kernels.compiled.tables.transform_plan import LOOK_UP, build_transform_plan, transforms_pairs
from mlff_dyn.kernels.dynamics import THERMOSTATS, Dynamics, MdRun, MdState, check_replicas, check_run
from mlff_dyn.kernels.gather import GatherTables, check_precision
from mlff_dyn.kernels.harmonic import check_harmonic, second_order
from mlff_dyn.kernels.local_tables import check_local
from mlff_dyn.kernels.pair_terms import BondTerms, build_bond_terms
from mlff_dyn.kernels.placement import place_tables
from mlff_dyn.kernels.slot_atoms import atoms_for_kernel
from mlff_dyn.kernels.threads import available_cores, check_threads, paying_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.kernels.compiled.tables.tiles import LiftedChunk
    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.kernels.local_tables import LocalTerms
    from mlff_dyn.kernels.slot_atoms import SlotAtoms

    _Evaluator = _compiled.ForceEvaluator64

_EVALUATORS = {"double": _compiled.ForceEvaluator64, "single": _compiled.ForceEvaluator32}


class ForceKernel:
    """Energy, forces and molecular dynamics of one torus for given parameters.

    Parameters
    ----------
    tables : GatherTables
    parameters : ndarray, shape (n_parameters,)
    slot_atoms : SlotAtoms, or ndarray, shape (n_slots, n_cells), int32
        Atom that each slot of the tables means for each home cell.
    precision : str
        ``double``, or ``single`` for forces good to about 1e-6 of their size; positions and velocities are
        double in either case.
    n_threads : int or None
        Threads that share the cells of one call; the numbers depend on it in the last digits only. None: as
        many as pay, see `mlff_dyn.kernels.threads`.
    grid : tuple of 3 int, optional
        Extents of the torus. With them order 2 is evaluated by Fourier transform where that is cheaper.
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
        grid: tuple[int, int, int] | None = None,
        harmonic: HarmonicTorus | None = None,
        local: LocalTerms | None = None,
    ) -> None:
        check_shape("parameters", parameters, (tables.n_parameters,))
        self._place = place_tables(tables, slot_atoms)
        self.n_atoms = self._place.n_atoms
        slots = self._place.slot_atoms
        self._evaluator_type = _EVALUATORS[check_precision(precision)]
        self._n_threads = check_threads(n_threads)
        with_pairs = not transforms_pairs(tables, slots.home, grid, harmonic)
        if grid is not None and not with_pairs:
            harmonic = second_order(tables, parameters, slots.home, grid).plus(harmonic)
        self._programs = _plan_programs(tables, parameters, slots, with_pairs=with_pairs)
        self._harmonic = None if harmonic is None else self._plan_harmonic(harmonic)
        del harmonic
        self._local = None if local is None else local_arguments(check_local(local, self.n_atoms))
        self._grid = slots.grid or (None if local is None else local.slot_atoms.grid)
        of_local = 0.0 if local is None else work_of_local(local.tables)
        self._work = self._place.n_cells * (work_of_programs(self._programs) + of_local)
        self._evaluator = self._make_evaluator(1, self._threads_of_each(1))
        self._team: tuple[int, list[_Evaluator]] = (0, [])

    def _plan_harmonic(self, harmonic: HarmonicTorus) -> tuple[Any, ...]:
        n_cells = check_harmonic(harmonic, self.n_atoms)
        plan = build_transform_plan(harmonic)
        return (
            harmonic.n_sites,
            n_cells,
            INSTRUCTION_SET,
            plan.n_packed,
            plan.stages,
            plan.twiddles.reshape(-1),
            plan.pairs.reshape(-1),
            plan.table.reshape(-1),
        )

    def _make_evaluator(self, n_replicas: int, n_threads: int) -> _Evaluator:
        sizes = (self._place.n_sites, self._place.n_cells, n_replicas)
        evaluator = self._evaluator_type(*sizes, INSTRUCTION_SET, n_threads)
        if self._grid is not None:
            evaluator.set_grid(*self._grid)
        for program, groups in self._programs:
            evaluator.add_program(*program)
            for group in groups:
                evaluator.add_site_group(*group)
        if self._harmonic is not None:
            evaluator.set_harmonic(*self._harmonic)
        if self._local is not None:
            evaluator.set_local(*self._local)
        return evaluator

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Potential energy and forces.

        Parameters
        ----------
        displacements : ndarray, shape (n_atoms, 3), Å

        Returns
        -------
        tuple of float and ndarray, shape (n_atoms, 3)
            eV of the whole torus, measured from the undisplaced crystal; eV/Å.
        """
        forces = np.empty((self.n_atoms, 3))
        energy = self._evaluator.energy_forces(self._place.check_displacements(displacements), forces)
        return energy, forces

    def run(self, state: MdState, dynamics: Dynamics, n_steps: int, sample_every: int) -> MdRun:
        """Molecular dynamics; see `mlff_dyn.kernels.dynamics` for the equations.

        Parameters
        ----------
        state : MdState
            Not changed.
        dynamics : Dynamics
        n_steps : int
        sample_every : int
            Steps between samples; the first sample is taken after sample_every steps.

        Returns
        -------
        MdRun
        """
        check_run(state, dynamics, self.n_atoms, n_steps, sample_every)
        return _run_evaluator(self._evaluator, [state], [dynamics], n_steps, sample_every)[0]

    def run_replicas(
        self, states: Sequence[MdState], dynamics: Sequence[Dynamics], n_steps: int, sample_every: int
    ) -> list[MdRun]:
        """Molecular dynamics of independent trajectories.

        Parameters
        ----------
        states : sequence of MdState
            One for each replica; not changed.
        dynamics : sequence of Dynamics
            One for each replica.
        n_steps : int
        sample_every : int
            Steps between samples; the first sample is taken after sample_every steps.

        Returns
        -------
        list of MdRun
            Bit for bit what `run` gives each of them on one thread. A replica that leaves its limit stops
            there, the others go on. Threads share the replicas, not the cells, unless they are more.
        """
        check_replicas(states, dynamics, self.n_atoms, n_steps, sample_every)
        if not states:
            return []
        team = self._replica_team(len(states))
        parts = np.array_split(np.arange(len(states)), len(team))

        def run_part(evaluator: _Evaluator, part: NDArray[np.intp]) -> list[MdRun]:
            own = [states[k] for k in part], [dynamics[k] for k in part]
            return _run_evaluator(evaluator, *own, n_steps, sample_every)

        if len(team) == 1:
            return run_part(team[0], parts[0])
        with ThreadPoolExecutor(len(team)) as pool:
            return [run for runs in pool.map(run_part, team, parts) for run in runs]

    def _replica_team(self, n_replicas: int) -> list[_Evaluator]:
        """Evaluators that share so many replicas as evenly as they can."""
        if n_replicas == 1:
            return [self._evaluator]
        size, team = self._team
        if size != n_replicas:
            n_members = min(self._n_threads or available_cores(), n_replicas)
            sizes = [len(part) for part in np.array_split(np.arange(n_replicas), n_members)]
            team = [self._make_evaluator(size, self._threads_of_each(n_members)) for size in sizes]
            self._team = (n_replicas, team)
        return team

    def _threads_of_each(self, n_members: int) -> int:
        """Threads of each of some evaluators that work at the same time."""
        if self._n_threads is None:
            return paying_threads(self._work, available_cores() // n_members)
        return self._n_threads // n_members


def work_of_programs(programs: list[tuple[tuple[Any, ...], list[SiteGroup]]]) -> float:
    """Work for one cell in multiplications, a look-up of an atom counting as several.

    Each coefficient is multiplied on the way to the energy and on the way back to the forces.
    """
    work = 0.0
    for (slot_atoms, n_lifted_slots, _, _, _, _, coefficients), groups in programs:
        work += LOOK_UP * (len(slot_atoms) + n_lifted_slots) + 2 * len(coefficients)
        work += sum(len(group.coefficients) for group in groups)
    return work


def _plan_programs(
    tables: GatherTables,
    parameters: NDArray[np.float64],
    slot_atoms: SlotAtoms,
    *,
    with_pairs: bool,
) -> list[tuple[tuple[Any, ...], list[SiteGroup]]]:
    """Arguments of add_program, and the site groups, of each program."""
    coefficients = _high_order_coefficients(tables, parameters)
    chunks = _lifted_chunks(tables, _orders_of_differences(tables, coefficients))
    flat = np.concatenate([np.empty(0), *coefficients.values()])
    home = slot_atoms.home
    extra, groups = build_site_groups(tables, parameters, home, chunks[0].slots, with_pairs=with_pairs)
    programs = []
    for chunk in chunks:
        program = (
            atoms_for_kernel(slot_atoms, np.concatenate([chunk.slots, extra])),
            len(chunk.slots),
            chunk.n_lifted,
            chunk.lifts,
            chunk.tiles,
            chunk.columns,
            chunk.fill(flat),
        )
        programs.append((program, groups))
        extra, groups = extra[:0], []
    return programs


@lru_cache(maxsize=8)
def _bond_terms(tables: GatherTables) -> dict[int, BondTerms]:
    candidates = {terms.order: build_bond_terms(tables, terms) for terms in tables.polynomial.orders}
    return {order: terms for order, terms in candidates.items() if terms is not None}


@lru_cache(maxsize=8)
def _lifted_chunks(tables: GatherTables, orders_of_differences: tuple[int, ...]) -> tuple[LiftedChunk, ...]:
    return build_lifted_chunks(tables, {order: _bond_terms(tables)[order] for order in orders_of_differences})


def _orders_of_differences(
    tables: GatherTables, coefficients: dict[int, NDArray[np.float64]]
) -> tuple[int, ...]:
    """Orders of pairs whose coefficients obey the sum rule."""
    return tuple(order for order, terms in _bond_terms(tables).items() if terms.holds(coefficients[order]))


def _high_order_coefficients(
    tables: GatherTables, parameters: NDArray[np.float64]
) -> dict[int, NDArray[np.float64]]:
    polynomial = tables.polynomial
    return {
        terms.order: terms.coefficients(parameters[first : first + terms.n_parameters])
        for terms, first in zip(polynomial.orders, polynomial.parameter_offsets, strict=False)
        if terms.order >= 3
    }


def _run_evaluator(
    evaluator: _compiled.ForceEvaluator64,
    states: Sequence[MdState],
    dynamics: Sequence[Dynamics],
    n_steps: int,
    sample_every: int,
) -> list[MdRun]:
    """Run all replicas of an evaluator; the arguments must have been checked.

    Parameters
    ----------
    evaluator : ForceEvaluator64
    states : sequence of MdState
        One for each replica of the evaluator; not changed.
    dynamics : sequence of Dynamics
    n_steps, sample_every : int
    """
    u = np.array([state.displacements for state in states], dtype=np.float64)
    v = np.array([state.velocities for state in states], dtype=np.float64)
    rng = np.array([state.rng for state in states], dtype=np.uint64)
    samples = (len(states), n_steps // sample_every)
    sampled_u, sampled_v = (np.empty((*samples, *u.shape[1:])) for _ in range(2))
    potential, kinetic = np.empty(samples), np.empty(samples)
    outcomes = evaluator.run(
        u,
        v,
        rng,
        np.array([own.inertias for own in dynamics]),
        np.array([own.velocity_kicks for own in dynamics]),
        np.array([_scalars(own) for own in dynamics]),
        np.array([_thermostat(own) for own in dynamics], dtype=np.int32),
        n_steps,
        sample_every,
        sampled_u,
        sampled_v,
        potential,
        kinetic,
    )
    return [
        MdRun(
            state=MdState(u[k], v[k], rng[k]),
            displacements=sampled_u[k, :n_taken],
            velocities=sampled_v[k, :n_taken],
            potential_energies=potential[k, :n_taken],
            kinetic_energies=kinetic[k, :n_taken],
            stopped_step=step if step >= 0 else None,
            stopped_atom=atom if step >= 0 else None,
        )
        for k, (n_taken, step, atom) in enumerate(outcomes)
    ]


def _scalars(dynamics: Dynamics) -> tuple[float, float, float, float]:
    return (
        dynamics.velocity_decay,
        dynamics.timestep_fs,
        dynamics.displacement_limit,
        dynamics.thermal_energy,
    )


def _thermostat(dynamics: Dynamics) -> int:
    """Number of the thermostat in cpp/dynamics.hpp."""
    return 1 + THERMOSTATS.index(dynamics.thermostat) if dynamics.friction_per_fs > 0.0 else 0
