"""`init` with a configuration: what it says and writes, and what `train` makes of it."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.store.model_file import read_basis
from tests.models import crystal_of

CONFIG = """\
structure: {file: Si.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 4.0, 4: {2: 4.0, 3: 2.5}}}
training: {initial: {n: 4, sd_angstrom: 0.03}}
"""


def silicon() -> ase.Atoms:
    return bulk("Si", "diamond", a=5.43, cubic=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    ase.io.write(tmp_path / "Si.vasp", silicon(), format="vasp", direct=True)
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def init(config: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["init", str(config), "--json", *map(str, arguments)])


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != ".lock"
    }


def test_what_it_says(config: Path) -> None:
    result = init(config)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["n_atoms"], report["n_atoms_primitive"]) == (64, 2)
    assert "227" in report["space_group"]
    assert report["orders"] == [2, 3, 4]
    counts = report["n_parameters_per_order"]
    assert (counts["2"], counts["3"]) == (25, 27)
    assert report["n_parameters"] == sum(counts.values())
    safe = report["largest_safe_cutoffs_angstrom"]
    assert set(safe) == {"2", "3", "4"}
    assert all(5.425 < value < 5.43 for value in safe.values())


def test_a_noisy_cell_is_taken_for_the_ideal_one(config: Path) -> None:
    """The same parameters, cells of the ideal crystal, and a line on how far the given one is from it."""
    exact = json.loads(init(config).stdout)
    assert exact["distance_from_ideal_angstrom"] == 0.0
    atoms = silicon()
    atoms.positions += 1e-4 * np.random.default_rng(1).uniform(-1, 1, atoms.positions.shape)
    ase.io.write(config.parent / "Si.vasp", atoms, format="vasp", direct=True)
    loose = ("--set", "structure.symprec_angstrom=1e-3", "--force")
    noisy = json.loads(init(config, *loose).stdout)
    assert 3e-5 < noisy["distance_from_ideal_angstrom"] < 2e-4
    assert noisy["n_parameters_per_order"] == exact["n_parameters_per_order"]
    supercell = ase.io.read(config.parent / "run/structure/supercell.vasp")
    ideal = crystal_of(supercell)
    assert (ideal.n_sites, ideal.n_operations) == (2, 48)
    said = CliRunner().invoke(app, ["init", str(config), *loose]).stdout
    assert "the given cell is up to" in said


def test_what_it_writes(config: Path) -> None:
    """Structures of the crystal, rattled as asked, and the basis that the report counts."""
    report = json.loads(init(config).stdout)
    run = config.parent / "run"
    assert set(files(run)) == {
        "basis.h5",
        "config.resolved.yaml",
        "structure/initial.extxyz",
        "structure/primitive.vasp",
        "structure/supercell.vasp",
    }
    crystal = crystal_of(silicon())
    supercell = ase.io.read(run / "structure/supercell.vasp")
    rest = match_structure(crystal, supercell.cell.array, supercell.positions, supercell.numbers)
    assert rest.torus.n_atoms == 64
    assert np.abs(rest.displacements).max() < 1e-6
    assert len(ase.io.read(run / "structure/primitive.vasp")) == 2
    initial = ase.io.read(run / "structure/initial.extxyz", index=":")
    moved = [match_structure(crystal, a.cell.array, a.positions, a.numbers).displacements for a in initial]
    assert len(moved) == 4
    assert np.std(moved) == pytest.approx(0.03, rel=0.1)
    basis, _ = read_basis(run / "basis.h5")
    assert basis.n_parameters == report["n_parameters"]


def test_the_largest_safe_cutoff_is_accepted_and_what_lies_beyond_is_not(config: Path) -> None:
    safe = json.loads(init(config).stdout)["largest_safe_cutoffs_angstrom"]["2"]
    accepted = init(config, "--set", f"expansion.cutoffs_angstrom={{2: {safe}}}", "--dry-run")
    assert accepted.exit_code == 0, accepted.stderr
    before = files(config.parent)
    refused = init(config, "--set", f"expansion.cutoffs_angstrom={{2: {safe + 0.01}}}")
    assert refused.exit_code == 2
    assert f"{safe:.3f} Å" in " ".join(refused.stderr.split())
    assert files(config.parent) == before


def test_dry_run_says_the_same_and_writes_nothing(config: Path) -> None:
    before = files(config.parent)
    dry = json.loads(init(config, "--dry-run").stdout)
    assert files(config.parent) == before
    wet = json.loads(init(config).stdout)
    assert dry.pop("status") != wet.pop("status")
    assert dry == wet


def test_again_writes_the_same_bytes(config: Path) -> None:
    first = init(config)
    before = files(config.parent)
    second = init(config)
    assert second.stdout == first.stdout
    assert files(config.parent) == before


def test_a_changed_expansion_changes_the_basis(config: Path) -> None:
    init(config)
    changed = json.loads(init(config, "--set", "expansion.cutoffs_angstrom={2: full}").stdout)
    basis, _ = read_basis(config.parent / "run/basis.h5")
    assert basis.n_parameters == changed["n_parameters"] == 25


def test_the_basis_on_disk_is_only_a_store(config: Path) -> None:
    """A damaged one is made again, not trusted."""
    report = init(config).stdout
    path = config.parent / "run/basis.h5"
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    assert init(config).stdout == report
    assert read_basis(path)[0].n_parameters == json.loads(report)["n_parameters"]
