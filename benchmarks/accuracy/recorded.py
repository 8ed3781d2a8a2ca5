"""Systems whose labelled frames lie in a folder, because labelling them takes more than this machine."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ase.io import read

from benchmarks.accuracy.laboratory import Laboratory, labelled_snapshot
from benchmarks.accuracy.systems import System
from mlff_dyn.store.dataset import Snapshot, read_snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ase.calculators.calculator import Calculator

    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame

HOT_TIN_SELENIDE = Path(__file__).parent / "data" / "SnSe-600K.extxyz.gz"


class RecordedLaboratory(Laboratory):
    """A system with frames that are there already.

    Parameters
    ----------
    system : System
    snapshots : mapping of float to sequence of Snapshot
        By temperature; those for tests last.
    """

    def __init__(self, system: System, snapshots: Mapping[float, Sequence[Snapshot]]) -> None:
        super().__init__(system, Path())
        self._snapshots = snapshots

    def frames(self, temperature_kelvin: float, count: int) -> list[LabelledFrame]:
        """The first frames of a temperature."""
        return [self.labelled(snapshot) for snapshot in self._snapshots[temperature_kelvin][:count]]


def _refuse() -> Calculator:
    raise RuntimeError("a recorded system has no reference calculator")


def tin_selenide(folder: Path) -> RecordedLaboratory:
    """SnSe of a folder with unitcell, train and test.extxyz, at 300 K; beside it a trajectory of 600 K."""
    system = System(
        name="SnSe",
        needs=(),
        make_atoms=lambda: read(folder / "unitcell.extxyz"),
        make_calculator=_refuse,
        supercell=(1, 3, 3),
        cutoffs={2: "full", 3: 4.5, 4: 3.6},
        local_cutoffs={2: "full", 3: 4.5},
        timestep_femtoseconds=2.0,
        temperatures_kelvin=(300, 600),
        training_counts=(1, 4, 8, 12, 20),
        is_cheap=False,
        n_more=0,
        larger_cutoffs=(
            {2: "full", 3: {2: 6.0, 3: 4.5}, 4: {2: 6.0, 3: 3.6, 4: 3.6}, 5: {2: 4.6}},
            {2: "full", 3: 5.0, 4: 4.2},
        ),
    )
    cold = [*read_snapshots(folder / "train.extxyz"), *read_snapshots(folder / "test.extxyz")]
    hot = [labelled_snapshot(atoms) for atoms in read(HOT_TIN_SELENIDE, ":")]
    return RecordedLaboratory(system, {300: cold, 600: hot})


def barium_titanate(folder: Path) -> RecordedLaboratory:
    """Cubic BaTiO3 of a folder with a reference POSCAR and 80 results of VASP, all of one kind.

    They are frames of dynamics with random displacements on top: the temperature is a name.
    """
    system = System(
        name="BaTiO3 VASP",
        needs=(),
        make_atoms=lambda: read(folder / "POSCAR_ref_supercell", format="vasp"),
        make_calculator=_refuse,
        supercell=(1, 1, 1),
        cutoffs={2: "full", 3: 3.9, 4: 3.9, 5: 2.5, 6: 2.5},
        local_cutoffs={2: "full", 3: 3.9},
        timestep_femtoseconds=2.0,
        temperatures_kelvin=(300,),
        training_counts=(1, 8, 16, 32, 64),
        is_cheap=False,
        n_more=0,
        n_test=16,
        repeats=1,
    )
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(folder / "vasprun_xmls.tar.xz") as archive:
            archive.extractall(scratch, filter="data")
        results = [read(path) for path in sorted(Path(scratch).glob("**/vasprun_*.xml"))]
    return RecordedLaboratory(system, {300: [labelled_snapshot(atoms) for atoms in results]})
