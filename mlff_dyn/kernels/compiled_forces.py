"""The force kernel in C++."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import check_shape
from mlff_dyn.kernels import _compiled
from mlff_dyn.kernels.bonds import BondTerms, build_bond_terms
from mlff_dyn.kernels.dynamics import THERMOSTATS, Dynamics, MdRun, MdState, check_run
from mlff_dyn.kernels.gather import (
    GatherTables,
    check_displacements,
    check_precision,
    check_slot_atoms,
    check_threads,
)
from mlff_dyn.kernels.harmonic import check_harmonic, second_order
from mlff_dyn.kernels.instruction_set import INSTRUCTION_SET
from mlff_dyn.kernels.lifted import build_lifted_chunks
from mlff_dyn.kernels.site_groups import build_site_groups
from mlff_dyn.kernels.transform_plan import build_transform_plan, transforms_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.kernels.tiles import LiftedChunk

_EVALUATORS = {"double": _compiled.ForceEvaluator64, "single": _compiled.ForceEvaluator32}


class ForceKernel:
    """Energy, forces and molecular dynamics of one torus for given parameters.

    Parameters
    ----------
    tables : GatherTables
    parameters : ndarray, shape (n_parameters,)
    slot_atoms : ndarray, shape (n_slots, n_cells), int32
        Atom that each slot of the tables means for each home cell.
    precision : str
        ``double``, or ``single`` for forces good to about 1e-6 of their size; positions and velocities are
        double in either case.
    n_threads : int
        Threads that share the cells of one call; the numbers depend on it in the last digits only.
    grid : tuple of 3 int, optional
        Extents of the torus. With them order 2 is evaluated by Fourier transform where that is cheaper.
    harmonic : HarmonicTorus, optional
        Further interactions of order 2, between all atoms.

    Raises
    ------
    DataError
        If the arrays do not fit the tables.
    """

    def __init__(
        self,
        tables: GatherTables,
        parameters: NDArray[np.float64],
        slot_atoms: NDArray[np.int32],
        precision: str = "double",
        n_threads: int = 1,
        *,
        grid: tuple[int, int, int] | None = None,
        harmonic: HarmonicTorus | None = None,
    ) -> None:
        check_shape("parameters", parameters, (tables.n_parameters,))
        slot_atoms = check_slot_atoms(tables, slot_atoms)
        n_sites, n_cells = tables.polynomial.n_sites, slot_atoms.shape[1]
        self.n_atoms = n_sites * n_cells
        evaluator = _EVALUATORS[check_precision(precision)]
        self._evaluator = evaluator(n_sites, n_cells, INSTRUCTION_SET, check_threads(n_threads))
        coefficients = _high_order_coefficients(tables, parameters)
        chunks = _lifted_chunks(tables, _orders_of_differences(tables, coefficients))
        with_pairs = not transforms_pairs(tables, slot_atoms, grid, harmonic)
        if grid is not None and not with_pairs:
            harmonic = second_order(tables, parameters, slot_atoms, grid).plus(harmonic)
        extra, groups = build_site_groups(
            tables, parameters, slot_atoms, chunks[0].slots, with_pairs=with_pairs
        )
        for chunk in chunks:
            self._evaluator.add_program(
                np.ascontiguousarray(slot_atoms[np.concatenate([chunk.slots, extra])]),
                len(chunk.slots),
                chunk.n_lifted,
                chunk.lifts,
                chunk.tiles,
                chunk.columns,
                chunk.fill(np.concatenate([np.empty(0), *coefficients.values()])),
            )
            for group in groups:
                self._evaluator.add_site_group(*group)
            extra, groups = extra[:0], []
        if harmonic is not None:
            self._add_harmonic(harmonic)

    def _add_harmonic(self, harmonic: HarmonicTorus) -> None:
        n_cells = check_harmonic(harmonic, self.n_atoms)
        plan = build_transform_plan(harmonic)
        self._evaluator.set_harmonic(
            harmonic.n_sites,
            n_cells,
            INSTRUCTION_SET,
            plan.n_packed,
            plan.stages,
            plan.twiddles.reshape(-1),
            plan.pairs.reshape(-1),
            plan.table.reshape(-1),
        )

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
        energy = self._evaluator.energy_forces(check_displacements(displacements, self.n_atoms), forces)
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
        n_samples = n_steps // sample_every
        u, v = (np.array(rows, dtype=np.float64) for rows in (state.displacements, state.velocities))
        rng = np.array(state.rng, dtype=np.uint64)
        sampled_u, sampled_v = (np.empty((n_samples, self.n_atoms, 3)) for _ in range(2))
        potential, kinetic = np.empty(n_samples), np.empty(n_samples)
        n_taken, stopped_step, stopped_atom = self._evaluator.run(
            u,
            v,
            rng,
            dynamics.inertias,
            dynamics.velocity_kicks,
            dynamics.velocity_decay,
            dynamics.timestep_fs,
            dynamics.displacement_limit,
            1 + THERMOSTATS.index(dynamics.thermostat) if dynamics.friction_per_fs > 0.0 else 0,
            dynamics.thermal_energy,
            n_steps,
            sample_every,
            sampled_u,
            sampled_v,
            potential,
            kinetic,
        )
        is_stopped = stopped_step >= 0
        return MdRun(
            state=MdState(u, v, rng),
            displacements=sampled_u[:n_taken],
            velocities=sampled_v[:n_taken],
            potential_energies=potential[:n_taken],
            kinetic_energies=kinetic[:n_taken],
            stopped_step=stopped_step if is_stopped else None,
            stopped_atom=stopped_atom if is_stopped else None,
        )


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
