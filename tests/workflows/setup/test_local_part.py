"""The local part of a configuration: what `init` and `train` say of it, what is refused, what goes on."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from typer.testing import CliRunner, Result

from mlff_dyn.cli.app import app
from mlff_dyn.config.load import load_config
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.store.dataset import write_snapshots
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.train_report import describe_fit
from tests.models import copper, emt_snapshots
from tests.workflows.training_project import refused

CONFIG = """\
structure: {{file: crystal.extxyz, supercell: {supercell}}}
expansion: {{cutoffs_angstrom: {{2: full}}, local: {local}}}
"""
IDENTITY_WITHOUT = "c147fa5d490ee4bd"
IDENTITY_OF_THREE_BODIES = "863477de6b4d1db6"


def project(folder: Path, atoms: Atoms, supercell: object = (2, 2, 2), local: str = "null") -> Path:
    ase.io.write(folder / "crystal.extxyz", atoms, write_info=False)
    path = folder / "c.yaml"
    path.write_text(CONFIG.format(supercell=list(supercell), local=local), encoding="utf-8")
    return path


def run(verb: str, config: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, [verb, str(config), *map(str, arguments)])


def answer(verb: str, config: Path, *arguments: object) -> dict[str, object]:
    result = run(verb, config, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_init_counts_both_parts(tmp_path: Path) -> None:
    """Copper: n functions of the distance, and (l_max + 1) n (n + 1) / 2 of pairs of neighbors."""
    config = project(tmp_path, copper(), local="{cutoff_angstrom: 4.0, n_radial: 3, l_max: 2, n_bodies: 3}")
    report = answer("init", config)
    assert report["n_parameters_local"] == 3 + 3 * 6
    assert report["n_parameters"] == sum(report["n_parameters_per_order"].values()) + 21
    assert report["orders"] == [2]
    assert "local: 21" in run("init", config).stdout
    frames = tmp_path / "frames.extxyz"
    write_snapshots(frames, emt_snapshots((2, 2, 2), (0.05, 0.08)))
    planned = answer("train", config, "--static", "--dry-run", "--dataset", frames)
    assert planned["n_parameters_local"] == 21
    assert planned["n_parameters"] == report["n_parameters"]
    of_four = answer("init", config, "--set", "expansion.local.n_bodies=4", "--force")["n_parameters_local"]
    assert 21 < of_four <= 21 + 10 + 2 * 3 * 6 + 18 + 10
    without = answer("init", config, "--set", "expansion.local=null", "--force")
    assert without["n_parameters_local"] == 0
    assert "local" not in run("init", config, "--set", "expansion.local=null", "--force").stdout


def test_sizes_that_are_left_out_are_the_usual_ones(tmp_path: Path) -> None:
    workspace = Workspace(load_config(project(tmp_path, copper(), local="{}")))
    assert workspace.expansion.local is not None
    assert workspace.expansion.local.settings == LocalSettings()


def test_run_directories_of_before_go_on_and_sizes_matter(tmp_path: Path) -> None:
    config = project(tmp_path, bulk("Si", "diamond", a=5.43, cubic=True))
    sizes = (
        "null",
        "{}",
        "{n_bodies: 3}",
        "{cutoff_angstrom: 4}",
        "{cutoff_angstrom: 4, n_radial: 4}",
        "{l_max: 2}",
    )
    found = [Workspace(load_config(config, [f"expansion.local={local}"])).basis_identity for local in sizes]
    assert found[0] == IDENTITY_WITHOUT
    assert found[2] == IDENTITY_OF_THREE_BODIES
    assert len(set(found)) == len(sizes)
    written = Workspace(load_config(config, ["expansion.local={l_max: 3, n_radial: 5, cutoff_angstrom: 5}"]))
    assert written.basis_identity == found[1]


def test_a_cutoff_without_neighbors_and_too_many_functions_are_refused(tmp_path: Path) -> None:
    config = project(tmp_path, bulk("NaCl", "rocksalt", a=5.64, cubic=True), (1, 1, 1))
    refused(run("init", config, "--set", "expansion.local.cutoff_angstrom=2"), 2, "2.82 Å apart", "5.6")
    big = ("--set", "expansion.local={n_radial: 12, l_max: 6, n_bodies: 3}")
    without_negligible = answer("init", config, *big)["n_parameters_local"]
    assert 3000 < without_negligible <= 3 * 12 + 7 * 2 * 24 * 25 // 2
    mixed = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    mixed.numbers[:4] = (11, 19, 37, 55)
    config = project(tmp_path, mixed, (1, 1, 1))
    refused(
        run("init", config, *big, "--force"), 2, "5 species", "more than 5000", "expansion.local.n_bodies"
    )


def test_a_sheet_does_not_see_its_images(tmp_path: Path) -> None:
    """Graphene with 4.8 Å of vacuum between its images, within the reach of 5 Å; rules at rest take a few."""
    sheet = graphene(vacuum=2.4)
    sheet.pbc = (True, True, False)
    workspace = Workspace(load_config(project(tmp_path, sheet, (3, 3, 1), local="{n_bodies: 3}")))
    assert workspace.expansion.local is not None
    assert np.allclose(workspace.expansion.local.tables.vectors[:, 2], 0.0)
    free = ("--set", "structure.periodic=[true, true, false]", "--set", "expansion.rotational_sum_rules=[]")
    assert answer("init", tmp_path / "c.yaml", *free)["n_parameters_local"] == 5 + 4 * 15
    with_rules = answer("init", tmp_path / "c.yaml", "--force")["n_parameters_local"]
    assert 5 + 4 * 15 - 6 <= with_rules < 5 + 4 * 15


def test_a_fit_says_which_parameters_it_has(tmp_path: Path) -> None:
    config = project(tmp_path, copper(), local="{cutoff_angstrom: 4.0, n_radial: 3, l_max: 1, n_bodies: 3}")
    expansion = Workspace(load_config(config)).expansion
    snapshots = emt_snapshots((2, 2, 2), (0.05, 0.08, 0.1))
    data = FitData(frames_of_snapshots(tmp_path / "frames.extxyz", snapshots, expansion))
    fit = describe_fit(fit_force_field(expansion.basis, data))
    assert fit["n_parameters_local"] == 15
    assert fit["n_parameters"] == expansion.basis.n_parameters + 15
    assert {"local 2", "local 3"} <= set(fit["prior_sd"])


def test_a_static_training_says_it_to_people(tmp_path: Path) -> None:
    config = project(tmp_path, copper(), local="{cutoff_angstrom: 4.0, n_radial: 3, l_max: 1, n_bodies: 3}")
    write_snapshots(tmp_path / "frames.extxyz", emt_snapshots((2, 2, 2), (0.05, 0.08, 0.1)))
    result = run("train", config, "--static", "--dataset", tmp_path / "frames.extxyz")
    assert result.exit_code == 0, result.stderr
    assert "15 of the local part" in result.stdout
    again = run("train", config, "--static", "--dataset", tmp_path / "frames.extxyz")
    assert "up to date" in again.stdout


@pytest.mark.parametrize("local", ["null", "{}"])
def test_the_resolved_configuration_has_the_local_part(tmp_path: Path, local: str) -> None:
    config = project(tmp_path, copper(), local=local)
    answer("init", config)
    again = load_config(tmp_path / "run" / "config.resolved.yaml")
    assert again.expansion.local == load_config(config).expansion.local
