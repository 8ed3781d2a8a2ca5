"""Crystals of all kinds that the tests of the lattice share."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal as spacegroup_crystal
from numpy.typing import NDArray

from mlff_dyn.lattice.crystal import Crystal
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from tests.models import Cutoffs


def silicon() -> Atoms:
    return bulk("Si", "diamond", a=5.43, cubic=True)


def rocksalt() -> Atoms:
    return bulk("NaCl", "rocksalt", a=5.64, cubic=True)


def rounded_rocksalt() -> Atoms:
    """The chlorine sublattice is off by a rounding error, symmetric to well within the tolerance."""
    atoms = rocksalt()
    atoms.positions[atoms.numbers == 17] += [1.1e-6, -0.7e-6, 0.4e-6]
    return atoms


def antiferromagnet() -> Atoms:
    """Nickel oxide: moments alternate from one (111) plane of nickel to the next; cubic cell of 64 atoms."""
    atoms = bulk("NiO", "rocksalt", a=4.18, cubic=True) * (2, 2, 2)
    planes = np.rint(atoms.positions.sum(axis=1) / 4.18).astype(int)
    atoms.set_initial_magnetic_moments(np.where(atoms.numbers == 28, 2.0 * (-1.0) ** planes, 0.0))
    return atoms


def wurtzite() -> Atoms:
    """Aluminum nitride: no inversion, forces at rest along the axis allowed."""
    return bulk("AlN", "wurtzite", a=3.11, c=4.98, u=0.382)


def triclinic() -> Atoms:
    """Three different atoms without any symmetry."""
    return Atoms(
        "OCN",
        cell=[[3.1, 0.1, 0.2], [0.7, 3.6, 0.3], [-0.4, 0.5, 4.1]],
        scaled_positions=[[0.1, 0.2, 0.3], [0.55, 0.6, 0.2], [0.8, 0.9, 0.75]],
        pbc=True,
    )


def quartz() -> Atoms:
    """Trigonal, chiral, with screw axes."""
    sites = [(0.4697, 0.0, 1 / 3), (0.4135, 0.2669, 0.7858)]
    return spacegroup_crystal(["Si", "O"], sites, spacegroup=152, cellpar=[4.916, 4.916, 5.405, 90, 90, 120])


def barium_titanate(*, polar: bool) -> Atoms:
    """Cubic perovskite, or its tetragonal polar phase."""
    shifts = (0.02, -0.03, -0.015) if polar else (0.0, 0.0, 0.0)
    return Atoms(
        "BaTiO3",
        cell=[3.99, 3.99, 4.04] if polar else [4.0, 4.0, 4.0],
        scaled_positions=[
            [0, 0, 0],
            [0.5, 0.5, 0.5 + shifts[0]],
            [0.5, 0.5, shifts[1]],
            [0.5, 0, 0.5 + shifts[2]],
            [0, 0.5, 0.5 + shifts[2]],
        ],
        pbc=True,
    )


def monoclinic() -> Atoms:
    """Forty atoms, ten inequivalent ones on general positions of P2_1/c, none closer than 1.7 Å."""
    generator = np.random.default_rng(0)
    elements = ["O", "Si", "O", "Al", "O", "Ca", "O", "Na", "O", "H"]
    sites: list[NDArray[np.float64]] = []
    while len(sites) < len(elements):
        trial = [*sites, generator.random(3)]
        atoms = _monoclinic_cell(elements[: len(trial)], trial)
        if (atoms.get_all_distances(mic=True) + 10 * np.eye(len(atoms))).min() > 1.7:
            sites = trial
    return _monoclinic_cell(elements, sites)


def _monoclinic_cell(elements: list[str], sites: list[NDArray[np.float64]]) -> Atoms:
    cell = [7.5, 8.1, 9.3, 90, 103, 90]
    return spacegroup_crystal(elements, sites, spacegroup=14, cellpar=cell, onduplicates="keep")


def skewed(atoms: Atoms) -> Atoms:
    """The same crystal in a cell whose vectors are far from the shortest ones."""
    cell = atoms.cell.array.copy()
    cell[2] += 7 * cell[0] - 5 * cell[1]
    cell[1] += 4 * cell[0]
    result = atoms.copy()
    result.set_cell(cell, scale_atoms=False)
    return result


def expansion_on(crystal: Crystal, cutoffs: Cutoffs, torus: Torus) -> SupercellExpansion:
    """Expansion within cutoffs on a supercell, whether the supercell resolves them or not."""
    from mlff_dyn.lattice.basis import build_basis

    return Expansion(build_basis(crystal, cutoffs)).on(torus)
