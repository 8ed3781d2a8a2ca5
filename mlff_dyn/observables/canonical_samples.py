"""Samples of the canonical ensemble by molecular dynamics, for averages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import SimulationError
from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.md.chunks import Span, run_in_chunks
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.units import format_kelvin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import MdKernel
    from mlff_dyn.md.chunks import Chunk


@dataclass(frozen=True)
class Sampling:
    """How long to run, and how.

    Attributes
    ----------
    temperature_kelvin, timestep_fs, friction_per_fs : float
    n_equilibration : int     steps before the first sample
    n_samples : int
    sample_every : int        steps between samples
    displacement_limit : float
        A run stops when an atom is farther from its site, Å.
    seed : tuple of int
        Names the run; equal ones give equal samples.
    """

    temperature_kelvin: float
    timestep_fs: float
    friction_per_fs: float
    n_equilibration: int
    n_samples: int
    sample_every: int
    displacement_limit: float
    seed: tuple[int, ...]

    @property
    def n_steps(self) -> int:
        """Steps of the whole run."""
        return self.n_equilibration + self.n_samples * self.sample_every

    def dynamics(self, masses: NDArray[np.float64]) -> Dynamics:
        """Langevin dynamics of atoms of these masses, amu."""
        return Dynamics(
            masses=masses,
            timestep_fs=self.timestep_fs,
            friction_per_fs=self.friction_per_fs,
            temperature_kelvin=self.temperature_kelvin,
            displacement_limit=self.displacement_limit,
        )


def canonical_samples(
    kernel: MdKernel,
    masses: NDArray[np.float64],
    sampling: Sampling,
    tell: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float64]:
    """Displacements at constant volume and temperature, shape (n_samples, n_atoms, 3), Å.

    Parameters
    ----------
    kernel : MdKernel
    masses : ndarray, shape (n_atoms,), amu
    sampling : Sampling
    tell : callable, optional
        Called with the number of steps that are made.

    Raises
    ------
    SimulationError
        If an atom leaves its site.
    """
    state = start_at_rest_positions(masses, sampling.temperature_kelvin, sampling.seed)
    span = Span(0, sampling.n_steps, sampling.sample_every)
    chunks = run_in_chunks(kernel, sampling.dynamics(masses), state, span)
    found = [chunk.run.displacements for chunk in told(chunks, sampling, tell)]
    return np.concatenate(found)[-sampling.n_samples :]


def told(chunks: Iterable[Chunk], sampling: Sampling, tell: Callable[[int], None]) -> Iterator[Chunk]:
    """Pass pieces of a run on, tell how far it is, and end where an atom leaves its site.

    Raises
    ------
    SimulationError
        If one does.
    """
    for chunk in chunks:
        if chunk.run.stopped_step is not None:
            raise SimulationError(
                f"at {format_kelvin(sampling.temperature_kelvin)} K, step {chunk.step}, an atom is more than "
                f"{sampling.displacement_limit:.3g} Å from its site",
                fix="train at that temperature or above, or lower thermodynamics.temperatures_kelvin",
            )
        tell(chunk.step)
        yield chunk
