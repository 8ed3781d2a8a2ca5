"""Forces of hiPhive's force constants are forces of ours, and the other way round."""

import logging
import warnings
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.workflows.snapshots import displaced_atoms
from tests.lattice.crystals import expansion_on, silicon, triclinic, wurtzite
from tests.models import crystal_of

STRUCTURES = Path(__file__).parents[2] / "configs" / "structures"


def tin_selenide() -> Atoms:
    return ase.io.read(STRUCTURES / "SnSe-Pnma.vasp")


CASES = [
    (silicon(), (2, 2, 2), {2: 4.6, 3: 3.9}),
    (silicon(), (2, 2, 2), {2: 4.0, 3: 2.5, 4: 2.5}),
    (wurtzite(), (3, 3, 2), {2: 3.2, 3: 2.0}),
    (bulk("BAs", "zincblende", a=4.777, cubic=True), (2, 2, 2), {2: 4.0, 3: 2.2, 4: 2.2}),
    (tin_selenide(), (1, 2, 2), {2: 3.9, 3: 3.0, 4: 2.9}),
    (triclinic(), (2, 2, 2), {2: 3.0, 3: 2.3}),
]


def hiphive_rows(
    atoms: Atoms, cutoffs: dict[int, float], torus: Torus, displacements: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Fit matrix of hiPhive, rows in the order of the torus."""
    hiphive = pytest.importorskip("hiphive")
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            container = hiphive.StructureContainer(hiphive.ClusterSpace(atoms, list(cutoffs.values())))
            for u in displacements:
                structure = displaced_atoms(torus, 0.0 * u)
                structure.new_array("displacements", u)
                structure.new_array("forces", 0.0 * u)
                structure.calc = SinglePointCalculator(structure)
                container.add_structure(structure)
            return np.asarray(container.get_fit_data()[0])
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("atoms", "supercell", "cutoffs"), CASES)
def test_fit_matrices_span_the_same_forces(
    atoms: Atoms, supercell: tuple[int, int, int], cutoffs: dict[int, float]
) -> None:
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    generator = np.random.default_rng(3)
    displacements = [0.3 * generator.standard_normal((torus.n_atoms, 3)) for _ in range(2)]
    theirs = hiphive_rows(atoms, cutoffs, torus, displacements)
    expansion = expansion_on(crystal, cutoffs, torus)
    ours = np.concatenate([expansion.rows(u)[0] for u in displacements])
    ours = ours[:, expansion.basis.parameter_orders > 1]
    assert ours.shape == theirs.shape
    for design, other in ((ours, theirs), (theirs, ours)):
        parameters = np.random.default_rng(1).standard_normal(other.shape[1]) / np.abs(other).max(axis=0)
        forces = other @ parameters
        scaled = design / np.linalg.norm(design, axis=0)
        solution = np.linalg.lstsq(scaled, forces, rcond=1e-12)[0]
        residual = forces - scaled @ solution
        assert np.abs(residual).max() < 1e-10 * np.abs(forces).max()
