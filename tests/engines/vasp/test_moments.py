"""Moments of a vasprun.xml come from the OUTCAR beside it, if it is of the same run."""

import gzip
from pathlib import Path

import pytest

from mlff_dyn.engines.vasp.vasprun import VASPRUN
from tests.engines.vasp.vasp_outputs import read_all

TABLE = """
 magnetization (x)

# of ion       s       p       d       tot
------------------------------------------
    1        0.000   0.001   1.500   1.501
--------------------------------------------------
tot          0.000   0.001   1.500   1.501

"""


@pytest.fixture
def run(shared_data: Path, tmp_path: Path) -> Path:
    """A run with spins: that of copper, which VASP made without, with moments written into its OUTCAR."""
    folder = shared_data / "vasp"
    xml = gzip.decompress((folder / "vasprun.etest2.xml.gz").read_bytes()).decode("latin-1")
    text = gzip.decompress((folder / "OUTCAR.etest1.gz").read_bytes()).decode("latin-1")
    snapshots, _ = read_all(VASPRUN, folder / "vasprun.etest2.xml.gz")
    mark = "FORCE on cell"
    parts = text.split(mark)
    text = parts[0] + "".join(f"{TABLE}  {mark}{part}" for part in parts[1:])
    for number, snapshot in enumerate(snapshots):
        lines = text.splitlines(keepends=True)
        ends = [index for index, line in enumerate(lines) if "free  energy   TOTEN" in line]
        electronic = [index for index in range(ends[number]) if "free energy    TOTEN" in lines[index]]
        for index in electronic[-2:]:
            lines[index] = f"  free energy    TOTEN  =      {snapshot.energy_ev:.8f} eV\n"
        lines[ends[number]] = f"  free  energy   TOTEN  =      {snapshot.energy_ev:.8f} eV\n"
        text = "".join(lines)
    (tmp_path / "OUTCAR").write_text(text, encoding="latin-1")
    old = '<i type="int" name="ISPIN">     1</i>'
    assert old in xml
    path = tmp_path / "vasprun.xml"
    path.write_text(xml.replace(old, old.replace("1", "2")), encoding="latin-1")
    return path


def test_moments_of_the_same_run_are_taken(run: Path) -> None:
    snapshots, refused = read_all(VASPRUN, run)
    assert refused == []
    assert [each.magnetic_moments.tolist() for each in snapshots] == [[1.501]] * 8


def test_those_of_another_run_or_of_a_damaged_file_are_not(run: Path, shared_data: Path) -> None:
    other = gzip.decompress((shared_data / "vasp" / "OUTCAR.gz").read_bytes())
    for content in (other, b" vasp.6.3.0\n nothing\n", b""):
        (run.parent / "OUTCAR").write_bytes(content)
        snapshots, refused = read_all(VASPRUN, run)
        assert (len(snapshots), refused) == (8, [])
        assert all(each.magnetic_moments is None for each in snapshots)
