"""One cell of two atoms: an oscillator of the relative displacement x, whose gap equation has a closed form.

V = K x^2 / 2 + c sum_a x_a^4 + d |x|^4,    Phi = K + (12 c + 20 d) <x_a^2>
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.optimize import brentq

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.units import AMU_ANGSTROM2_PER_FS2_EV, BOLTZMANN_EV_PER_K, HBAR_EV_FS
from tests.models import crystal_of, with_parameters

EDGE = 3.2


@dataclass(frozen=True)
class Oscillator:
    """Its energy and reduced mass (amu)."""

    quadratic: float
    along_axes: float
    isotropic: float
    mass: float

    @property
    def slope(self) -> float:
        return 12.0 * self.along_axes + 20.0 * self.isotropic

    def mean_square(self, stiffness: float, kelvin: float, *, is_quantum: bool) -> float:
        thermal = BOLTZMANN_EV_PER_K * kelvin
        if not is_quantum:
            return thermal / stiffness
        inertia = self.mass * AMU_ANGSTROM2_PER_FS2_EV
        omega = np.sqrt(stiffness / inertia)
        return HBAR_EV_FS / (2.0 * inertia * omega * np.tanh(HBAR_EV_FS * omega / (2.0 * thermal)))

    def stiffness(self, kelvin: float, *, is_quantum: bool) -> float:
        def gap(value: float) -> float:
            width = self.mean_square(value, kelvin, is_quantum=is_quantum)
            return self.quadratic + self.slope * width - value

        return brentq(gap, 1e-6, 1e4)

    def energy(self, kelvin: float, *, is_quantum: bool) -> float:
        """<V - Phi x^2 / 2>."""
        stiffness = self.stiffness(kelvin, is_quantum=is_quantum)
        width = self.mean_square(stiffness, kelvin, is_quantum=is_quantum)
        fourth = (9.0 * self.along_axes + 15.0 * self.isotropic) * width**2
        return 1.5 * (self.quadratic - stiffness) * width + fourth


def oscillator(quadratic: float, quartic: float):
    """Force field on its one cell, and the same as an oscillator."""
    atoms = Atoms("CuAu", [[0, 0, 0], [EDGE / 2] * 3], cell=[EDGE] * 3, pbc=True)
    crystal = crystal_of(atoms)
    torus = Torus(crystal, np.eye(3, dtype=np.int64))
    basis = build_basis(crystal, {2: 2.8, 4: {2: 2.8}})
    force_field = with_parameters(basis, np.zeros(basis.n_parameters))
    mean, orders = force_field.posterior.mean, basis.parameter_orders

    def values() -> tuple[float, float, float]:
        kernel = force_field.expansion.on(torus).kernel(mean)

        def energy(x: np.ndarray) -> float:
            return kernel.energy_forces(np.array([[0.0, 0.0, 0.0], x]))[0]

        one, two, all_axes = energy(np.eye(3)[0]), energy(2.0 * np.eye(3)[0]), energy(np.ones(3))
        fourth = (two - 4.0 * one) / 12.0
        second = 2.0 * (one - fourth)
        isotropic = (all_axes - 1.5 * second - 3.0 * fourth) / 6.0
        return second, fourth - isotropic, isotropic

    mean[:] = np.random.default_rng(20).standard_normal(len(mean))
    raw = values()
    mean[orders == 2] *= quadratic / raw[0]
    mean[orders == 4] *= quartic / (12.0 * raw[1] + 20.0 * raw[2])
    masses = crystal.masses
    return force_field, torus, Oscillator(*values(), float(np.prod(masses) / masses.sum()))
