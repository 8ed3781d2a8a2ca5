"""Whole folders of real data: every calculation once, whichever files hold it, and nothing mixed."""

from pathlib import Path

import pytest

from mlff_dyn.workflows.given_labels import GivenLabels

PHONOPY = "phonopy or phono3py YAML"


@pytest.mark.parametrize(
    ("folder", "counts", "refused"),
    [
        ("Si-PBEsol-vasp", {PHONOPY: (0, 222), "VASP vasprun.xml": (112, 0)}, ["no FORCES_FC2 beside it"]),
        ("Si-qe", {PHONOPY: (0, 111), "output of pw.x": (111, 0)}, []),
        ("NaCl-vasp", {PHONOPY: (0, 102), "VASP vasprun.xml": (102, 0)}, []),
        ("NaCl-vasp-harmonic", {PHONOPY: (0, 2), "VASP vasprun.xml": (2, 0)}, []),
        ("NaCl-qe", {PHONOPY: (0, 0), "output of pw.x": (2, 0)}, ["no FORCE_SETS beside it"]),
        ("BaTiO3-vasp", {"ALAMODE DFSET": (0, 80), "VASP vasprun.xml": (80, 0)}, []),
        ("Cu-vasp-aimd", {"VASP vasprun.xml": (66, 0)}, []),
        ("Si-random-energies", {PHONOPY: (200, 0)}, []),
        ("SnSe-sevennet", {"extended XYZ": (29, 0)}, ["there are no forces"]),
    ],
)
def test_a_folder_gives_each_calculation_once(
    shared_data: Path, folder: str, counts: dict[str, tuple[int, int]], refused: list[str]
) -> None:
    found = GivenLabels((shared_data / folder,)).read()
    assert {each.kind: (each.n_frames, each.n_repeated) for each in found.kinds} == counts
    assert len(found.snapshots) == sum(taken for taken, _ in counts.values())
    lines = found.refusals()
    assert len(lines) == len(refused)
    assert all(reason in line for reason, line in zip(refused, lines, strict=True))
    assert all(each.provenance.file and each.provenance.step for each in found.snapshots)
    assert len({each.provenance.labelled_by for each in found.snapshots}) == 1
