"""What molecular dynamics takes and gives, shared by both kernels.

One step of timestep h, with acceleration a = -(dE/du) / m:

==========  =======================================================  ==========================
step        equation                                                 name
==========  =======================================================  ==========================
B           v += (h/2) a(u)                                          half kick
A           u += (h/2) v                                             half drift
O           v = c v + sqrt((1 - c^2) kT/m) g,  c = exp(-friction h)  thermostat, g ~ N(0, 1)
S           v *= f, f f K = K', K' drawn from its exact distribution      velocity rescaling
==========  =======================================================  ==========================

Langevin dynamics is B A O A B; without friction O is left out, which is velocity Verlet. After O the velocity
of the center of mass is projected out, so the kinetic energy has 3 (n_atoms - 1) degrees of freedom N_f.

``bussi`` replaces O by S, stochastic velocity rescaling, which disturbs the trajectories far less: the
kinetic energy K relaxes to its mean with the rate friction,
K' / K = (sqrt(c) + r g_1)^2 + r^2 sum_(k >= 2) g_k^2 over N_f Gaussian numbers g, with
r^2 = (1 - c) kT / (2 K) and the sign of f that of sqrt(c) + r g_1.

References
----------
Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013).
Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101 (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlff_dyn.errors import DataError, check_shape
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


THERMOSTATS = ("langevin", "bussi")

SAMPLED = ("displacements", "velocities", "potential_energies", "kinetic_energies")
"""Attributes of `MdRun` with an entry for each sample."""


@dataclass(frozen=True, eq=False)
class MdState:
    """Everything that a run needs to go on.

    Parameters
    ----------
    displacements : ndarray, shape (n_atoms, 3), Å
    velocities : ndarray, shape (n_atoms, 3), Å/fs
    rng : ndarray, shape (4,), uint64
        State of the random stream, see `rng_from_seed`.
    """

    displacements: NDArray[np.float64]
    velocities: NDArray[np.float64]
    rng: NDArray[np.uint64]

    def __post_init__(self) -> None:
        """Check shapes."""
        check_shape("displacements", self.displacements, (None, 3))
        check_shape("velocities", self.velocities, self.displacements.shape)
        check_shape("rng", self.rng, (4,))


@dataclass(frozen=True, eq=False)
class Dynamics:
    """How to move.

    Parameters
    ----------
    masses : ndarray, shape (n_atoms,), amu
    timestep_fs : float
    friction_per_fs : float
        Langevin friction, or rate of velocity rescaling; 0 keeps the energy (NVE).
    temperature_kelvin : float
        Temperature of the bath; not used without friction.
    displacement_limit : float
        The run stops when an atom is farther than this from its site, Å.
    thermostat : str
        ``langevin`` or ``bussi``; not used without friction.
    """

    masses: NDArray[np.float64]
    timestep_fs: float
    friction_per_fs: float = 0.0
    temperature_kelvin: float = 0.0
    displacement_limit: float = np.inf
    thermostat: str = "langevin"

    def __post_init__(self) -> None:
        """Check signs."""
        check_shape("masses", self.masses, (None,))
        if not (self.masses > 0).all():
            raise DataError("a mass is not positive", fix="give masses above zero")
        if not 0 < self.timestep_fs < np.inf:
            raise DataError(
                f"timestep_fs {self.timestep_fs} is not positive", fix="give a finite time step above zero"
            )
        if not 0 <= self.friction_per_fs < np.inf:
            raise DataError(
                f"friction_per_fs {self.friction_per_fs} is negative", fix="give a finite friction from zero"
            )
        if not 0 <= self.temperature_kelvin < np.inf:
            raise DataError(
                f"temperature_kelvin {self.temperature_kelvin} is negative",
                fix="give a finite temperature from zero",
            )
        if self.thermostat not in THERMOSTATS:
            raise DataError(f"thermostat {self.thermostat!r} is not known", fix="use langevin or bussi")
        if not self.displacement_limit > 0:
            raise DataError(
                f"displacement_limit {self.displacement_limit} is not positive",
                fix="give a length above zero, or infinity for no limit",
            )

    @property
    def inertias(self) -> NDArray[np.float64]:
        """Masses in eV fs²/Å², shape (n_atoms,)."""
        return np.ascontiguousarray(self.masses * AMU_ANGSTROM2_PER_FS2_EV, dtype=np.float64)

    @property
    def thermal_energy(self) -> float:
        """Boltzmann's constant times temperature, eV."""
        return BOLTZMANN_EV_PER_K * self.temperature_kelvin

    @property
    def velocity_decay(self) -> float:
        """Factor of the old velocity in step O, of the old kinetic energy in step S."""
        return float(np.exp(-self.friction_per_fs * self.timestep_fs))

    @property
    def velocity_kicks(self) -> NDArray[np.float64]:
        """Standard deviation of the new velocity in step O, Å/fs, shape (n_atoms,)."""
        return np.sqrt((1.0 - self.velocity_decay**2) * self.thermal_energy / self.inertias)


