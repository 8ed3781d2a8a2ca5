"""Frames of a stored trajectory one after the other, for the writers of other formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.md.temperature import temperatures
from mlff_dyn.store.trajectory import read_blocks
from mlff_dyn.store.trajectory_layout import (
    damage_told,
    open_trajectory,
    read_attributes,
    read_header,
    read_strains,
    read_valid_steps,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, eq=False)
class Outline:
    """What the frames of a trajectory have in common, and what writers know before the first of them.

    Attributes
    ----------
    numbers : ndarray of int, shape (n_atoms,)
    masses : ndarray, shape (n_atoms,), amu; or None
        None in old files, for standard masses.
    periodic : tuple of 3 bool
        False along vectors with vacuum.
    lattices : ndarray, shape (n_frames, 3, 3), Å
        Supercell vectors as rows.
    has_velocities : bool
    attributes : dict
        What describes the run: seed, temperature, time step.
    """

    numbers: np.ndarray
    masses: np.ndarray | None
    periodic: tuple[bool, ...]
    lattices: np.ndarray
    has_velocities: bool
    attributes: dict[str, Any]

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.lattices)

    @property
    def has_one_cell(self) -> bool:
        """Whether all frames have the same."""
        return bool((self.lattices == self.lattices[:1]).all())

    @property
    def symbols(self) -> list[str]:
        """Chemical symbols of the atoms."""
        return [chemical_symbols[number] for number in self.numbers.tolist()]

    @property
    def elements(self) -> list[str]:
        """Their elements, in the order in which they come."""
        return list(dict.fromkeys(self.symbols))


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes
    ----------
    step : int
    lattice : ndarray, shape (3, 3), Å
    positions : ndarray, shape (n_atoms, 3), Å
        Not folded into the cell: an atom stays beside its site.
    velocities : ndarray, shape (n_atoms, 3), Å/fs; or None
    potential_energy : float, eV
    temperature_kelvin : float
        Of the kinetic energy.
    """

    step: int
    lattice: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray | None
    potential_energy: float
    temperature_kelvin: float


def read_outline(path: Path, *, stride: int) -> Outline:
    """Read what is known before the first frame; arguments as those of `read_frames`.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    with open_trajectory(path) as file, damage_told(path):
        header = read_header(file)
        strains = read_strains(file, slice(0, len(read_valid_steps(file)), stride))
        return Outline(
            numbers=header["numbers"],
            masses=header.get("masses"),
            periodic=tuple(header.get("periodic", np.ones(3, bool)).tolist()),
            lattices=header["lattice"] + header["lattice"] @ strains,
            has_velocities="velocities" in file,
            attributes=read_attributes(file),
        )


def read_frames(path: Path, *, stride: int) -> Iterator[Frame]:
    """Read one frame after the other, in bounded memory.

    Parameters
    ----------
    path : Path
        Of the trajectory.
    stride : int
        Every so many stored frames one is read, beginning with the first.

    Raises
    ------
    DataError
        If the file is missing or damaged; where a sample is damaged, after the frames before it.
    """
    for block in read_blocks(path, stride=stride):
        positions, lattices = block.positions, block.lattices
        kinetic = temperatures(block.kinetic_energies, len(block.numbers))
        for k in range(len(block.steps)):
            yield Frame(
                step=int(block.steps[k]),
                lattice=lattices[k],
                positions=positions[k],
                velocities=None if block.velocities is None else block.velocities[k],
                potential_energy=float(block.potential_energies[k]),
                temperature_kelvin=float(kinetic[k]),
            )
