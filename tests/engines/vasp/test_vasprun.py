"""vasprun.xml: what VASP itself writes wrongly, and choices of steps."""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.engines.vasp.vasprun import VASPRUN, read_vasprun
from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep, StepChoice
from mlff_dyn.store.source import Source
from tests.engines.vasp.vasp_outputs import read_all


@pytest.fixture
def dynamics(shared_data: Path) -> str:
    """Ten steps of dynamics of 64 atoms, all of them good."""
    return gzip.decompress((shared_data / "vasp" / "vasprun.md.xml.gz").read_bytes()).decode("latin-1")


@pytest.fixture
def relaxation(shared_data: Path) -> str:
    """A relaxation of one atom in eight steps, by VASP 6.2."""
    return gzip.decompress((shared_data / "vasp" / "vasprun.etest2.xml.gz").read_bytes()).decode("latin-1")


def read_text(text: str, path: Path) -> tuple[list, list]:
    path.write_bytes(text.encode("latin-1"))
    return read_all(VASPRUN, path)


def replaced(text: str, old: str, new: str, occurrence: int) -> str:
    """Replace one occurrence, counted from 0."""
    parts = text.split(old)
    assert len(parts) > occurrence + 1
    return old.join(parts[: occurrence + 1]) + new + old.join(parts[occurrence + 1 :])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<i type="string" name="PREC">Low</i>', '<i type="string" name="SYSTEM">a < b & c \x00\x07</i>'),
        ("Si 05Jan2001 ", "Si\x0005Jan2001 "),
        ('<i name="e_0_energy">', '<i name="e_0_energy">***'),
    ],
)
def test_what_does_not_matter_may_be_unreadable(dynamics: str, tmp_path: Path, old: str, new: str) -> None:
    assert old in dynamics
    snapshots, refused = read_text(dynamics.replace(old, new), tmp_path / "vasprun.xml")
    assert (len(snapshots), refused) == (10, [])


@pytest.mark.parametrize(
    ("value", "reason"),
    [("****************", "no number"), ("NaN", "no number"), ("0.1 0.2", "not 3 numbers")],
)
def test_a_step_with_a_force_that_is_no_number_is_refused(
    dynamics: str, tmp_path: Path, value: str, reason: str
) -> None:
    begin = dynamics.index('<varray name="forces"', dynamics.index("</calculation>"))
    words = dynamics[begin:].split("<v>", 1)[1].split("</v>", maxsplit=1)[0]
    text = dynamics[:begin] + dynamics[begin:].replace(words, f" 0.1 0.2 {value} ", 1)
    snapshots, (refused,) = read_text(text, tmp_path / "vasprun.xml")
    assert len(snapshots) == 9
    assert refused.step == 2
    assert reason in refused.reason


def test_an_energy_of_asterisks_is_refused(dynamics: str, tmp_path: Path) -> None:
    begin = dynamics.rindex('<i name="e_fr_energy">')
    end = dynamics.index("</i>", begin)
    text = f'{dynamics[:begin]}<i name="e_fr_energy">*********{dynamics[end:]}'
    snapshots, (refused,) = read_text(text, tmp_path / "vasprun.xml")
    assert ([each.provenance.step for each in snapshots], refused.step) == (list(range(1, 10)), 10)


def test_an_energy_that_is_not_that_of_the_last_electronic_step_is_refused(
    relaxation: str, tmp_path: Path
) -> None:
    lines = relaxation.splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if "e_fr_energy" in line)
    lines[last] = lines[last].replace("-11.2", "-11.3")
    snapshots, (refused,) = read_text("".join(lines), tmp_path / "vasprun.xml")
    assert (len(snapshots), refused.step) == (7, 8)
    assert "last electronic step" in refused.reason


def test_with_a_dispersion_correction_energies_of_steps_have_more(relaxation: str, tmp_path: Path) -> None:
    lines = relaxation.splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if "e_fr_energy" in line)
    lines[last] = lines[last].replace("-11.2", "-11.3")
    text = "".join(lines).replace("<incar>", '<incar>\n  <i type="int" name="IVDW">    12</i>', 1)
    snapshots, refused = read_text(text, tmp_path / "vasprun.xml")
    assert (len(snapshots), refused) == (8, [])


def test_a_step_that_was_stopped_before_ediff_is_refused(relaxation: str, tmp_path: Path) -> None:
    """A run that is asked to stop ends its electronic steps at once, and writes its forces all the same."""
    text = relaxation.replace('<i name="EDIFF">      0.00010000</i>', '<i name="EDIFF">      0.00000100</i>')
    snapshots, refused = read_text(text, tmp_path / "vasprun.xml")
    assert len(snapshots) + len(refused) == 8
    assert refused
    assert all("EDIFF 1e-06" in each.reason for each in refused)


