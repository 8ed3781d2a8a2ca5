"""Numbers of parameters: published counts, and hiPhive and symfc where the crystal has little symmetry."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlff_dyn.errors import BasisError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from tests.lattice.crystals import (
    barium_titanate,
    monoclinic,
    quartz,
    rocksalt,
    rounded_rocksalt,
    silicon,
    triclinic,
    wurtzite,
)
from tests.models import crystal_of

SILICON = [
    ({2: 5.2, 3: 4.0, 4: 4.0}, {2: 10, 3: 27, 4: 90}),
    ({2: 8.0, 3: 4.55, 4: 3.9, 5: 2.5, 6: 2.5}, {2: 31, 3: 82, 4: 90, 5: 5, 6: 7}),
]
BORON_ARSENIDE = [
    ({2: 7.1, 3: 3.5, 4: 3.5}, {2: 58, 3: 51, 4: 176}),
    ({2: 7.0, 3: 4.0, 4: 3.4, 5: 2.2, 6: 2.2}, {2: 49, 3: 155, 4: 176, 5: 5, 6: 7}),
]
TIN_SELENIDE = [
    ({2: 6.2, 3: 4.5, 4: 3.6, 5: 2.9, 6: 2.9}, {1: 4, 2: 175, 3: 592, 4: 144, 5: 33, 6: 44}),
]
TIN_SELENIDE_RELAXED = [
    ({2: 5.9, 3: 4.0}, {1: 4, 2: 117, 3: 130}),
    ({2: 6.2, 3: 4.5, 4: 3.6}, {1: 4, 2: 164, 3: 444, 4: 48}),
]


def count(atoms: Atoms, cutoffs: Mapping[int, object]) -> dict[int, int]:
    return build_basis(crystal_of(atoms), cutoffs).n_parameters_per_order


@pytest.mark.parametrize(
    ("name", "cutoffs", "expected"),
    [
        *(("Si.vasp", *case) for case in SILICON),
        *(("BAs.vasp", *case) for case in BORON_ARSENIDE),
        *(("SnSe-Pnma.vasp", *case) for case in TIN_SELENIDE),
        *(("SnSe-Pnma-sevennet.vasp", *case) for case in TIN_SELENIDE_RELAXED),
    ],
)
def test_counts_of_reference_structures(
    shared_data: Path, name: str, cutoffs: dict[int, float], expected: dict[int, int]
) -> None:
    assert count(ase.io.read(shared_data / "structures" / name), cutoffs) == expected


@pytest.mark.parametrize(
    ("atoms", "cutoffs", "expected"),
    [
        *((silicon(), *case) for case in SILICON),
        *((bulk("BAs", "zincblende", a=4.777), *case) for case in BORON_ARSENIDE),
    ],
)
def test_counts_of_built_structures(
    atoms: Atoms, cutoffs: dict[int, float], expected: dict[int, int]
) -> None:
    assert count(atoms, cutoffs) == expected


@pytest.mark.parametrize(
    ("atoms", "supercell", "expected"),
    [
        (silicon(), (2, 2, 2), 25),
        (bulk("BAs", "zincblende", a=4.777, cubic=True), (2, 2, 2), 40),
        (rocksalt(), (2, 2, 2), 31),
        (wurtzite(), (3, 3, 2), 126),
    ],
)
def test_counts_of_the_whole_supercell(atoms: Atoms, supercell: tuple[int, int, int], expected: int) -> None:
    crystal = crystal_of(atoms)
    basis = build_basis(crystal, {2: "full"}, input_supercell(crystal, supercell))
    assert basis.n_parameters_per_order[2] == expected


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (silicon(), 777),
        (rocksalt(), 758),
        (bulk("BAs", "zincblende", a=4.777, cubic=True), 1536),
    ],
)
def test_counts_of_order_three_of_the_whole_supercell(atoms: Atoms, expected: int) -> None:
    """Those of symfc for the 64-atom cell."""
    crystal = crystal_of(atoms)
    basis = build_basis(crystal, {2: 4.0, 3: "full"}, input_supercell(crystal, (2, 2, 2)))
    assert basis.n_parameters_per_order[3] == expected


def test_more_parameters_than_can_be_fitted_are_refused() -> None:
    crystal = crystal_of(wurtzite())
    with pytest.raises(BasisError, match="order 3 has"):
        build_basis(crystal, {2: "full", 3: "full"}, input_supercell(crystal, (3, 3, 2)))


def test_counts_of_the_whole_supercell_of_tin_selenide(shared_data: Path) -> None:
    crystal = crystal_of(ase.io.read(shared_data / "structures" / "SnSe-Pnma.vasp"))
    basis = build_basis(crystal, {2: "full"}, input_supercell(crystal, (1, 3, 3)))
    assert basis.n_parameters_per_order[2] == 374


@pytest.mark.parametrize(
    ("atoms", "cutoffs"),
    [
        (silicon(), {2: 4.6, 3: 4.0, 4: 2.5}),
        (quartz(), {2: 3.4, 3: 2.3, 4: 1.7}),
        (barium_titanate(polar=False), {2: 4.1, 3: 2.9, 4: 2.1}),
        (barium_titanate(polar=True), {2: 4.1, 3: 2.9, 4: 2.1}),
        (triclinic(), {2: 3.4, 3: 2.4, 4: 2.1}),
        (monoclinic(), {2: 2.9, 3: 2.0}),
    ],
    ids=["silicon", "quartz", "cubic BaTiO3", "tetragonal BaTiO3", "triclinic", "monoclinic"],
)
def test_counts_agree_with_hiphive(atoms: Atoms, cutoffs: dict[int, float]) -> None:
    hiphive = pytest.importorskip("hiphive")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        space = hiphive.ClusterSpace(atoms, list(cutoffs.values()))
        logging.disable(logging.NOTSET)
    found = count(atoms, cutoffs)
    assert {order: found[order] for order in cutoffs} == {
        order: space.get_n_dofs_by_order(order) for order in cutoffs
    }


def test_forces_at_rest_are_those_that_the_site_symmetry_allows() -> None:
    """Silicon has none, wurtzite one along the axis, a crystal of n free atoms 3 n - 3."""
    assert 1 not in count(silicon(), {2: 2.5})
    assert count(wurtzite(), {2: 2.0})[1] == 1
    assert count(triclinic(), {2: 2.1})[1] == 6
    assert count(barium_titanate(polar=True), {2: 2.1})[1] == 3


@pytest.mark.parametrize("shift", [-2e-6, 0.0, 2e-6])
def test_a_cutoff_on_a_shell_takes_the_whole_shell(shift: float) -> None:
    """A shell at the cutoff within the tolerance is in, whatever its rounding; no shell is divided."""
    atoms = silicon()
    shell = 5.43 / np.sqrt(2)
    inside = count(atoms, {2: shell + 0.01, 3: shell + 0.01})
    outside = count(atoms, {2: shell - 0.01, 3: shell - 0.01})
    assert count(atoms, {2: shell + shift, 3: shell + shift}) == inside != outside


def test_rounding_divides_no_shell() -> None:
    """Wherever the cutoff cuts a shell blurred by rounding, the shell is in or out as a whole."""
    atoms = rounded_rocksalt()
    shell = 5.64 / 2
    wholes = [count(atoms, {2: 4.1, 3: {2: cutoff}}) for cutoff in (shell - 0.01, shell + 0.01)]
    shifts = np.linspace(-2.6e-5, -1.4e-5, 25)
    found = [count(atoms, {2: 4.1, 3: {2: shell + shift}}) for shift in shifts]
    assert all(counts in wholes for counts in found)
    assert found[0] != found[-1]


def test_cutoffs_per_number_of_bodies_only_remove() -> None:
    atoms = barium_titanate(polar=False)
    assert count(atoms, {2: 4.1, 3: {2: 4.1, 3: 4.1}}) == count(atoms, {2: 4.1, 3: 4.1})
    counts = [count(atoms, {2: 4.1, 3: cutoffs})[3] for cutoffs in ({2: 4.1}, {2: 4.1, 3: 2.9}, 4.1)]
    assert counts == sorted(set(counts))
