"""Dynamics of an exploring trajectory, watched: at constant volume, or with a cell that moves as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.md.barostat import is_outside, move_cell, start_cell
from mlff_dyn.training.criteria.errors import FrameErrors, frame_errors
from mlff_dyn.training.limits import LIMITS, DecisionLimits
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.kernels.dynamics import Dynamics, MdRun, MdState
    from mlff_dyn.kernels.strain.kernel import StrainedKernel
    from mlff_dyn.md.barostat import Barostat, CellState
    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.training.ramp import Ramp
    from mlff_dyn.training.trusted_region import TrustedRegion


@dataclass(frozen=True, eq=False)
class Frames:
    """Displaced supercells, strained or not.

    Attributes
    ----------
    displacements : ndarray, shape (n_frames, n_atoms, 3)        Å, from the strained sites
    strains : ndarray, shape (n_frames, 3, 3), or None           None: no strain
    """

    displacements: NDArray[np.float64]
    strains: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.displacements)

    def __getitem__(self, which: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Frames:
        """Some of the frames."""
        strains = None if self.strains is None else self.strains[which]
        return Frames(self.displacements[which], strains)

    def strain(self, frame: int) -> NDArray[np.float64] | None:
        """Strain of a frame; None where there is none."""
        return None if self.strains is None else self.strains[frame]


def no_frames(n_atoms: int) -> Frames:
    """No frames of so many atoms."""
    return Frames(np.empty((0, n_atoms, 3)))


def join_frames(parts: Sequence[Frames]) -> Frames:
    """One after the other; all of them strained or none that is not empty."""
    strains = [part.strains for part in parts if part.strains is not None]
    displacements = np.concatenate([part.displacements for part in parts])
    return Frames(displacements, np.concatenate(strains) if strains else None)


@dataclass(frozen=True, eq=False)
class Place:
    """Where a trajectory is.

    Attributes
    ----------
    md : MdState
    n_steps : int                    steps made so far
    cell : CellState or None         None: the cell does not move
    """

    md: MdState
    n_steps: int = 0
    cell: CellState | None = None

    def kinetic_energy(self, masses: NDArray[np.float64]) -> float:
        """Of all atoms, eV; masses in amu, shape (n_atoms,)."""
        return 0.5 * AMU_ANGSTROM2_PER_FS2_EV * float(np.sum(masses[:, None] * self.md.velocities**2))

    @property
    def frame(self) -> Frames:
        """The one frame of this moment."""
        strains = None if self.cell is None else self.cell.strain[None]
        return Frames(self.md.displacements[None], strains)


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some steps of a trajectory.

    Attributes
    ----------
    place : Place                    at its end
    frames : Frames                  at the multiples of the stride, that of the end the last
    kinetic_energy : float           at its end, eV
    stop : str or None               how it left the trusted region; the frames are those before
    """

    place: Place
    frames: Frames
    kinetic_energy: float
    stop: str | None = None


