"""Constant pressure by Monte Carlo moves of the strain, between pieces of dynamics.

Every so many steps a new strain e' is proposed, e' - e being normal, and taken with the probability

    min(1, exp(-(E(u, e') - E(u, e) + P V(e') - P V(e)) / kT))

at constant displacements u from the sites (1 + e) R, and velocities. At constant strain du is the volume
element of the atoms' positions, so there is no Jacobian: dynamics and moves together sample

    rho(u, e) ~ exp(-(E(u, e) + P V(e)) / kT)   with respect to du de.

The measure is flat in the components of the strain that may change. One flat in the volume differs by powers
of V, which shifts the mean strain by kT over (bulk modulus times volume of the supercell), about 1e-5 for 100
atoms. The step adapts to an acceptance of 40 % while the run equilibrates and stays the same afterwards.

Random numbers of a move depend on the seed and the number of the move alone, so a run may be cut anywhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.md.chunks import Chunk, Span, join_runs, run_piece, steps_ahead
from mlff_dyn.md.dynamics_limits import DYNAMICS_LIMITS, DynamicsLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import Dynamics, MdState
    from mlff_dyn.kernels.strain.kernel import StrainedKernel

SHAPES = ("isotropic", "orthorhombic", "full")


@dataclass(frozen=True)
class Barostat:
    """How the cell moves.

    Attributes
    ----------
    pressure : float                 eV/Å³, measured from that of the unstrained crystal at rest
    volume : float                   of the unstrained supercell, Å³
    thermal_energy : float           kT, eV
    interval_steps : int             steps between two moves
    shape : str
        ``isotropic``: all directions alike; ``orthorhombic``: along x, y and z; ``full``: all six components.
    adapt_steps : int                the step size adapts up to this step
    strain_limit : float             a run stops beyond it (largest principal value)
    seed : tuple of int
    directions : tuple of 3 bool
        Cartesian axes along which the cell may move: those of a sheet in its plane, else all.
    limits : DynamicsLimits
    """

    pressure: float
    volume: float
    thermal_energy: float
    interval_steps: int
    shape: str
    adapt_steps: int
    strain_limit: float
    seed: tuple[int, ...]
    directions: tuple[bool, bool, bool] = (True, True, True)
    limits: DynamicsLimits = DYNAMICS_LIMITS

    def __post_init__(self) -> None:
        """Refuse an unknown shape."""
        if self.shape not in SHAPES:
            raise DataError(
                f"barostat shape {self.shape!r} is not known", fix=f"use one of {', '.join(SHAPES)}"
            )


@dataclass(frozen=True, eq=False)
class CellState:
    """Where the cell is.

    Attributes
    ----------
    strain : ndarray, shape (3, 3)
    step_size : float          standard deviation of a proposed component
    n_moves, n_accepted : int  after the step size was settled
    """

    strain: NDArray[np.float64]
    step_size: float
    n_moves: int = 0
    n_accepted: int = 0


def start_cell(barostat: Barostat) -> CellState:
    """Unstrained cell with a step of about the thermal fluctuation."""
    stiffness = barostat.limits.guessed_modulus * barostat.volume
    return CellState(np.zeros((3, 3)), float(np.sqrt(barostat.thermal_energy / stiffness)))


def run_npt_in_chunks(
    kernel: StrainedKernel,
    barostat: Barostat,
    dynamics: Dynamics,
    state: MdState,
    span: Span,
    *,
    cell: CellState,
) -> Iterator[Chunk]:
    """Run piece by piece; the piece in which an atom or the cell leaves its limit is the last.

    Parameters
    ----------
    kernel : StrainedKernel
        Of any strain.
    barostat : Barostat
    dynamics : Dynamics
    state : MdState
        Where it begins.
    span : Span
    cell : CellState
        Where it begins.
    """
    kernel, step = kernel.strained(cell.strain), span.step
    while step < span.n_steps:
        started = time.perf_counter()
        pieces: list[Chunk] = []
        while step < span.n_steps and (not pieces or time.perf_counter() - started < span.seconds):
            end = min(span.n_steps, (step // barostat.interval_steps + 1) * barostat.interval_steps)
            length = steps_ahead(step, end, span.sample_every, end - step, kernel.n_atoms)
            piece = run_piece(kernel, dynamics, state, replace(span, step=step), length)
            state, step = piece.state, piece.step
            strains = np.broadcast_to(cell.strain, (len(piece.sample_steps), 3, 3))
            if piece.run.stopped_step is None and step % barostat.interval_steps == 0:
                cell, kernel = move_cell(barostat, kernel, cell, state.displacements, step)
            pieces.append(replace(piece, cell=cell, strains=strains))
            if piece.run.stopped_step is not None or is_outside(barostat, cell):
                yield join_runs(pieces, time.perf_counter() - started)
                return
        yield join_runs(pieces, time.perf_counter() - started)


def is_outside(barostat: Barostat, cell: CellState) -> bool:
    """Whether a cell is strained beyond the limit."""
    return bool(np.abs(np.linalg.eigvalsh(cell.strain)).max() > barostat.strain_limit)


def move_cell(
    barostat: Barostat, kernel: StrainedKernel, cell: CellState, displacements: NDArray[np.float64], step: int
) -> tuple[CellState, StrainedKernel]:
    """Propose a strain and take it or not; returns the cell and its kernel."""
    number = step // barostat.interval_steps
    generator = np.random.default_rng((*barostat.seed, number))
    inside = np.array(barostat.directions)
    change = cell.step_size * _direction(barostat.shape, generator) * np.outer(inside, inside)
    proposed = kernel.strained(cell.strain + change)
    work = proposed.energy_forces(displacements)[0] - kernel.energy_forces(displacements)[0]
    volumes = [barostat.volume * float(np.linalg.det(np.eye(3) + k.strain)) for k in (kernel, proposed)]
    work += barostat.pressure * (volumes[1] - volumes[0])
    is_taken = bool(np.log(generator.random()) < -work / barostat.thermal_energy)
    strain = proposed.strain if is_taken else cell.strain
    if step <= barostat.adapt_steps:
        gain = barostat.limits.first_gain / np.sqrt(number)
        size = cell.step_size * float(np.exp(gain * (is_taken - barostat.limits.acceptance)))
        cell = CellState(strain, size)
    else:
        cell = CellState(strain, cell.step_size, cell.n_moves + 1, cell.n_accepted + is_taken)
    return cell, proposed if is_taken else kernel


def _direction(shape: str, generator: np.random.Generator) -> NDArray[np.float64]:
    """Symmetric tensor of normal numbers; those of the six components are independent."""
    if shape == "isotropic":
        return np.asarray(generator.standard_normal() * np.eye(3))
    if shape == "orthorhombic":
        return np.diag(generator.standard_normal(3))
    upper = np.triu(generator.standard_normal((3, 3)))
    return np.asarray(upper + np.triu(upper, 1).T)
