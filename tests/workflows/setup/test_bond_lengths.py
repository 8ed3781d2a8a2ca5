"""Crystals of elements have sound distances, the same in bohr have not."""

import pytest
from ase.build import bulk
from ase.data import chemical_symbols, reference_states

from mlff_dyn.units import BOHR_ANGSTROM
from mlff_dyn.workflows.setup.bond_lengths import distance_warnings
from tests.models import crystal_of

SYMMETRIES = ("fcc", "bcc", "hcp", "diamond")
ELEMENTS = [
    symbol
    for symbol, state in zip(chemical_symbols, reference_states, strict=False)
    if state is not None and state["symmetry"] in SYMMETRIES and symbol not in ("Ne", "Ar", "Kr", "Xe")
    if state.get("basis", ()) is not None
]


def test_elements_in_angstrom_and_in_bohr() -> None:
    assert len(ELEMENTS) > 50
    for symbol in ELEMENTS:
        atoms = bulk(symbol)
        assert distance_warnings(crystal_of(atoms)) == [], symbol
        atoms.set_cell(atoms.cell / BOHR_ANGSTROM, scale_atoms=True)
        (line,) = distance_warnings(crystal_of(atoms))
        assert "very far for their elements: check that structure.file is in Å" in line


@pytest.mark.parametrize(("a", "words"), [(5.64, []), (3.0, ["very near"]), (10.66, ["very far"])])
def test_compounds_go_by_the_sum_of_radii(a: float, words: list[str]) -> None:
    lines = distance_warnings(crystal_of(bulk("NaCl", "rocksalt", a=a)))
    assert [word in line for word, line in zip(words, lines, strict=True)] == [True] * len(words)


def test_noble_gases_are_far_apart() -> None:
    assert distance_warnings(crystal_of(bulk("Xe"))) == []
