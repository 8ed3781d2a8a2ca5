"""What `init` makes of a structure file: a configuration that it accepts itself, and what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml
from ase.build import bulk
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.engines.espresso.engine import EspressoEngine
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.store.structure_file import read_structure
from tests.models import crystal_of

PW_INPUT = """\
&control
  pseudo_dir = './upf'
/
&system
  ibrav = 0, nat = 2, ntyp = 2, ecutwfc = 4.5d1, occupations = 'smearing', degauss = 0.01
/
&electrons
  conv_thr = 1.d-10
/
ATOMIC_SPECIES
 B 10.81 B.pz.UPF
 As 74.92 As.pz.UPF
CELL_PARAMETERS angstrom
 0 2.39 2.39
 2.39 0 2.39
 2.39 2.39 0
ATOMIC_POSITIONS crystal
 B 0 0 0
 As 0.25 0.25 0.25
K_POINTS automatic
 9 9 9 0 0 0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    return tmp_path


def init(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["init", *arguments])
    assert result.exit_code == 0, result.stderr
    return result


def written(folder: Path, name: str, noise: float = 0.0) -> Path:
    atoms = bulk("BAs", "zincblende", a=4.777, cubic=True)
    atoms.positions += np.random.default_rng(3).normal(0.0, 1.0, atoms.positions.shape) * noise
    ase.io.write(folder / name, atoms, format="vasp", direct=True)
    return folder / name


def test_what_it_says_of_a_crystal(folder: Path) -> None:
    written(folder, "BAs.vasp")
    report = json.loads(init("BAs.vasp", "--json").stdout)
    assert (report["formula"], report["n_atoms_structure"]) == ("B4As4", 8)
    assert report["looser_symmetry"] is None
    assert report["n_parameters_per_order"] == {"2": 40, "3": 155}
    assert report["n_parameters_local"] == 374
    table = init("CONFIG.yaml").stdout
    assert "B4As4, 8 atoms" in table
    assert "more symmetry" not in table


def test_symmetry_behind_noise_is_named_with_the_command(folder: Path) -> None:
    """Noise of 1e-4 Å hides the space group; the command that is printed finds it."""
    written(folder, "CONTCAR", noise=1e-4)
    report = json.loads(init("CONTCAR", "--json").stdout)
    assert report["space_group"] == "P1 (1)"
    assert report["looser_symmetry"]["space_group"] == "F-43m (216)"
    table = init("CONTCAR").stdout
    command = re.search(r"mlff-dyn init (.*?)\s*$", table, re.MULTILINE)
    assert command is not None
    again = json.loads(init(*command[1].split(), "--json").stdout)
    assert again["space_group"] == "F-43m (216)"
    assert again["looser_symmetry"] is None
    lattice = [sum(each["n_parameters_per_order"].values()) for each in (again, report)]
    assert lattice[0] < 0.4 * lattice[1]


def test_a_step_of_dynamics_is_no_crystal(folder: Path) -> None:
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=1)
    atoms.write(folder / "step.vasp")
    config = ["--set", "expansion.local=null", "--set", "structure.supercell=[1,1,1]"]
    cutoffs = ["--set", "expansion.cutoffs_angstrom={2: 3.0}"]
    result = CliRunner().invoke(app, ["init", "step.vasp", "--dry-run", "--json", "-q", *config, *cutoffs])
    assert result.exit_code == 0, result.stderr
    (warning,) = json.loads(result.stdout)["warnings"]
    assert "no symmetry among its 32 atoms" in warning


def test_an_expansion_that_is_refused_names_the_symmetry(folder: Path) -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(2)
    atoms.positions += np.random.default_rng(3).normal(0.0, 1e-4, atoms.positions.shape)
    ase.io.write(folder / "CONTCAR", atoms, format="vasp")
    result = CliRunner().invoke(app, ["init", "CONTCAR", "--set", "expansion.cutoffs_angstrom={2: full}"])
    assert result.exit_code == 2
    assert "Fm-3m (225) within 0.001 Å" in result.stderr


def test_alternatives_are_accepted_as_they_are_written(folder: Path) -> None:
    written(folder, "BAs.vasp")
    init("BAs.vasp")
    text = re.sub(r"\n\s*# (?!This one|Cheaper|Larger|Its rows)", " ", (folder / "CONFIG.yaml").read_text())
    crystal = crystal_of(read_structure("BAs.vasp"))
    cells = re.findall(r"# (?:Cheaper|Larger): (\[\[.*?\]\]): (\d+) atoms.*? (\d+) parameters", text)
    assert len(cells) == 2
    for matrix, n_atoms, _ in cells:
        assert input_supercell(crystal, yaml.safe_load(matrix)).n_atoms == int(n_atoms)
    expansions = re.findall(r"# (?:Cheaper|Larger): (\{.*?\}): (\d+) parameters", text)
    assert len(expansions) == 3
    for written_as, n_parameters in expansions:
        values = yaml.safe_load(written_as)
        if "l_max" in values:
            found = local_basis(crystal, LocalSettings(**values)).n_functions
        else:
            found = build_basis(crystal, values, input_supercell(crystal, (2, 2, 2))).n_parameters
        assert found == int(n_parameters)


