"""What `init` makes of the physics of a pw.x input, for the training cell that it proposes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.engines.espresso.engine import EspressoEngine
from mlff_dyn.errors import DataError
from mlff_dyn.store.structure_file import read_structure
from mlff_dyn.workflows.setup.pw_engine import physics_of_input
from mlff_dyn.workflows.setup.workspace import Workspace

RELAXATION = """\
&CONTROL
  calculation = 'vc-relax', pseudo_dir = './upf', outdir = './tmp', prefix = 'nio', verbosity = 'high'
/
&SYSTEM
  ibrav = 1, A = 4.2, nat = 4, ntyp = 3, ecutwfc = 45, ecutrho = 360, nbnd = 40, tot_charge = 0.5
  occupations = 'smearing', smearing = 'mv', degauss = 0.01, nspin = 2
  starting_magnetization(1) = 0.2, starting_magnetization(2) = -0.2
  lda_plus_u = .true., Hubbard_U(1) = 6.0, Hubbard_U(2) = 6.0, nr1 = 48
/
&ELECTRONS
  conv_thr = 1.d-10, mixing_beta = 0.4, startingwfc = 'file', scf_must_converge = .false.
/
&IONS
  ion_dynamics = 'bfgs'
/
&CELL
  press = 10
/
ATOMIC_SPECIES
 Ni1 58.69 Ni.UPF
 Ni2 58.69 Ni.UPF
 O 16.0 O.UPF
ATOMIC_POSITIONS crystal
 Ni1 0 0 0
 Ni2 0.5 0.5 0
 O 0.5 0 0
 O 0 0.5 0
K_POINTS automatic
 6 6 5 1 1 0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    (tmp_path / "upf").mkdir()
    for element, valence in (("Ni", 10), ("O", 6)):
        (tmp_path / "upf" / f"{element}.UPF").write_text(
            f'<PP_HEADER element="{element}" z_valence="{valence}"/>'
        )
    return tmp_path


def physics(folder, text, supercell=(2, 2, 1), lengths=None):
    (folder / "scf.in").write_text(text)
    matrix = np.diag(supercell)
    given = np.full(3, 2 * np.pi / 4.2)
    both = np.array([given, given / supercell]) if lengths is None else np.array(lengths)
    return physics_of_input(folder / "scf.in", matrix, 0.4, both)


def test_physics_goes_on_and_the_rest_is_named_with_its_reason(folder):
    found = physics(folder, RELAXATION)
    assert found.parameters == {
        "input_data": {
            "control": {"verbosity": "high"},
            "system": {
                "ecutwfc": 45,
                "ecutrho": 360,
                "nbnd": 160,
                "tot_charge": 2.0,
                "occupations": "smearing",
                "smearing": "mv",
                "degauss": 0.01,
                "nspin": 2,
                "lda_plus_u": True,
                "hubbard_u": {"Ni": 6.0},
            },
            "electrons": {"conv_thr": 1e-10, "mixing_beta": 0.4},
        },
        "pseudopotentials": {"Ni": "Ni.UPF", "O": "O.UPF"},
        "kpoints": {"grid": [3, 3, 5], "shift": [1, 1, 0]},
    }
    notes = " ".join(found.notes)
    for key in ("calculation", "outdir", "pseudo_dir", "ibrav", "nr1", "startingwfc", "scf_must_converge"):
        assert re.search(rf"Left out, as [^:]+: [^.]*\b{key}\b", notes)
    assert "starting_magnetization" in notes
    assert "ion_dynamics" in notes
    assert "press" in notes
    assert "6 x 6 x 5 of the input divided by the repeats of the training cell, 2 x 2 x 1: 3 x 3 x 5" in notes
    assert "nbnd: 4 times that of the input, 40" in notes
    assert Path(found.pseudo_dir).samefile(folder / "upf")
    EspressoEngine(found.parameters, {"pseudo_dir": found.pseudo_dir})


def test_the_configuration_of_an_antiferromagnet(folder):
    (folder / "scf.in").write_text(RELAXATION)
    result = CliRunner().invoke(app, ["init", "scf.in"])
    assert result.exit_code == 0, result.stderr
    config = load_config(folder / "CONFIG.yaml")
    atoms = Workspace(config).crystal
    assert sorted(set(atoms.magnetic_moments.round(3).tolist())) == [-2.0, 0.0, 2.0]
    assert "# Left out" in (folder / "CONFIG.yaml").read_text()
    assert "k-points: 6 x 6 x 5 of the input" in result.stderr


@pytest.mark.parametrize(
    ("line", "value", "note"),
    [
        ("conv_thr = 1.d-10,", 1e-10, ""),
        ("conv_thr = 1.d-7,", 1e-7, "conv_thr: 1e-07 is loose"),
        ("conv_thr = 1.d-5,", 1e-9, "conv_thr: 1e-05 is too loose"),
        ("", 1e-9, "conv_thr: 1e-06, the default of pw.x, is too loose"),
    ],
)
def test_cycles_converge_far_enough_for_forces(folder, line, value, note):
    found = physics(folder, RELAXATION.replace("conv_thr = 1.d-10,", line))
    assert found.parameters["input_data"]["electrons"]["conv_thr"] == value
    assert note in " ".join(found.notes)
    assert bool(note) == ("loose" in " ".join(found.notes))


