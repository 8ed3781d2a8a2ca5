"""Structures with lengths in another unit are refused by the name of the unit."""

import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.other_lengths import match_frame
from mlff_dyn.units import BOHR_ANGSTROM
from tests.models import crystal_of

FRAME = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (2, 2, 2)
FRAME.rattle(0.1, seed=1)
CELL, POSITIONS = FRAME.cell.array, FRAME.positions


@pytest.mark.parametrize(
    ("named", "cell", "positions"),
    [
        ("cell and positions look like bohr", CELL / BOHR_ANGSTROM, POSITIONS / BOHR_ANGSTROM),
        ("cell and positions look like nm", 0.1 * CELL, 0.1 * POSITIONS),
        ("; positions look like bohr", CELL, POSITIONS / BOHR_ANGSTROM),
        ("the cell looks like bohr", CELL / BOHR_ANGSTROM, POSITIONS),
        ("positions look like fractions", CELL, FRAME.get_scaled_positions()),
        ("structure.file look like bohr", CELL * BOHR_ANGSTROM, POSITIONS * BOHR_ANGSTROM),
    ],
)
def test_the_unit_is_named(named, cell, positions):
    with pytest.raises(DataError, match=named) as caught:
        match_frame(crystal_of(bulk("NaCl", "rocksalt", a=5.64)), cell, positions, FRAME.numbers)
    assert "convert to Å" in str(caught.value)


@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_other_lattice_constants_are_no_unit(factor):
    crystal = crystal_of(bulk("NaCl", "rocksalt", a=5.64))
    with pytest.raises(DataError, match="not a supercell of the reference crystal") as caught:
        match_frame(crystal, factor * CELL, factor * POSITIONS, FRAME.numbers)
    assert "look" not in str(caught.value)


def test_sound_frames_match():
    match = match_frame(crystal_of(bulk("NaCl", "rocksalt", a=5.64)), CELL, POSITIONS, FRAME.numbers)
    assert np.sqrt(np.mean(match.displacements**2)) == pytest.approx(0.1, rel=0.2)
