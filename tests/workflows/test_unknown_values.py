"""Values that are not known: null with a reason in every answer, no number that JSON does not have."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from mlff_dyn.store.dataset import Snapshot, write_snapshots
from mlff_dyn.store.model_file import read_model
from tests.models import emt_snapshots
from tests.workflows.conftest import CONFIG, invoke
from tests.workflows.training_project import Train

UNSTABLE = """\
structure: {file: Al.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 2.9}}
engine: {kind: ase, parameters: {calculator: "ase.calculators.emt:EMT"}}
training: {temperatures_kelvin: [3000], max_calculations: 2, initial: {n: 2}}
"""


def strained(snapshot: Snapshot, size: float) -> Snapshot:
    stretch = 1.0 + size
    return replace(snapshot, cell=stretch * snapshot.cell, positions=stretch * snapshot.positions)


def check_answer(text: str) -> dict[str, object]:
    """Parse an answer: every null in it has a reason."""
    answer: dict[str, object] = json.loads(text, parse_constant=pytest.fail)
    reasons = answer.get("null_reasons", {})
    assert isinstance(reasons, dict)
    results = {name: value for name, value in answer.items() if name not in ("null_reasons", "inputs")}
    assert set(nulls(results)) == set(reasons)
    assert "not known" not in reasons.values()
    return answer


def nulls(value: object, path: str = "") -> Iterator[str]:
    if value is None:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in items:
        yield from nulls(part, f"{path}.{name}".lstrip("."))


@pytest.mark.parametrize(
    "what", ["no energies", "one energy", "strained", "energies off", "no stress", "sound"]
)
def test_every_verb_gives_reasons(trained_folder: Path, tmp_path: Path, what: str) -> None:
    """From training to validation, whatever the labels lack."""
    (tmp_path / "Cu.vasp").write_bytes((trained_folder / "Cu.vasp").read_bytes())
    fit = {"energies off": "{energies: false}", "no stress": "{stress: true}"}.get(what, "{}")
    (tmp_path / "CONFIG.yaml").write_text(f"{CONFIG}training: {{fit: {fit}}}\n", encoding="utf-8")
    frames = emt_snapshots((2, 2, 2), (0.05, 0.08, 0.1))
    if what in ("no energies", "one energy"):
        kept = frames[:1] if what == "one energy" else []
        frames = kept + [replace(frame, energy_ev=None) for frame in frames[len(kept) :]]
    if what == "strained":
        frames = [strained(frame, 0.01) for frame in frames]
    write_snapshots(tmp_path / "frames.extxyz", frames)
    config = tmp_path / "CONFIG.yaml"
    answer = None
    for words in (
        ("train", config, "--dataset", tmp_path / "frames.extxyz", "--static"),
        ("run-md", config),
        ("check-convergence", config),
        ("validate", config, tmp_path / "frames.extxyz"),
        ("export", config, "-f", "phonopy", "-o", tmp_path / "out"),
    ):
        result = invoke(*words, "--json")
        assert result.exit_code in (0, 4), result.stderr
        answer = check_answer(result.stdout) if answer is None else answer
        check_answer(result.stdout)
    assert answer is not None
    check_answer((tmp_path / "run/md/300K-7/md.json").read_text(encoding="utf-8"))
    written = check_answer((tmp_path / "run/train.json").read_text(encoding="utf-8"))
    assert written.items() >= answer.items()
    has_energies = what in ("one energy", "energies off", "no stress", "sound")
    assert (answer["rmse_energy_ev_per_atom"] is not None) == has_energies
    assert (answer["energy_sd_ev_per_atom"] is not None) == (what in ("no stress", "sound"))
    model, _ = read_model(tmp_path / "run/model.h5")
    assert (model.training.rmse_energy_ev_per_atom is not None) == has_energies


def test_cells_off_by_their_rounding_are_fitted_as_unstrained(trained_folder: Path, tmp_path: Path) -> None:
    """1e-5 relative to the cell: energies count, and parameters change by about as little."""
    (tmp_path / "Cu.vasp").write_bytes((trained_folder / "Cu.vasp").read_bytes())
    (tmp_path / "CONFIG.yaml").write_text(CONFIG, encoding="utf-8")
    means = []
    for size in (0.0, 1e-5):
        frames = [strained(frame, size) for frame in emt_snapshots((2, 2, 2), (0.05, 0.08, 0.1))]
        write_snapshots(tmp_path / "frames.extxyz", frames)
        words = ("--static", "--dataset", tmp_path / "frames.extxyz", "--run-dir", tmp_path / f"{size:g}")
        result = invoke("train", tmp_path / "CONFIG.yaml", *words, "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["energy_sd_ev_per_atom"] is not None
        means.append(read_model(tmp_path / f"{size:g}" / "model.h5")[0].posterior.mean)
    np.testing.assert_allclose(means[1], means[0], atol=1e-3 * np.abs(means[0]).max())


def test_a_training_whose_dynamics_explode_has_a_complete_answer(tmp_path: Path) -> None:
    """The budget ends at once: no error was averaged, which the answer says, and with it the temperature."""
    cell = bulk("Al", "fcc", a=4.0, cubic=True)
    ase.io.write(tmp_path / "Al.vasp", cell, format="vasp", direct=True)
    (tmp_path / "c.yaml").write_text(UNSTABLE, encoding="utf-8")
    result = invoke("train", tmp_path / "c.yaml", "--json")
    assert result.exit_code == 4, result.stderr
    answer = check_answer(result.stdout)
    assert check_answer((tmp_path / "run/train.json").read_text(encoding="utf-8")).items() >= answer.items()
    assert answer["force_sd_relative"] is None
    assert "unstable at 3000 K" in answer["null_reasons"]["force_sd_relative"]  # type: ignore[index]
    table = invoke("train", tmp_path / "c.yaml")
    assert "nan" not in table.stdout
    assert "unstable at 3000 K" in table.stdout


def test_a_failure_leaves_model_and_answer_as_they_were(
    folder: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails before the answer is complete: neither is written, and the same command mends it."""
    from mlff_dyn.workflows.training import train as module

    write_snapshots(folder / "frames.extxyz", emt_snapshots((2, 2, 2), (0.05, 0.1)))
    assert train("--dataset", folder / "frames.extxyz", "--static").exit_code == 0
    names = ("model.h5", "train.json")
    before = [(folder / "run" / name).read_bytes() for name in names]
    write_snapshots(folder / "frames.extxyz", emt_snapshots((2, 2, 2), (0.05, 0.1, 0.07)))
    with monkeypatch.context() as patch:
        patch.setattr(module, "describe_labels", lambda *_: 1 / 0)
        assert train("--dataset", folder / "frames.extxyz", "--static").exit_code == 1
    assert [(folder / "run" / name).read_bytes() for name in names] == before
    assert train("--dataset", folder / "frames.extxyz", "--static").exit_code == 0
    assert [(folder / "run" / name).read_bytes() for name in names] != before
