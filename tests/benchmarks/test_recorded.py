"""Frames that come with the benchmarks, and the same frames as a peer takes them."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from benchmarks.accuracy.conductivities import with_small
from benchmarks.accuracy.laboratory import Laboratory
from benchmarks.accuracy.measures import LATTICE, OWN, both_expansions, on_expansion
from benchmarks.accuracy.polymlp import SIZES, PolymlpStructures, new_model
from benchmarks.accuracy.recorded import HOT_TIN_SELENIDE
from benchmarks.accuracy.systems import SYSTEMS
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.fitting.labelled_frame import labelled_frame


def test_hot_tin_selenide_is_labelled() -> None:
    """Eight different frames of one cell, with forces that add up to nothing."""
    frames = read(HOT_TIN_SELENIDE, ":")
    assert [len(atoms) for atoms in frames] == [72] * 8
    assert len({atoms.get_potential_energy() for atoms in frames}) == 8
    for atoms in frames:
        np.testing.assert_allclose(atoms.cell.array, frames[0].cell.array)
        np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0.0, atol=1e-3)


def test_both_expansions_see_the_same_frames(tmp_path) -> None:
    """Copper: a local part in place of order 4, and the forces that both are to give."""
    laboratory = Laboratory(next(each for each in SYSTEMS if each.name == "Cu EMT 2-4"), tmp_path)
    u, forces = np.random.default_rng(0).normal(scale=0.05, size=(2, laboratory.torus.n_atoms, 3))
    frame = labelled_frame(laboratory.supercell, u, forces, None)
    both = both_expansions(laboratory)
    assert list(both) == [OWN, LATTICE]
    orders = {name: set(place.expansion.parameter_orders) for name, place in both.items()}
    assert orders == {OWN: {0, 2, 3}, LATTICE: {2, 3, 4}}
    for place in both.values():
        (same,) = on_expansion(place, [frame])
        assert same.supercell is place
        np.testing.assert_array_equal(same.forces, frame.forces)


def test_scaled_frames_are_thermal_ones_scaled(tmp_path) -> None:
    """Copper of 32 atoms: forces near a third, kept for the second call, in place of the last frame."""
    copper = next(each for each in SYSTEMS if each.name == "Cu EMT 2-3")
    harmonic = replace(copper, supercell=(2, 2, 2), cutoffs={2: "full"})
    laboratory = Laboratory(harmonic, tmp_path).sampled_by_a_force_field()
    thermal = laboratory.frames(300, 2)
    small = laboratory.scaled_frames(300, 1, 0.3)
    np.testing.assert_allclose(small[0].displacements, 0.3 * thermal[0].displacements, atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(small[0].forces), 0.3 * np.linalg.norm(thermal[0].forces), rtol=0.1
    )
    np.testing.assert_array_equal(laboratory.scaled_frames(300, 1, 0.3)[0].forces, small[0].forces)
    assert with_small(thermal, small) == [thermal[0], small[0]]
    assert with_small(thermal, []) == thermal


def test_pypolymlp_gets_the_same_atoms() -> None:
    pytest.importorskip("pypolymlp")
    atoms = bulk("GaAs", "zincblende", 5.65, cubic=True)
    torus = input_supercell(build_crystal(atoms.cell.array, atoms.positions, atoms.numbers), (1, 1, 2))
    structures = PolymlpStructures(torus)
    u = np.random.default_rng(0).normal(scale=0.1, size=(torus.n_atoms, 3))
    found = structures.structure(u)
    places = (found.axis @ found.positions).T
    np.testing.assert_allclose(places, (torus.positions + u)[structures.order])
    assert found.elements == ["Ga"] * 8 + ["As"] * 8
    assert new_model(structures.elements, SIZES[0]).n_features == 2 * 5 + 128