@pytest.mark.parametrize(
    ("card", "supercell", "expected"),
    [
        ("K_POINTS gamma", (2, 2, 1), "gamma"),
        ("K_POINTS automatic\n 4 4 4 0 0 0", (4, 4, 4), "gamma"),
        ("K_POINTS automatic\n 4 4 4 1 1 1", (4, 4, 4), {"grid": [1, 1, 1], "shift": [1, 1, 1]}),
        ("K_POINTS {automatic}\n 5 5 5 0 0 0", (2, 2, 2), [3, 3, 3]),
        ("K_POINTS crystal\n 1\n 0 0 0 1", (2, 2, 2), [2, 2, 2]),
    ],
)
def test_kpoints_are_divided(folder, card, supercell, expected):
    text = RELAXATION[: RELAXATION.index("K_POINTS")] + card + "\n"
    assert physics(folder, text, supercell).parameters["kpoints"] == expected


def test_a_skewed_training_cell_has_kpoints_as_close(folder):
    """A body-centred cell of the simple one: reciprocal vectors longer by root 2 than the mesh divides."""
    (folder / "scf.in").write_text(RELAXATION.replace("6 6 5 1 1 0", "6 6 6 0 0 0"))
    matrix = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    given = np.full(3, 2 * np.pi / 4.2)
    around = 2 * np.pi * np.linalg.norm(np.linalg.inv(4.2 * matrix), axis=0)
    found = physics_of_input(folder / "scf.in", matrix, 0.4, np.array([given, around]))
    grid = np.array(found.parameters["kpoints"])
    assert np.all(around / grid < 1.06 * given / 6)
    assert np.all(around / (grid - 1) > given / 6)


@pytest.mark.parametrize(("supercell", "expected"), [((2, 2, 1), (1, 1, 3)), ((1, 3, 2), (2, 1, 2))])
def test_the_mesh_of_exact_exchange_is_divided(folder, supercell, expected):
    hybrid = RELAXATION.replace("nr1 = 48", "input_dft = 'hse', nqx1 = 2, nqx2 = 2, nqx3 = 3")
    system = physics(folder, hybrid, supercell).parameters["input_data"]["system"]
    assert tuple(system[f"nqx{i}"] for i in (1, 2, 3)) == expected


def test_vacuum_gets_one_point(folder):
    given = np.array([1.5, 1.5, 0.0])
    found = physics(folder, RELAXATION, (2, 2, 1), (given, given / 2))
    assert found.parameters["kpoints"] == {"grid": [3, 3, 1], "shift": [1, 1, 0]}


def test_the_card_of_hubbard_parameters(folder):
    card = "HUBBARD (ortho-atomic)\nU Ni1-3d 6.0\nU Ni2-3d 6.0\nU O-2p 1.0\n"
    assert physics(folder, RELAXATION + card).parameters["hubbard"] == {
        "projectors": "ortho-atomic",
        "lines": ["U Ni-3d 6.0", "U O-2p 1.0"],
    }
    with pytest.raises(DataError, match="names atoms by number"):
        physics(folder, RELAXATION + card + "V Ni1-3d O-2p 1 19 0.5\n")


@pytest.mark.parametrize("key", ["lfcp", "trism"])
def test_other_ensembles_are_refused(folder, key):
    with pytest.raises(DataError, match=f"control.{key}: .* fixed numbers of electrons"):
        physics(folder, RELAXATION.replace("verbosity = 'high'", f"{key} = .true."))


def test_damaged_inputs_are_read_or_refused(folder):
    """Cut, with bytes changed, without a line: one line with the file, or a structure."""
    random = np.random.default_rng(1)
    content = (RELAXATION + "HUBBARD (ortho-atomic)\nU Ni1-3d 6.0\n").encode()
    for number in range(120):
        damaged = bytearray(content)
        if number % 3 == 0:
            del damaged[random.integers(len(content)) :]
        elif number % 3 == 1:
            for place in random.integers(len(content), size=3):
                damaged[place] = random.integers(256)
        else:
            lines = content.splitlines(keepends=True)
            del lines[random.integers(len(lines))]
            damaged = bytearray(b"".join(lines))
        (folder / "scf.in").write_bytes(damaged)
        for read in (read_structure, read_physics):
            refusal = refusal_of(read, folder / "scf.in")
            assert refusal is None or ("scf.in" in str(refusal) and refusal.fix)


def read_physics(path):
    return physics_of_input(path, np.eye(3, dtype=int), 0.4, np.ones((2, 3)))


def refusal_of(read, path):
    try:
        read(path)
    except DataError as error:
        return error
    return None