def test_without_a_local_part_orders_go_higher(folder: Path) -> None:
    written(folder, "BAs.vasp")
    report = json.loads(init("BAs.vasp", "--json", "--set", "expansion.local=null").stdout)
    assert (report["n_parameters"], report["n_parameters_local"]) == (371, 0)
    assert report["orders"] == [2, 3, 4]
    assert "parameters" not in (folder / "CONFIG.yaml").read_text().split("  local: null")[1].split("  #")[0]


def test_a_size_of_the_command_line_is_heeded(folder: Path) -> None:
    written(folder, "BAs.vasp")
    init("BAs.vasp", "--set", "expansion.local.l_max=1")
    chosen = load_config(folder / "CONFIG.yaml").expansion
    assert chosen.local is not None
    assert (chosen.local.cutoff_angstrom, chosen.local.n_radial, chosen.local.l_max) == (4.15, 4, 1)
    assert set(chosen.cutoffs_angstrom) == {2, 3}
    assert "374 parameters" not in (folder / "CONFIG.yaml").read_text()
    sizes = "expansion.local={cutoff_angstrom: 4.5, n_radial: 3, l_max: 2}"
    init("BAs.vasp", "--force", "--set", sizes)
    given = load_config(folder / "CONFIG.yaml").expansion.local
    assert given is not None
    assert (given.cutoff_angstrom, given.n_radial, given.l_max) == (4.5, 3, 2)


def test_a_given_cell_gets_cutoffs_that_fit(folder: Path) -> None:
    written(folder, "BAs.vasp")
    report = json.loads(init("BAs.vasp", "--json", "--set", "structure.supercell=[1, 1, 1]").stdout)
    assert report["n_atoms"] == 8
    assert "This one: 8 atoms" not in (folder / "CONFIG.yaml").read_text()


def test_the_engine_of_an_input_of_pw(folder: Path) -> None:
    (folder / "upf").mkdir()
    (folder / "scf.in").write_text(PW_INPUT)
    init("scf.in")
    engine = load_config(folder / "CONFIG.yaml").require_engine()
    assert engine.parameters["input_data"]["system"] == {
        "ecutwfc": 45.0,
        "occupations": "smearing",
        "degauss": 0.01,
    }
    assert engine.parameters["pseudopotentials"] == {"B": "B.pz.UPF", "As": "As.pz.UPF"}
    assert engine.parameters["kpoints"] == [3, 3, 3]
    assert Path(engine.profile["pseudo_dir"]).samefile(folder / "upf")
    EspressoEngine(engine.parameters, engine.profile)


def test_pseudopotentials_that_lie_there(folder: Path) -> None:
    written(folder, "BAs.vasp")
    (folder / "pseudo").mkdir()
    for name, cutoff in (("B.pbe.UPF", "38.0"), ("As.pbe.UPF", "4.200E+01"), ("Ba.pbe.UPF", "80")):
        (folder / "pseudo" / name).write_text(f'<UPF>\n<PP_HEADER\n wfc_cutoff="{cutoff}"\n/>')
    init("BAs.vasp")
    values = yaml.safe_load((folder / "CONFIG.yaml").read_text())["engine"]
    assert values["parameters"]["pseudopotentials"] == {"B": "B.pbe.UPF", "As": "As.pbe.UPF"}
    assert values["parameters"]["input_data"]["system"]["ecutwfc"] == 45
    assert values["profile"]["pseudo_dir"] == "pseudo"


def test_an_engine_of_the_command_line_is_taken_alone(folder: Path) -> None:
    written(folder, "BAs.vasp")
    init(
        "BAs.vasp",
        "--set",
        "engine.kind=ase",
        "--set",
        "engine.parameters.calculator=ase.calculators.emt:EMT",
    )
    engine = load_config(folder / "CONFIG.yaml").require_engine()
    assert (engine.kind, engine.profile) == ("ase", {})
    assert engine.parameters == {"calculator": "ase.calculators.emt:EMT"}
    init("BAs.vasp", "--force", "--set", "engine.profile.command=mpirun pw.x")
    engine = load_config(folder / "CONFIG.yaml").require_engine()
    assert (engine.kind, engine.profile["command"]) == ("espresso", "mpirun pw.x")