@pytest.mark.parametrize(
    "line", ["<calculation>", "</calculation>", '<varray name="forces" >', "</structure>"]
)
def test_a_lost_tag_costs_one_step(dynamics: str, tmp_path: Path, line: str) -> None:
    begin = dynamics.index("<calculation>")
    text = dynamics[:begin] + replaced(dynamics[begin:], line, "", 3)
    snapshots, refused = read_text(text, tmp_path / "vasprun.xml")
    assert (len(snapshots), len(refused)) == (9, 1)
    assert refused[0].step == 4


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_cut_run_keeps_its_complete_steps(dynamics: str, tmp_path: Path, share: float) -> None:
    text = dynamics[: int(share * len(dynamics))]
    snapshots, refused = read_text(text, tmp_path / "vasprun.xml")
    assert len(snapshots) == text.count("</calculation>")
    assert [each.step for each in refused] == [len(snapshots) + 1]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_read(dynamics: str, tmp_path: Path, compress) -> None:
    path = tmp_path / "vasprun.xml.packed"
    path.write_bytes(compress(dynamics.encode("latin-1")))
    assert VASPRUN.recognizes(Source(path), Source(path).head())
    assert len(read_all(VASPRUN, path)[0]) == 10


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_cut_compressed_file_keeps_its_complete_steps(dynamics: str, tmp_path: Path, compress) -> None:
    rng = np.random.default_rng(0)
    noise = "".join(f"<!-- {rng.bytes(3000).hex()} -->" for _ in range(1500))
    packed = compress((dynamics + noise).encode("latin-1"))
    path = tmp_path / "vasprun.xml.packed"
    path.write_bytes(packed[: int(0.9 * len(packed))])
    snapshots, refused = read_all(VASPRUN, path)
    assert len(snapshots) == 10
    assert [(each.step, "cut or damaged" in each.reason) for each in refused] == [(None, True)]


@pytest.mark.parametrize("text", ["last", "::3", "2:-2", "-3:"])
def test_chosen_steps_are_those_of_the_slice(dynamics: str, tmp_path: Path, text: str) -> None:
    path = tmp_path / "vasprun.xml"
    path.write_text(dynamics, encoding="latin-1")
    choice = StepChoice.parse(text)
    found = list(read_vasprun(Source(path), ReadOptions(steps=choice)))
    assert [each.provenance.step for each in found] == list(choice.of(range(1, 11)))


@pytest.mark.parametrize("text", ["", "<modeling>", "<?xml version='1.0'?>\n<html>vasp</html>"])
def test_a_file_without_steps_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vasprun.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"vasprun\.xml"):
        list(read_vasprun(Source(path), ReadOptions()))


def test_a_contradicting_list_of_atoms_is_refused(dynamics: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contradict"):
        read_text(
            dynamics.replace("<atoms>      64 </atoms>", "<atoms>      63 </atoms>"), tmp_path / "vasprun.xml"
        )


def test_predicted_steps_are_told_from_calculated_ones(shared_data: Path) -> None:
    snapshots, (refused,) = read_all(VASPRUN, shared_data / "vasp" / "vasprun.ml_md.xml.gz")
    steps = [each.provenance.step for each in snapshots]
    assert (len(steps), steps[0], steps[-1]) == (20, 1, 92)
    assert steps == sorted(set(steps))
    assert isinstance(refused, RefusedStep)
    assert refused.step is None
    assert all(each.stress_ev_per_angstrom3 is None for each in snapshots)
    assert all(np.isfinite(each.forces_ev_per_angstrom).all() for each in snapshots)


def scf_step(energy: float, *, is_whole: bool = False) -> str:
    parts = '<i name="eentropy">      0.00000000 </i>' if is_whole else ""
    return f'<scstep><energy>{parts}<i name="e_fr_energy"> {energy:.8f} </i></energy></scstep>'


def test_electronic_steps_of_linear_response_do_not_count(relaxation: str, tmp_path: Path) -> None:
    """They follow those of the ground state in the same step, and their energies are other ones."""
    begin = relaxation.index("<structure>")
    response = scf_step(5.0, is_whole=True) + "".join(scf_step(1.0 / n) for n in range(1, 70))
    text = relaxation[:begin] + response + relaxation[begin:]
    snapshots, (refused,) = read_text(text, tmp_path / "vasprun.xml")
    assert (len(snapshots), refused.step) == (7, 1)
    text = text.replace('<i type="int" name="IBRION">     2</i>', '<i type="int" name="IBRION">     8</i>')
    assert len(read_text(text, tmp_path / "vasprun.xml")[0]) == 8


def test_pressure_times_volume_is_no_part_of_the_energy(relaxation: str, tmp_path: Path) -> None:
    sound, _ = read_text(relaxation, tmp_path / "vasprun.xml")
    lines = relaxation.splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if "e_fr_energy" in line)
    lines[last] = lines[last].replace("-11.2", "-10.2")
    text = "".join(lines).replace("<incar>", '<incar>\n  <i name="PSTRESS">    100.00000000</i>', 1)
    text = text.replace('<i name="PSTRESS">      0.00000000</i>', '<i name="PSTRESS">    100.00000000</i>')
    snapshots, refused = read_text(text, tmp_path / "vasprun.xml")
    assert refused == []
    assert [each.energy_ev for each in snapshots] == [each.energy_ev for each in sound]


def test_scaled_forces_are_refused(relaxation: str, tmp_path: Path) -> None:
    old = '<i name="SCALEE">      1.00000000</i>'
    assert old in relaxation
    snapshots, refused = read_text(
        relaxation.replace(old, old.replace("1.0", "0.5")), tmp_path / "vasprun.xml"
    )
    assert (len(snapshots), len(refused)) == (0, 8)
    assert "SCALEE" in str(refused[0])


def test_steps_of_a_run_that_is_appended_are_refused(dynamics: str, relaxation: str, tmp_path: Path) -> None:
    snapshots, refused = read_text(dynamics + relaxation, tmp_path / "vasprun.xml")
    assert [each.n_atoms for each in snapshots] == [64] * 10
    assert [each.step for each in refused] == list(range(11, 19))
    assert all("another run" in each.reason for each in refused)


def test_a_full_disk_leaves_a_hole(dynamics: str, tmp_path: Path) -> None:
    begin = len(dynamics) // 2
    text = dynamics[:begin] + "\x00" * 4096 + dynamics[begin + 4096 :]
    snapshots, refused = read_text(text, tmp_path / "vasprun.xml")
    assert len(snapshots) in {8, 9}
    assert len(snapshots) + len(refused) == 10
