"""What programs of dynamics start from: a supercell in the axes that they want, and how to move its atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mlff_dyn.errors import UsageError
from mlff_dyn.formats.trajectory_lammps import to_box
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.md.start import displacement_limit
from mlff_dyn.training.limits import LIMITS, DecisionLimits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import ForceField

MODEL_FILE = "model.h5"
"""Of the force field beside the files of a program that moves atoms."""


@dataclass(frozen=True)
class DynamicsSettings:
    """Dynamics that the files ask for.

    Attributes
    ----------
    ensemble : str                         ``nve``, ``nvt`` or ``npt``
    temperature_kelvin : float
    timestep_femtoseconds : float
    n_steps, sample_every, seed : int
    thermostat : str                       ``langevin`` or ``bussi``
    thermostat_time_femtoseconds : float   relaxation time of the thermostat
    pressure : float                       eV/Å³, from that of the crystal at rest
    barostat_shape : str                   ``isotropic``, ``orthorhombic`` or ``full``
    """

    ensemble: str = "nvt"
    temperature_kelvin: float = 300.0
    timestep_femtoseconds: float = 1.0
    n_steps: int = 100000
    sample_every: int = 10
    seed: int = 1
    thermostat: str = "langevin"
    thermostat_time_femtoseconds: float = 1000.0
    pressure: float = 0.0
    barostat_shape: str = "isotropic"


@dataclass(frozen=True, eq=False)
class Start:
    """A supercell at rest, its first vector along x, the second in the xy plane, right-handed.

    Attributes
    ----------
    torus : Torus                               the same atoms in the same order, in the axes of the crystal
    box : ndarray, shape (3, 3)                 rows, Å
    positions : ndarray, shape (n_atoms, 3)     Å
    symbols : tuple of str
    """

    torus: Torus
    box: NDArray[np.float64]
    positions: NDArray[np.float64]
    symbols: tuple[str, ...]

    @property
    def elements(self) -> tuple[str, ...]:
        """Each element once, in the order of the atoms."""
        return tuple(dict.fromkeys(self.symbols))


def start_of(torus: Torus) -> Start:
    """Turn a supercell as i-PI and LAMMPS want it; of a left-handed one two vectors change places."""
    if np.linalg.det(torus.lattice) < 0.0:
        torus = Torus(torus.crystal, torus.matrix[[0, 2, 1]])
    box, turn = to_box(torus.lattice)
    symbols = tuple(chemical_symbols[number] for number in torus.numbers)
    return Start(torus, box, torus.positions @ turn, symbols)


def check_ensemble(settings: DynamicsSettings, torus: Torus) -> None:
    """Refuse a barostat that would close the vacuum of a sheet or wire.

    Raises
    ------
    UsageError
        If there is vacuum, and the pressure is to be constant.
    """
    if settings.ensemble == "npt" and not all(torus.crystal.periodic):
        raise UsageError(
            "the barostat of another program would close the vacuum of a sheet",
            fix="set md.ensemble nvt, or run mlff-dyn run-md, whose barostat moves the plane alone",
        )


def largest_displacement(
    force_field: ForceField, given_angstrom: float | None = None, limits: DecisionLimits = LIMITS
) -> float:
    """How far an atom may go (Å) where the temperature is not known.

    Parameters
    ----------
    force_field : ForceField
    given_angstrom : float, optional
        Limit of the user.
    limits : DecisionLimits
    """
    trained = limits.data_margin * force_field.training.displacement_max_angstrom
    wanted = given_angstrom or max(trained, displacement_limit(force_field.basis.crystal))
    return wanted if force_field.local is None else min(wanted, force_field.local.largest_displacement)


def pressure_at_rest(force_field: ForceField, torus: Torus) -> float:
    """Pressure (eV/Å³) of the crystal at rest as the force field gives it."""
    stress = force_field.on(torus).stress(np.zeros((torus.n_atoms, 3)))
    return -float(stress[:3].mean())
