"""Amplitudes of bonds do not depend on how many pairs are looked at together, and are what pairs say."""

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from mlff_dyn.lattice import bonds
from mlff_dyn.lattice.torus import input_supercell
from tests.models import crystal_of

STRAIN = np.array([[0.01, 0.002, 0.0], [0.002, -0.01, 0.0], [0.0, 0.0, 0.003]])


def test_amplitude_is_the_mean_over_pairs_of_neighbors() -> None:
    atoms = bulk("ZnS", "zincblende", a=5.4, cubic=True) * (2, 2, 3)
    torus = input_supercell(crystal_of(bulk("ZnS", "zincblende", a=5.4, cubic=True)), (2, 2, 3))
    u = 0.1 * np.random.default_rng(2).standard_normal((len(atoms), 3))
    numbers, _ = torus.match(atoms.positions)
    moved = np.empty_like(u)
    moved[numbers] = u
    first, second, vectors = neighbor_list("ijD", atoms, 2.5)
    expected = np.sqrt(0.5 * np.mean((u[second] - u[first] + vectors @ STRAIN) ** 2))
    assert bonds.relative_amplitude(bonds.bonded_atoms(torus), moved, STRAIN) == pytest.approx(expected)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torus = input_supercell(crystal_of(bulk("NaCl", "rocksalt", a=5.6, cubic=True)), (3, 3, 2))
    u = 0.1 * np.random.default_rng(2).standard_normal((torus.n_atoms, 3))
    bonded = bonds.bonded_atoms(torus)
    whole = bonds.relative_amplitude(bonded, u, STRAIN), bonds.neighborhood_amplitudes(bonded, u, STRAIN)
    monkeypatch.setattr(bonds, "_MOST_PAIRS", 300)
    assert len(list(bonded.pieces())) > 2
    assert bonds.relative_amplitude(bonded, u, STRAIN) == pytest.approx(whole[0], rel=1e-14)
    np.testing.assert_array_equal(bonds.neighborhood_amplitudes(bonded, u, STRAIN), whole[1])