class Walk:
    """Watched dynamics on one force field.

    Parameters
    ----------
    force_field : SupercellForceField
        Without strain.
    dynamics : Dynamics
    region : TrustedRegion
    stride : int
        Steps between frames.
    limits : DecisionLimits
    barostat : Barostat, optional
        None: the cell does not move.
    ramp : Ramp, optional
        None: the temperature stays that of the dynamics.
    """

    def __init__(
        self,
        force_field: SupercellForceField,
        dynamics: Dynamics,
        region: TrustedRegion,
        *,
        stride: int,
        limits: DecisionLimits,
        barostat: Barostat | None = None,
        ramp: Ramp | None = None,
    ) -> None:
        self.stride = stride
        self.dynamics = dynamics
        self._force_field, self._region = force_field, region
        self._limits, self._barostat, self._ramp = limits, barostat, ramp
        self._kernel: StrainedKernel | None = None

    def start(self, md: MdState, n_steps: int) -> Place:
        """Where a trajectory begins."""
        return Place(md, n_steps, None if self._barostat is None else start_cell(self._barostat))

    def kelvin(self, step: int) -> float:
        """Temperature of the thermostat after a number of steps."""
        return self.dynamics.temperature_kelvin if self._ramp is None else self._ramp.kelvin(step)

    def errors(self, frames: Frames, number: int) -> FrameErrors:
        """Errors of one of some frames."""
        return errors_of(self._force_field, frames, number)

    def is_sound(self, frames: Frames) -> NDArray[np.bool_]:
        """Whether frames may be labelled, see `is_sound`."""
        return is_sound(frames.displacements, self.dynamics, self._limits)

    def go(self, place: Place, n_frames: int) -> Stretch:
        """Make the steps up to a frame, fewer if the trajectory leaves the trusted region."""
        made, n_steps = 0, n_frames * self.stride
        frames: list[Frames] = []
        while True:
            length, every = self._piece(made, n_steps, place)
            kelvin = self.kelvin(place.n_steps)
            run = self._run(place, length, every, kelvin)
            steps = length if run.stopped_step is None else run.stopped_step
            made += steps
            place = replace(place, md=run.state, n_steps=place.n_steps + steps)
            region = self._region if self._ramp is None else self._region.at(kelvin)
            stop = region.describe_stop(run, place.n_steps, self._force_field.torus)
            if stop is None and made % self.stride == 0:
                frames.append(_samples(run, place))
            if stop is None:
                place = self._moved(place, kelvin)
            if stop is not None or made == n_steps:
                kinetic = float(run.kinetic_energies[-1]) if len(run.kinetic_energies) else np.nan
                found = join_frames([no_frames(len(run.state.displacements)), *frames])
                return Stretch(place, found, kinetic, stop)

    def _piece(self, made: int, n_steps: int, place: Place) -> tuple[int, int]:
        """Steps to make at once, and those between its samples.

        Along a ramp they end at the same steps however many frames are asked for, as the temperature of each
        piece is that of its start.
        """
        unwatched, stride = self._limits.most_steps_unwatched, self.stride
        length = min(stride - made % stride, unwatched)
        if self._barostat is not None:
            length = min(
                length, self._barostat.interval_steps - place.n_steps % self._barostat.interval_steps
            )
        elif length == stride and self._ramp is None:
            return min(unwatched // stride * stride, n_steps - made), stride
        return length, length

    def _run(self, place: Place, n_steps: int, every: int, kelvin: float) -> MdRun:
        dynamics = self.dynamics if self._ramp is None else replace(self.dynamics, temperature_kelvin=kelvin)
        kernel = self._force_field.kernel if place.cell is None else self._strained_kernel(place.cell)
        return kernel.run(place.md, dynamics, n_steps, every)

    def _strained_kernel(self, cell: CellState) -> StrainedKernel:
        """Kernel at the strain of a cell; the last one is kept."""
        known = self._kernel or self._force_field.strained_kernel
        if not np.array_equal(known.strain, cell.strain):
            known = known.strained(cell.strain)
        self._kernel = known
        return known

    def _moved(self, place: Place, kelvin: float) -> Place:
        """Let the cell move where it is its turn; a move beyond the limit of the strain is not made."""
        cell, barostat = place.cell, self._barostat
        if cell is None or barostat is None or place.n_steps % barostat.interval_steps:
            return place
        if self._ramp is not None:
            barostat = replace(barostat, thermal_energy=BOLTZMANN_EV_PER_K * kelvin)
        kernel = self._strained_kernel(cell)
        moved, kernel = move_cell(barostat, kernel, cell, place.md.displacements, place.n_steps)
        if is_outside(barostat, moved):
            return replace(place, cell=replace(moved, strain=cell.strain))
        self._kernel = kernel
        return replace(place, cell=moved)


def errors_of(force_field: SupercellForceField, frames: Frames, number: int) -> FrameErrors:
    """Errors of one of some frames; the force field is that without strain."""
    u, strain = frames.displacements[number], frames.strain(number)
    own = force_field if strain is None else force_field.strained(strain)
    return frame_errors(own.vibrational_forces(u), own.force_errors(u), u)


def is_sound(
    displacements: NDArray[np.float64], dynamics: Dynamics, limits: DecisionLimits = LIMITS
) -> NDArray[np.bool_]:
    """Whether displacements are well inside the limit: exploded frames are never labelled."""
    largest = np.linalg.norm(displacements, axis=2).max(axis=1, initial=0.0)
    return np.asarray(largest < limits.label_fraction * dynamics.displacement_limit)


def _samples(run: MdRun, place: Place) -> Frames:
    if place.cell is None:
        return Frames(run.displacements)
    return Frames(run.displacements, np.repeat(place.cell.strain[None], len(run.displacements), axis=0))
