"""Crystals, cutoffs and fitted force fields that everything is measured with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read

from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.model.expansion import Expansion

STRUCTURES = Path(__file__).parents[1] / "configs" / "structures"


@dataclass(frozen=True)
class Case:
    """A crystal, its cutoffs in Å by order, and the supercell that limits them."""

    name: str
    cutoffs: dict[int, float]
    supercell: tuple[int, int, int]

    def atoms(self) -> Atoms:
        """The input cell."""
        if self.name == "Si":
            return bulk("Si", "diamond", 5.431, cubic=True)
        if self.name == "c-BAs":
            return bulk("BAs", "zincblende", 4.777, cubic=True)
        return read(STRUCTURES / "SnSe-Pnma.vasp")

    def up_to(self, order: int) -> dict[int, float]:
        """Cutoffs of orders 2 to order."""
        return {n: cutoff for n, cutoff in self.cutoffs.items() if n <= order}


SI_64 = Case("Si", {2: 5.4, 3: 4.55, 4: 3.9, 5: 2.5, 6: 2.5}, (2, 2, 2))
SI = Case("Si", {2: 8.0, 3: 4.55, 4: 3.9, 5: 2.5, 6: 2.5}, (3, 3, 3))
BAS = Case("c-BAs", {2: 7.0, 3: 4.0, 4: 3.4, 5: 2.2, 6: 2.2}, (3, 3, 3))
SNSE = Case("SnSe", {2: 6.2, 3: 4.5, 4: 3.6, 5: 2.9, 6: 2.9}, (2, 3, 3))
CASES = (SI, BAS, SNSE)


@dataclass(frozen=True, eq=False)
class Model:
    """A basis with its kernel tables."""

    crystal: Crystal
    basis: ForceConstantBasis
    expansion: Expansion

    def torus(self, supercell: tuple[int, int, int]) -> Torus:
        """Supercell in input cells."""
        return input_supercell(self.crystal, supercell)

    def random_parameters(self, seed: int = 0) -> np.ndarray:
        """Parameters for measurements whose cost does not depend on them."""
        return np.random.default_rng(seed).normal(size=self.basis.n_parameters)


def build_model(case: Case, order: int = 4, cutoffs: dict[int, float] | None = None) -> Model:
    """Crystal, basis and kernel tables of a case."""
    atoms = case.atoms()
    crystal = build_crystal(atoms.cell.array, atoms.positions, atoms.numbers)
    basis = build_basis(crystal, cutoffs or case.up_to(order), input_supercell(crystal, case.supercell))
    return Model(crystal, basis, Expansion(basis))


def displaced(torus: Torus, sd: float = 0.05) -> np.ndarray:
    """Random displacements of thermal size, shape (n_atoms, 3)."""
    return np.random.default_rng(0).normal(scale=sd, size=(torus.n_atoms, 3))


def silicon_forces(torus: Torus, displacements: np.ndarray) -> np.ndarray:
    """Stillinger-Weber forces (matscipy), which stand for the ab initio ones."""
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import StillingerWeber, stillinger_weber

    atoms = Atoms(
        numbers=torus.numbers, positions=torus.positions + displacements, cell=torus.lattice, pbc=True
    )
    atoms.calc = Manybody(**StillingerWeber(stillinger_weber.Stillinger_Weber_PRB_31_5262_Si))
    return np.asarray(atoms.get_forces())


def silicon_snapshots(torus: Torus, count: int, sd: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (count, n_atoms, 3) of 300 K size and larger, and their forces."""
    displacements = np.random.default_rng(1).normal(scale=sd, size=(count, torus.n_atoms, 3))
    return displacements, np.array([silicon_forces(torus, each) for each in displacements])
