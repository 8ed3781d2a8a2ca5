"""Outputs of pw.x as labelled steps: real files of many versions, and runs of the pw.x that is here."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from itertools import pairwise
from pathlib import Path

import ase.io
import numpy as np
import pytest

from mlff_dyn.engines.espresso.pw_text import PW_TEXT
from mlff_dyn.engines.espresso.pw_xml import PW_XML
from mlff_dyn.store.calculated_steps import ReadOptions, RefusedStep, StepChoice
from mlff_dyn.store.source import Source
from mlff_dyn.units import RYDBERG_EV, RYDBERG_PER_BOHR_EV_PER_ANGSTROM
from tests.engines.espresso.spoiled_outputs import (
    accepted,
    cut_or_thinned,
    is_one_of,
    read_steps,
    with_other_bytes,
)

PSEUDO_DIR = Path("/usr/share/espresso/pseudo")
ASE_RYDBERG = 4e-6  # of an energy; ASE has older constants

TEXTS = {
    "NaCl-qe/NaCl-001.out": [None],
    "NaCl-qe/NaCl-002.out": [None],
    "qe/BAs/scf.out": ["no forces"],
    "qe/default/aiida.out": ["no forces"],
    "qe/default_no_xml/aiida.out": [None],
    "qe/default_xml_210716/aiida.out": ["no forces"],
    "qe/default_xml_220603/aiida.out": ["positions are missing"],
    "qe/default_xml_240411/aiida.out": ["positions are missing", None, None, None],
    "qe/failed_interrupted/aiida.out": ["output ends in this step: killed, or still running"],
    "qe/failed_out_of_walltime/aiida.out": ["Maximum CPU time exceeded"],
    "qe/failed_scf_not_converged/aiida.out": ["did not converge"],
    "qe/fixed_coords_relax/aiida.out": [None],
    "qe/relax_success/aiida.out": [None],
    "qe/scf_electric_field/aiida.out": [None],
    "qe/vcrelax_success/aiida.out": [None, None, None],
}
XMLS = {
    "qe/BAs/scf.xml": ["no forces"],
    "qe/default/data-file-schema.xml": ["no forces"],
    "qe/default_xml_210716/data-file-schema.xml": ["no forces"],
    "qe/default_xml_220603/data-file-schema.xml": [None],
    "qe/default_xml_240411/data-file-schema.xml": [None, None, None, None],
    "qe/failed_out_of_walltime/data-file-schema.xml": ["did not converge"],
    "qe/failed_scf_not_converged/data-file-schema.xml": ["did not converge"],
    "qe/fixed_coords_relax/data-file.xml": ["atoms are fixed, and their forces are zero"],
    "qe/relax_success/data-file-schema.xml": [None],
    "qe/scf_electric_field/data-file-schema.xml": [None],
    "qe/vcrelax_success/data-file-schema.xml": [None, None, None],
}


def test_the_tables_have_every_file(shared_data):
    names = {str(path.relative_to(shared_data)) for path in shared_data.glob("*qe/**/*.out")}
    names |= {str(path.relative_to(shared_data)) for path in shared_data.glob("qe/**/*.xml")}
    assert names == {*TEXTS, *XMLS, "NaCl-qe/NaCl.ph.out"}


@pytest.mark.parametrize(
    ("form", "name", "reasons"),
    [(PW_TEXT, *each) for each in TEXTS.items()] + [(PW_XML, *each) for each in XMLS.items()],
)
def test_each_step_is_read_or_refused(shared_data, form, name, reasons):
    path = shared_data / name
    source = Source(path)
    assert form.recognizes(source, source.head())
    assert not (PW_XML if form is PW_TEXT else PW_TEXT).recognizes(source, source.head())
    steps = read_steps(form, path)
    assert len(steps) == len(reasons)
    for number, (step, reason) in enumerate(zip(steps, reasons, strict=True), start=1):
        assert isinstance(step, RefusedStep) == (reason is not None)
        if isinstance(step, RefusedStep):
            assert reason in step.reason
            assert step.step == number
            assert str(path) in str(step)
            assert step.fix
        else:
            assert (step.provenance.file, step.provenance.step) == (str(path), number)
            assert step.provenance.label_engine_kind == "espresso"
            assert step.provenance.program.startswith("Quantum ESPRESSO ")


def test_an_output_of_another_program_is_not_one_of_pw(shared_data):
    source = Source(shared_data / "NaCl-qe" / "NaCl.ph.out")
    assert not PW_TEXT.recognizes(source, source.head())


def test_old_xml_is_refused(tmp_path):
    path = tmp_path / "data-file.xml"
    path.write_text('<?xml version="1.0"?>\n<?iotk version="1.2.0"?>\n<Root>\n<FORMAT NAME="QEXML"/></Root>')
    assert PW_XML.recognizes(Source(path), path.read_bytes())
    (refused,) = read_steps(PW_XML, path)
    assert "before 6.0 holds no energies" in refused.reason


@pytest.mark.parametrize("name", [name for name, reasons in TEXTS.items() if None in reasons])
def test_text_against_ase(shared_data, name):
    found = accepted(read_steps(PW_TEXT, shared_data / name))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = ase.io.read(shared_data / name, index=":", format="espresso-out")
    except AssertionError:
        pytest.skip("ASE cannot read it")
    assert len(found) == len(images)
    for step, atoms in zip(found, images, strict=True):
        assert step.energy_ev == pytest.approx(atoms.get_potential_energy(), rel=ASE_RYDBERG)
        assert step.forces_ev_per_angstrom == pytest.approx(atoms.get_forces(), rel=ASE_RYDBERG, abs=1e-9)
        assert step.cell == pytest.approx(atoms.cell.array, abs=1e-7)
        assert step.positions == pytest.approx(atoms.positions, abs=1e-7)
        if "stress" in atoms.calc.results:
            assert step.stress_ev_per_angstrom3 == pytest.approx(atoms.get_stress(), abs=1e-8)


@pytest.mark.parametrize(
    "folder", ["default_xml_240411", "relax_success", "scf_electric_field", "vcrelax_success"]
)
def test_text_and_xml_of_a_run_agree(shared_data, folder):
    text = read_steps(PW_TEXT, shared_data / "qe" / folder / "aiida.out")
    xml = read_steps(PW_XML, shared_data / "qe" / folder / "data-file-schema.xml")
    pairs = [each for each in zip(text, xml, strict=True) if not isinstance(each[0], RefusedStep)]
    assert pairs
    for pair in pairs:
        check_agreement(*pair)
    if len(pairs) == len(text):
        assert text[0].provenance.label_engine == xml[0].provenance.label_engine


def check_agreement(text, xml):
    assert text.energy_ev == pytest.approx(xml.energy_ev, abs=1e-8 * RYDBERG_EV)
    assert text.forces_ev_per_angstrom == pytest.approx(xml.forces_ev_per_angstrom, abs=2e-7)
    assert text.cell == pytest.approx(xml.cell, abs=3e-6)
    assert text.positions == pytest.approx(xml.positions, abs=1e-6)
    if xml.stress_ev_per_angstrom3 is not None:
        assert text.stress_ev_per_angstrom3 == pytest.approx(xml.stress_ev_per_angstrom3, abs=6e-7)


def test_fixed_atoms_keep_the_forces_that_the_text_prints(shared_data):
    (step,) = read_steps(PW_TEXT, shared_data / "qe/fixed_coords_relax/aiida.out")
    forces = step.forces_ev_per_angstrom / RYDBERG_PER_BOHR_EV_PER_ANGSTROM
    assert forces[0] == pytest.approx([-0.03561845, -0.02056432, 0.00005349])


def test_provenance_names_files_checksums_and_date(shared_data):
    (step,) = read_steps(PW_TEXT, shared_data / "qe/relax_success/aiida.out")
    known = step.provenance
    assert known.program == "Quantum ESPRESSO 6.6"
    assert known.pseudopotentials == "Si.pbe-n-rrkjus_psl.1.0.0.UPF (MD5 0b0bb1205258b0d07b9f9672cf965d36)"
    assert known.date == "2023-02-10T12:53:40"


def test_an_output_that_counts_no_k_points_is_read(shared_data, tmp_path):
    text = (shared_data / "qe/default_no_xml/aiida.out").read_text()
    count = "number of k points=     3"
    assert count in text
    (tmp_path / "x.out").write_text(text.replace(count, count.replace("3", "0")))
    assert len(list(PW_TEXT.read(Source(tmp_path / "x.out"), ReadOptions()))) == 1


def test_chosen_steps(shared_data):
    path = shared_data / "qe/vcrelax_success/aiida.out"
    whole = read_steps(PW_TEXT, path)
    for text, numbers in (("last", [3]), ("::2", [1, 3]), ("1:2", [2]), ("-2:", [2, 3]), (":-1", [1, 2])):
        options = ReadOptions(steps=StepChoice.parse(text))
        found = list(PW_TEXT.read(Source(path), options))
        assert [step.provenance.step for step in found] == numbers
        assert [step.energy_ev for step in found] == [whole[number - 1].energy_ev for number in numbers]


def test_silicon_forces_of_an_archive(shared_data):
    """FORCES_FC3 holds, in Ry/bohr, what phono3py read from the 111 outputs, less the mean force."""
    rows = (shared_data / "Si-qe" / "FORCES_FC3").read_text().splitlines()
    expected = np.array([row.split() for row in rows if row.strip() and "#" not in row], dtype=float)
    archive = Source(shared_data / "Si-qe" / "supercell_out.tar.lzma")
    members = sorted(
        (each for each in archive.members() if each.name == "Si.out"), key=lambda each: each.member
    )
    steps = [step for member in members for step in PW_TEXT.read(member, ReadOptions())]
    assert len(steps) == 111
    assert len({step.provenance.label_engine for step in steps}) == 1
    for step, forces in zip(steps, expected.reshape(-1, 64, 3), strict=True):
        read = step.forces_ev_per_angstrom / RYDBERG_PER_BOHR_EV_PER_ANGSTROM
        assert read - read.mean(axis=0) == pytest.approx(forces, abs=1.01e-8)


SPOILED = ["qe/default_xml_240411", "qe/fixed_coords_relax", "qe/vcrelax_success", "NaCl-qe"]


def spoil(shared_data, tmp_path, count):
    """Read files with damages; those that lost something may not give other numbers."""
    for folder in SPOILED:
        for path in sorted((shared_data / folder).glob("*[ea]*.xml")) + sorted(
            (shared_data / folder).glob("*[a1].out")
        ):
            form = PW_XML if path.suffix == ".xml" else PW_TEXT
            content, spoiled = path.read_bytes(), tmp_path / path.name
            right = accepted(read_steps(form, path))
            for variant in cut_or_thinned(content, count, seed=1):
                spoiled.write_bytes(variant)
                for step in accepted(read_steps(form, spoiled)):
                    assert is_one_of(step, right), path
            for variant in with_other_bytes(content, count, seed=2):
                spoiled.write_bytes(variant)
                assert all(step is not None for step in read_steps(form, spoiled))


def test_spoiled_outputs(shared_data, tmp_path):
    spoil(shared_data, tmp_path, 20)


@pytest.mark.drill
def test_a_thousand_spoiled_outputs(shared_data, tmp_path):
    spoil(shared_data, tmp_path, 170)


RUNS = {
    "relax": ("calculation='relax'", "", "&ions\n/"),
    "vc-relax": ("calculation='vc-relax', nstep=3", "", "&ions\n/\n&cell\n/"),
    "md": ("calculation='md', nstep=4, dt=100", "nosym=.true.", "&ions\n/"),
    "smeared": (
        "calculation='md', nstep=4, dt=100",
        "nosym=.true., occupations='smearing', smearing='fd', degauss=0.1",
        "&ions\n/",
    ),
    "vc-md": ("calculation='vc-md', nstep=3, dt=40", "nosym=.true.", "&ions\n/\n&cell\npress=30\n/"),
    "spin": (
        "calculation='scf'",
        "nspin=2, starting_magnetization(1)=0.5, occupations='smearing', degauss=0.02",
        "",
    ),
    "careless": ("calculation='scf'", "", ""),
}


@pytest.fixture(scope="module")
def silicon_runs(tmp_path_factory):
    """Text and XML of tiny runs of pw.x, by kind."""
    if shutil.which("pw.x") is None or not (PSEUDO_DIR / "Si.pz-vbc.UPF").exists():
        pytest.skip("pw.x or its silicon pseudopotential is not installed")
    found = {}
    for kind, (control, system, rest) in RUNS.items():
        folder = tmp_path_factory.mktemp(kind)
        careless = "electron_maxstep=3, scf_must_converge=.false." if kind == "careless" else ""
        (folder / "pw.in").write_text(f"""&control
{control}, tprnfor=.true., tstress=.true., pseudo_dir='{PSEUDO_DIR}', outdir='./tmp', prefix='x'
/
&system
ibrav=0, nat=2, ntyp=1, ecutwfc=12, {system}
/
&electrons
conv_thr=1d-8, {careless}
/
{rest}
ATOMIC_SPECIES
Si 28.085 Si.pz-vbc.UPF
CELL_PARAMETERS angstrom
0.0 2.715 2.715
2.715 0.0 2.715
2.715 2.715 0.0
ATOMIC_POSITIONS crystal
Si 0.01 0.02 0.0
Si 0.25 0.25 0.26
K_POINTS automatic
2 2 2 0 0 0
""")
        with (folder / "pw.out").open("w") as out:
            command = ["pw.x", "-in", "pw.in"]
            subprocess.run(
                command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, timeout=120, check=False
            )
        found[kind] = (folder / "pw.out", folder / "tmp" / "x.xml")
    return found


@pytest.mark.engine
@pytest.mark.parametrize("kind", [kind for kind in RUNS if kind != "careless"])
def test_steps_of_a_run_are_those_of_its_xml(silicon_runs, kind):
    """Dynamics move the positions on before pw.x writes the end of the XML."""
    text, xml = (
        accepted(read_steps(form, path))
        for form, path in zip((PW_TEXT, PW_XML), silicon_runs[kind], strict=True)
    )
    n_energies = len(re.findall(r"^!", silicon_runs[kind][0].read_text(), re.MULTILINE))
    assert len(text) == len(xml) == n_energies
    for pair in zip(text, xml, strict=True):
        check_agreement(*pair)
        assert pair[0].provenance.label_engine == pair[1].provenance.label_engine
    assert len({step.provenance.label_engine for step in text}) == 1


@pytest.mark.engine
def test_a_cycle_that_did_not_have_to_converge_is_refused(silicon_runs):
    """With scf_must_converge off, pw.x says that convergence has been achieved."""
    text, xml = silicon_runs["careless"]
    assert "convergence has been achieved in   3" in text.read_text()
    for form, path in ((PW_TEXT, text), (PW_XML, xml)):
        (refused,) = read_steps(form, path)
        assert "did not converge: accuracy" in refused.reason


def works(steps):
    """Integral of -F du + V s de between each step and the next, with the means of forces and stress."""
    for first, second in pairwise(steps):
        inverse = np.linalg.inv(first.cell)
        gradient = inverse @ (second.cell - first.cell)
        scaled = (second.positions @ np.linalg.inv(second.cell)) - first.positions @ inverse
        moved = scaled @ (0.5 * (first.cell + second.cell))
        forces = 0.5 * (first.forces_ev_per_angstrom + second.forces_ev_per_angstrom)
        strain = 0.5 * (gradient + gradient.T)
        voigt = strain[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * [1, 1, 1, 2, 2, 2]
        stress = 0.5 * (first.stress_ev_per_angstrom3 + second.stress_ev_per_angstrom3)
        yield abs(np.linalg.det(first.cell)) * float(stress @ voigt) - float(np.sum(forces * moved))


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["md", "vc-md"])
def test_energies_of_a_run_match_forces_and_stress(silicon_runs, kind):
    steps = accepted(read_steps(PW_TEXT, silicon_runs[kind][0]))
    for (first, second), work in zip(pairwise(steps), works(steps), strict=True):
        assert second.energy_ev - first.energy_ev == pytest.approx(work, abs=2e-4)
        assert abs(work) > 2e-3


@pytest.mark.engine
def test_the_energy_of_smeared_electrons_is_the_free_energy(silicon_runs):
    """F = E - TS, which forces are derivatives of; E is not."""
    path, _ = silicon_runs["smeared"]
    steps = accepted(read_steps(PW_TEXT, path))
    internal = re.findall(r"internal energy E=F\+TS\s+=\s+(\S+) Ry", path.read_text())
    work = np.array(list(works(steps)))
    off = np.abs(np.diff([step.energy_ev for step in steps]) - work)
    off_internal = np.abs(np.diff([float(x) * RYDBERG_EV for x in internal]) - work)
    assert np.all(off < 0.1 * off_internal)
