"""Two atoms that have each other's forces in every frame are named."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.atom_checks import check_atoms
from tests.models import copper, crystal_of, emt_snapshots
from tests.workflows.lying_calculator import lying
from tests.workflows.training_project import Train, refused

FILE = Path("frames.extxyz")


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    crystal = crystal_of(copper())
    return Expansion(build_basis(crystal, {2: "full", 3: 2.7}, input_supercell(crystal, (2, 2, 2))))


def check(expansion: Expansion, frames: Sequence[Snapshot]) -> list[str]:
    data = FitData(frames_of_snapshots(FILE, frames, expansion))
    return check_atoms(FILE, fit_force_field(expansion.basis, data), data, frames)


@pytest.mark.parametrize("sd", [0.02, 0.1, 0.25])
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_no_atom_of_sound_data_stands_out(expansion: Expansion, sd: float, n: int) -> None:
    assert check(expansion, emt_snapshots((2, 2, 2), (sd,) * n)) == []


@pytest.mark.parametrize("n", [3, 8])
def test_exchanged_atoms_are_named_by_their_place_in_the_file(expansion: Expansion, n: int) -> None:
    def damaged(snapshot: Snapshot) -> Snapshot:
        forces = snapshot.forces_ev_per_angstrom.copy()
        forces[[7, 20]] = forces[[20, 7]]
        order = np.arange(32)[::-1]
        return replace(snapshot, positions=snapshot.positions[order], forces_ev_per_angstrom=forces[order])

    frames = [damaged(each) for each in emt_snapshots((2, 2, 2), (0.06,) * n)]
    with pytest.raises(DataError, match=r"atoms 12 and 25 are off by .* they have each other's forces"):
        check(expansion, frames)


def test_an_engine_that_exchanges_atoms_from_the_beginning_is_refused(folder: Path, train: Train) -> None:
    refused(train("--set", lying("swapped", 1, 1000)), 3, "forces on atoms 4 and 21 are off")
