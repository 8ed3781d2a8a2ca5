"""`init` from the inputs of a VASP calculation: structure, physics, and what is changed and why."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from typer.testing import CliRunner

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.engines.vasp.engine import VaspEngine
from tests.engines.vasp.vasp_library import potcar

RELAXATION = """\
SYSTEM = relaxation of NiO
ENCUT = 500 ; EDIFF = 1E-8   ! tight
PREC = Accurate
GGA = PS
ISIF = 3
IBRION = 2 ; NSW = 50
POTIM = 0.3
EDIFFG = -0.001
ISPIN = 2
MAGMOM = 2 2 -2 -2 4*0.6
LDAU = .TRUE. ; LDAUTYPE = 2
LDAUL = 2 -1
LDAUU = 6.0 0.0
LDAUJ = 0 0
ISMEAR = -5
NBANDS = 60
LWAVE = .FALSE.
NCORE = 4
ICHARG = 1
LASPHH = T
"""
KPOINTS = "mesh\n0\nMonkhorst-Pack\n6 6 6\n0 0 0\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VASP_PP_PATH", raising=False)
    (tmp_path / "relax").mkdir()
    return tmp_path


def nickel_oxide() -> Atoms:
    atoms = bulk("NiO", "rocksalt", a=4.18, cubic=True)
    return atoms[np.argsort(-atoms.numbers, kind="stable")]


def write(folder: Path, atoms: Atoms, **files: str) -> None:
    ase.io.write(folder / "relax/POSCAR", atoms, format="vasp", direct=True)
    for name, text in files.items():
        (folder / "relax" / name).write_text(text)


def init(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["init", *arguments])
    assert result.exit_code == 0, result.stderr
    return result.stderr


@pytest.mark.parametrize("source", ["relax", "relax/POSCAR"])
def test_a_relaxation_becomes_a_static_engine(folder: Path, source: str) -> None:
    write(folder, nickel_oxide(), INCAR=RELAXATION, KPOINTS=KPOINTS, POTCAR=potcar("Ni") + potcar("O"))
    said = init(source, "--set", "structure.supercell=[2,2,2]")
    config = load_config(folder / "CONFIG.yaml")
    assert config.structure.magnetic_moments == (2.0, 2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 0.0)
    engine = config.require_engine()
    assert engine.kind == "vasp"
    assert engine.parameters == {
        "incar": {
            "ENCUT": 500.0,
            "EDIFF": 1e-8,
            "PREC": "Accurate",
            "GGA": "PS",
            "ISPIN": 2,
            "LDAU": True,
            "LDAUTYPE": 2,
            "LDAUL": {"Ni": 2, "O": -1},
            "LDAUU": {"Ni": 6.0, "O": 0.0},
            "LDAUJ": {"Ni": 0.0, "O": 0.0},
            "ISMEAR": -5,
            "NCORE": 4,
        },
        "kpoints": {"grid": [3, 3, 3], "shift": [0.5, 0.5, 0.5]},
        "potcar_folder": "potpaw_PBE",
        "pseudopotentials": {"Ni": "Ni", "O": "O"},
    }
    assert Path(engine.profile["pseudo_dir"]).samefile(folder / "relax")
    for line in (
        "ISIF = 3, IBRION = 2, NSW = 50 left out: every structure is calculated as it is",
        "NBANDS left out: it belongs to the cell of the file; the training cell is 8 times larger",
        "LASPHH = T left out: unknown key; did you mean LASPH",
        "MAGMOM is now structure.magnetic_moments without those up to 0.75",
        "6 x 6 x 6 becomes 3 x 3 x 3 in the training cell: the same points, folded",
    ):
        assert line in " ".join(said.split())
    VaspEngine(engine.parameters, engine.profile)


def test_tetrahedra_need_more_points_than_a_large_cell_has(folder: Path) -> None:
    write(folder, bulk("Cu", cubic=True), INCAR="ENCUT = 400\nISMEAR = -5\n", KPOINTS="k\n0\nG\n2 2 2\n")
    said = init("relax", "--set", "structure.supercell=[2,2,2]")
    parameters = load_config(folder / "CONFIG.yaml").require_engine().parameters
    assert (parameters["incar"]["ISMEAR"], parameters["incar"]["SIGMA"]) == (0, 0.05)
    assert parameters["kpoints"] == "gamma"
    assert "tetrahedra need 4 k-points" in " ".join(said.split())


def test_defaults_of_vasp_stay_those_of_vasp(folder: Path) -> None:
    write(
        folder,
        bulk("Cu", cubic=True),
        INCAR="ENMAX = 480\nKSPACING = 0.3\nIALGO = 48\nLREAL = Auto\n",
        POTCAR=potcar("Cu_pv"),
    )
    init("relax", "--set", "structure.supercell=[2,2,2]")
    parameters = load_config(folder / "CONFIG.yaml").require_engine().parameters
    expected = {"ALGO": "VeryFast", "LREAL": "Auto", "ISMEAR": 1, "SIGMA": 0.2, "ENCUT": 480.0}
    assert parameters["incar"] == expected
    assert parameters["kpoints"] == [3, 3, 3]
    assert parameters["pseudopotentials"] == {"Cu": "Cu_pv"}


def test_small_moments_are_a_start_by_element(folder: Path) -> None:
    write(folder, bulk("Cu", cubic=True), INCAR="ENCUT = 400\nISPIN = 2\nMAGMOM = 4*0.6\nISMEAR = 0\n")
    init("relax")
    config = load_config(folder / "CONFIG.yaml")
    assert config.structure.magnetic_moments is None
    assert config.require_engine().parameters["incar"]["MAGMOM"] == {"Cu": 0.6}


def test_a_structure_alone(folder: Path) -> None:
    write(folder, bulk("Cu", cubic=True))
    said = init("relax")
    engine = load_config(folder / "CONFIG.yaml").require_engine()
    assert (engine.kind, engine.parameters["incar"]) == ("vasp", {"ENCUT": 520.0})
    assert "ENCUT: a guess" in said
    assert "Name the POTCARs" in said


def test_a_relaxation_is_taken_at_its_end(folder: Path) -> None:
    write(folder, bulk("Cu", cubic=True), INCAR="ENCUT = 400\nIBRION = 2\nNSW = 20\nISMEAR = 1\n")
    ase.io.write(folder / "relax/CONTCAR", bulk("Cu", a=3.7, cubic=True), format="vasp", direct=True)
    assert "CONTCAR: taken, for it is where the relaxation ended" in " ".join(init("relax").split())
    assert load_config(folder / "CONFIG.yaml").structure.file.name == "CONTCAR"
    (folder / "relax/INCAR").write_text("ENCUT = 400\nIBRION = 0\nNSW = 20\nISMEAR = 1\n")
    init("relax", "--force")
    assert load_config(folder / "CONFIG.yaml").structure.file.name == "POSCAR"


def test_lists_of_an_incar_follow_poscar_alone(folder: Path) -> None:
    write(folder, nickel_oxide(), INCAR=RELAXATION)
    ase.io.write(folder / "relax/NiO.cif", bulk("NiO", "rocksalt", a=4.18, cubic=True))
    said = init("relax/NiO.cif")
    assert "LDAUJ, LDAUL, LDAUU, MAGMOM left out: they follow POSCAR, not NiO.cif" in " ".join(said.split())
    config = load_config(folder / "CONFIG.yaml")
    assert config.structure.magnetic_moments is None
    assert "LDAUU" not in config.require_engine().parameters["incar"]


@pytest.mark.parametrize("ediff", ["1E-3", "1E-4", "1E-8"])
def test_loose_steps_are_told_or_tightened(folder: Path, ediff: str) -> None:
    write(folder, bulk("Cu", cubic=True), INCAR=f"ENCUT = 400\nISMEAR = 1\nLREAL = Auto\nEDIFF = {ediff}\n")
    said = init("relax")
    kept = load_config(folder / "CONFIG.yaml").require_engine().parameters["incar"].get("EDIFF")
    assert kept == (None if ediff == "1E-3" else float(ediff))
    assert ("loose for forces" in said) == (ediff != "1E-8")
    assert "LREAL other than false" in said


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"INCAR": "LDAUU = 6.0 0.0 1.0\n"}, "LDAUU has 3 values, the structure 2 species"),
        ({"INCAR": "ENCUT = high\n"}, "ENCUT = high: one number expected"),
        ({"POTCAR": potcar("Ni")}, "has no O"),
        ({"POTCAR": potcar("Ni") + potcar("O")[:200]}, "its end is missing"),
    ],
)
def test_inputs_that_do_not_belong_together_are_one_line(folder: Path, files: dict, message: str) -> None:
    write(folder, nickel_oxide(), **files)
    result = CliRunner().invoke(app, ["init", "relax"])
    assert result.exit_code == 3
    assert message in " ".join(result.stderr.split())
    assert not (folder / "CONFIG.yaml").exists()


def test_a_directory_without_a_structure(folder: Path) -> None:
    result = CliRunner().invoke(app, ["init", "relax"])
    assert result.exit_code == 2
    assert "has no POSCAR or CONTCAR" in result.stderr


@pytest.mark.parametrize("name", ["INCAR", "INCAR_2", "INCAR_C2"])
def test_real_incars_become_engines(folder: Path, shared_data: Path, name: str) -> None:
    text = (shared_data / "vasp/inputs" / name).read_text()
    write(folder, bulk("Cu", cubic=True), INCAR=text, POTCAR=potcar("Cu"))
    result = CliRunner().invoke(app, ["init", "relax"])
    if "LDAUU" in text and len(text.split("LDAUU")[1].split("\n")[0].split()) > 2:
        assert result.exit_code == 3
        return
    assert result.exit_code == 0, result.stderr
    engine = load_config(folder / "CONFIG.yaml").require_engine()
    VaspEngine(engine.parameters, engine.profile)