@dataclass(frozen=True, eq=False)
class MdRun:
    """What a run gives.

    Attributes
    ----------
    state : MdState
        Where the run ended. After a stop: the offending displacements, and velocities of half a step.
    displacements : ndarray, shape (n_samples, n_atoms, 3), Å
        After steps sample_every, 2 * sample_every, ...
    velocities : ndarray, shape (n_samples, n_atoms, 3), Å/fs
    potential_energies, kinetic_energies : ndarray, shape (n_samples,), eV
        Of the whole torus.
    stopped_step : int or None
        Step of this run, counted from 1, in which an atom left the limit; None if none did.
    stopped_atom : int or None
        That atom.
    """

    state: MdState
    displacements: NDArray[np.float64]
    velocities: NDArray[np.float64]
    potential_energies: NDArray[np.float64]
    kinetic_energies: NDArray[np.float64]
    stopped_step: int | None
    stopped_atom: int | None


class MdKernel(Protocol):
    """What moves atoms: `ForceKernel`, `StrainedKernel`."""

    n_atoms: int

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Potential energy, eV, and forces, eV/Å."""

    def run(self, state: MdState, dynamics: Dynamics, n_steps: int, sample_every: int) -> MdRun:
        """Molecular dynamics."""

    def run_replicas(
        self, states: Sequence[MdState], dynamics: Sequence[Dynamics], n_steps: int, sample_every: int
    ) -> list[MdRun]:
        """Independent trajectories together."""


def check_run(state: MdState, dynamics: Dynamics, n_atoms: int, n_steps: int, sample_every: int) -> None:
    """Refuse a run that does not fit the torus.

    Parameters
    ----------
    state : MdState
    dynamics : Dynamics
    n_atoms : int
        Atoms of the torus.
    n_steps, sample_every : int

    Raises
    ------
    DataError
        If a shape or a count is wrong.
    """
    check_shape("displacements", state.displacements, (n_atoms, 3))
    check_shape("masses", dynamics.masses, (n_atoms,))
    if n_steps < 0:
        raise DataError(f"n_steps {n_steps} is negative", fix="give a number of steps from 0")
    if sample_every < 1:
        raise DataError(f"sample_every {sample_every} is not positive", fix="give a number of steps from 1")


def check_replicas(
    states: Sequence[MdState], dynamics: Sequence[Dynamics], n_atoms: int, n_steps: int, sample_every: int
) -> None:
    """Refuse runs that do not fit the torus or each other.

    Parameters
    ----------
    states : sequence of MdState
    dynamics : sequence of Dynamics
        One for each state.
    n_atoms : int
        Atoms of the torus.
    n_steps, sample_every : int

    Raises
    ------
    DataError
        If a shape or a count is wrong.
    """
    if len(states) != len(dynamics):
        raise DataError(
            f"{len(dynamics)} dynamics are given for {len(states)} replicas",
            fix="give one Dynamics for each state",
        )
    for state, own in zip(states, dynamics, strict=True):
        check_run(state, own, n_atoms, n_steps, sample_every)
