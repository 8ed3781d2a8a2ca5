"""`serve`: what the command reads, says and refuses; tests/formats/dynamics_codes run i-PI itself."""

import json
import threading
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.socketio import SocketIOCalculator
from typer.testing import Result

from mlff_dyn.formats.ase_calculator import load_calculator
from mlff_dyn.workflows.export import export
from tests.models import copper
from tests.workflows.conftest import invoke


def served(
    *args: object, name: str, structure: Path, n: int = 3, size: float = 0.05
) -> tuple[Result, list[float]]:
    """Ask a command that serves for energies of displaced structures, and let it end."""
    answers: list[Result] = []
    client = threading.Thread(
        target=lambda: answers.append(invoke("serve", *args, "--i-pi", f"unix:{name}", "--json"))
    )
    atoms = ase.io.read(structure)
    rest = atoms.positions.copy()
    generator = np.random.default_rng(1)
    energies = []
    with SocketIOCalculator(unixsocket=name, timeout=20.0) as server:
        client.start()
        for _ in range(n):
            atoms.positions = rest + size * generator.standard_normal(rest.shape)
            atoms.calc = server
            energies.append(float(atoms.get_potential_energy()))
    client.join()
    return answers[0], energies


@pytest.fixture
def exported(project: Path) -> Path:
    export(project / "run", format="i-pi", output=project / "out", force=False)
    return project / "out"


def test_the_answer(exported: Path) -> None:
    name = f"mlff-{abs(hash(str(exported)))}"
    arguments = (exported / "model.h5", "--structure", exported / "init.xyz")
    result, energies = served(*arguments, name=name, structure=exported / "init.xyz")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["status"], answer["n_atoms"], answer["n_evaluations"]) == ("done", 32, 3)
    assert 0.1 < answer["largest_displacement_angstrom"] < answer["displacement_limit_angstrom"]
    assert answer["warnings"] == []
    atoms = ase.io.read(exported / "init.xyz")
    generator = np.random.default_rng(1)
    rest = atoms.positions.copy()
    atoms.calc = load_calculator(exported / "model.h5")
    for energy in energies:
        atoms.positions = rest + 0.05 * generator.standard_normal(rest.shape)
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-7)


def test_a_configuration_its_training_cell_and_its_limit(project: Path, exported: Path) -> None:
    name = f"mlff-{abs(hash(str(project)))}"
    limit = ("--set", "md.displacement_limit_angstrom=3.0")
    result, _ = served(project / "CONFIG.yaml", *limit, name=name, structure=exported / "init.xyz", size=0.3)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["displacement_limit_angstrom"] == 3.0
    assert "nothing has tested the errors there" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("--i-pi", "driver"), 2, "neither unix:NAME nor HOST:PORT"),
        (("--i-pi", "localhost:1", "--wait", "0"), 2, "no server listens at port 1 of localhost, after 0 s"),
        (("--i-pi", "localhost:1", "--structure", "no.xyz"), 3, "no.xyz does not exist"),
        (
            ("--i-pi", "localhost:1", "--structure", "other.vasp"),
            3,
            "other.vasp: the cell is not a supercell",
        ),
        (("--i-pi", "localhost:1", "--structure", "gold.vasp"), 3, "gold.vasp: atoms and ideal sites"),
    ],
)
def test_what_is_refused(
    project: Path, words: tuple[str, ...], code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    ase.io.write("other.vasp", copper() * (1, 1, 2), format="vasp", direct=True)
    atoms = ase.io.read("other.vasp")
    atoms.set_cell(atoms.cell * 1.4, scale_atoms=True)
    ase.io.write("other.vasp", atoms, format="vasp")
    gold = copper()
    gold.numbers[:] = 79
    ase.io.write("gold.vasp", gold, format="vasp")
    result = invoke("serve", "run/model.h5", *words)
    assert result.exit_code == code
    assert line in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_a_dry_run_connects_to_nobody(project: Path) -> None:
    result = invoke("serve", project / "CONFIG.yaml", "--i-pi", "unix:nobody", "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["n_atoms"] == 32
    assert invoke("serve", project / "none.h5", "--i-pi", "unix:nobody").exit_code == 3
