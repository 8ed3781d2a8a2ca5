"""First structures leave the fit where dynamics is predicted better without them, and only there."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import phonopy
import pytest

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
from mlff_dyn.observables.sampled_phonons import sampled_phonons
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.store.dataset import read_snapshots, write_snapshots
from mlff_dyn.store.model_file import read_model
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.workflows.convergence.chosen_observables import Sampling, judge_observables
from mlff_dyn.workflows.export import export
from mlff_dyn.workflows.phonons.phonons import phonons
from mlff_dyn.workflows.phonons.phonons_report import PhononsReport
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.outgrown import OutgrownLimits, first_and_moving, fit_without_outgrown
from tests.models import copper, crystal_of, emt_snapshots
from tests.workflows.training_project import Train

FILE = Path("frames.extxyz")


@pytest.fixture(scope="module")
def expansions() -> dict[str, Expansion]:
    crystal = crystal_of(copper())
    torus = input_supercell(crystal, (2, 2, 2))
    cutoffs = {"harmonic": {2: "full"}, "large": {2: "full", 3: 3.0, 4: 2.7}}
    return {name: Expansion(build_basis(crystal, each, torus)) for name, each in cutoffs.items()}


def frames(expansion: Expansion, sds: tuple[float, ...], seed: int) -> list[LabelledFrame]:
    return frames_of_snapshots(FILE, emt_snapshots((2, 2, 2), sds, seed), expansion)


def error(expansion: Expansion, known: Sequence[LabelledFrame], new: Sequence[LabelledFrame]) -> float:
    """Of the forces of frames that a fit does not know."""
    data = FitData(tuple(known))
    mean = fit_force_field(expansion.basis, data).posterior.mean
    rows = data.extended(list(new))
    rests = [rows.force_rows(len(known) + k) @ mean - frame.forces for k, frame in enumerate(new)]
    return float(np.sqrt(np.mean(np.square(rests))))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("kind", "sd", "expected"), [("harmonic", 0.15, True), ("large", 0.03, False)])
def test_new_frames_agree_with_the_choice(
    expansions: dict[str, Expansion], kind: str, sd: float, expected: bool, seed: int
) -> None:
    """Springs at rest are not the best of strongly anharmonic motion; many parameters need all data."""
    expansion = expansions[kind]
    first, moved = frames(expansion, (0.02,), seed), frames(expansion, (sd, sd), seed + 10)
    known = [*first, *moved]
    fitted = fit_force_field(expansion.basis, FitData(tuple(known)))
    without = fit_without_outgrown(fitted, FitData(tuple(known)), [0], [1, 2])
    assert (without is not None) is expected
    assert without is None or without.is_of(moved)
    new = frames(expansion, (sd, sd), seed + 20)
    assert (error(expansion, moved, new) < error(expansion, known, new)) is expected


def test_few_frames_of_dynamics_decide_nothing(expansions: dict[str, Expansion]) -> None:
    known = frames(expansions["harmonic"], (0.02, 0.15, 0.15, 0.15), 1)
    data = FitData(tuple(known))
    fitted = fit_force_field(expansions["harmonic"].basis, data)
    assert fit_without_outgrown(fitted, data, [0], [1, 2, 3])
    assert not fit_without_outgrown(fitted, data, [0], [1])
    assert fit_without_outgrown(fitted, data, [0], [1, 2, 3], limits=OutgrownLimits(most_held_out=2))
    assert not fit_without_outgrown(fitted, data, [], [1, 2, 3])


def test_which_frames_are_looked_at() -> None:
    """Given ones by their amplitude; of own dynamics two to four decide, of given frames any number."""
    given, rattled = Provenance(), Provenance(engine="6f1c", reason="initial structure")
    dynamics = Provenance(engine="6f1c", reason="error above the limit", temperature_kelvin=300.0)
    assert first_and_moving([given] * 4, [0.01, 0.02, 0.1, 0.05]) == ([0, 1], [2, 3])
    assert first_and_moving([given] * 9, [0.01, *[0.1] * 8]) == ([0], list(range(1, 9)))
    assert first_and_moving([given, rattled, dynamics], [0.01, 0.01, 0.1]) == ([0, 1], [2])
    assert first_and_moving([rattled, *[dynamics] * 5], [0.01, *[0.1] * 5]) == ([0], [])
    assert first_and_moving([], []) == ([], [])


def test_which_structures_are_first_ones() -> None:
    rattled = Provenance(engine="6f1c", reason="initial structure")
    assert rattled.is_rattled
    assert not rattled.as_given().is_rattled
    assert not Provenance(engine="6f1c", reason="initial structure", temperature_kelvin=300.0).is_rattled
    assert not Provenance(engine="6f1c", reason="error above the limit").is_rattled


HOT = (
    "--set=expansion.cutoffs_angstrom={2: full}",
    "--set=training.temperatures_kelvin=[700]",
    "--set=training.criterion.force_error_limit_relative=0.01",
    "--set=training.max_calculations=6",
)


@pytest.mark.parametrize("kind", ["trajectory", "random"])
def test_a_training_leaves_them_out(folder: Path, train: Train, kind: str) -> None:
    """Criteria for comparison train on all; a command that goes on fits the same frames."""
    mean = "--set=training.criterion.random={mean_interval_steps: 100}"
    arguments = (*HOT, f"--set=training.criterion.kind={kind}", *([mean] if kind == "random" else []))
    train(*arguments)
    labels = [Provenance.from_info(a.info) for a in ase.io.read(folder / "run/dataset.extxyz", ":")]
    marks = [label.set_aside for label in labels if label.is_rattled]
    events = [json.loads(line) for line in (folder / "run/journal.jsonl").read_text().splitlines()]
    told = [event for event in events if event["event"] == "outgrown"]
    assert marks
    if kind == "random":
        assert set(marks) == {None}
        assert not told
        return
    assert set(marks) == {"outgrown"}
    assert [event["n_first"] for event in told] == [len(marks)]
    assert all(label.set_aside is None for label in labels if not label.is_rattled)
    model = (folder / "run/model.h5").read_bytes()
    (folder / "run/model.h5").unlink()
    train(*arguments)
    assert (folder / "run/model.h5").read_bytes() == model


def test_given_small_displacements_leave_the_fit_where_motion_is_predicted_better_without(
    folder: Path, train: Train
) -> None:
    """Marked in the file, told in one line, and left out by the next command as well."""
    small, hot = (
        emt_snapshots((2, 2, 2), (0.01, 0.015, 0.02) * 3, 1),
        emt_snapshots((2, 2, 2), (0.15,) * 3, 2),
    )
    write_snapshots(folder / "given.extxyz", [*small, *hot])
    arguments = ("--static", "--dataset", str(folder / "given.extxyz"), HOT[0])
    answer = json.loads(train(*arguments).stdout)
    (line,) = [each for each in answer["warnings"] if "set aside" in each]
    assert "frames 1-9: frames of thermal motion are predicted better without" in line
    labels = [each.provenance for each in read_snapshots(folder / "run/dataset.extxyz")]
    assert [label.set_aside for label in labels] == [*["outgrown"] * 9, None, None, None]
    model = (folder / "run/model.h5").read_bytes()
    (folder / "run/model.h5").unlink()
    again = json.loads(train(*arguments).stdout)
    assert line in again["warnings"]
    assert (folder / "run/model.h5").read_bytes() == model


@pytest.mark.parametrize("near_rest", [0.02, 0.06])
def test_a_set_of_thermal_frames_alone_asks_for_one_near_rest(
    folder: Path, train: Train, near_rest: float
) -> None:
    thermal = emt_snapshots((2, 2, 2), (0.1, 0.09, 0.1), 1)
    write_snapshots(folder / "given.extxyz", thermal)
    arguments = ("--static", "--dataset", str(folder / "given.extxyz"), "--run-dir")
    answer = json.loads(train(*arguments, str(folder / "thermal")).stdout)
    assert any("no frame is near rest" in each for each in answer["warnings"])
    write_snapshots(folder / "given.extxyz", [*thermal, *emt_snapshots((2, 2, 2), (near_rest,), 2)])
    answer = json.loads(train(*arguments, str(folder / "more")).stdout)
    assert any("no frame is near rest" in each for each in answer["warnings"]) is (near_rest > 0.05)


@pytest.fixture
def soft_at_rest(folder: Path, train: Train) -> Path:
    """Run directory of frames whose small displacements, which leave the fit, have forces of 0.6 the size."""
    small = [
        replace(each, forces_ev_per_angstrom=0.6 * each.forces_ev_per_angstrom, energy_ev=None)
        for each in emt_snapshots((2, 2, 2), (0.01, 0.02) * 3, 1)
    ]
    write_snapshots(folder / "given.extxyz", [*small, *emt_snapshots((2, 2, 2), (0.15,) * 3, 2)])
    train("--static", "--dataset", str(folder / "given.extxyz"), HOT[0])
    labels = [each.provenance for each in read_snapshots(folder / "run/dataset.extxyz")]
    assert [label.set_aside for label in labels] == [*["outgrown"] * 6, None, None, None]
    return folder / "run"


def test_derivatives_at_rest_are_those_of_small_displacements(soft_at_rest: Path) -> None:
    """By a fit to all frames, which is kept beside the one that moves atoms."""
    force_field = read_model(soft_at_rest / "model.h5")[0]
    assert force_field.near_rest is not None
    assert force_field.at_rest is force_field.near_rest
    snapshots = list(read_snapshots(soft_at_rest / "dataset.extxyz"))
    data = FitData(frames_of_snapshots(FILE, snapshots, force_field.expansion))
    whole = fit_force_field(force_field.basis, data)
    np.testing.assert_allclose(force_field.at_rest.posterior.mean, whole.posterior.mean, rtol=1e-6)
    errors = {
        name: np.sqrt(np.mean((data.force_rows(1) @ each.posterior.mean - data.frames[1].forces) ** 2))
        for name, each in {"moving": force_field, "at rest": force_field.at_rest}.items()
    }
    size = np.sqrt(np.mean(data.frames[1].forces ** 2))
    assert errors["at rest"] < 0.1 * size
    assert errors["moving"] > 0.3 * size


def test_phonons_and_exported_force_constants_are_those_at_rest(soft_at_rest: Path, tmp_path: Path) -> None:
    """Forces of moving atoms, which the codes of dynamics get, are not."""
    force_field = read_model(soft_at_rest / "model.h5")[0]
    torus = input_supercell(force_field.basis.crystal, (2, 2, 2))
    at_rest, moving = (
        highest_frequency(sampled_phonons(each, torus, n_samples=2, seed=1).choose(0))
        for each in (force_field.at_rest, force_field)
    )
    assert moving > 1.1 * at_rest
    answer = phonons(soft_at_rest, dry_run=False, force=False, progress=NullProgress())
    assert isinstance(answer, PhononsReport)
    assert answer.frequency_max_thz == pytest.approx(at_rest, rel=0.02)
    asked = {"frequencies": {"q_points": [[0.5, 0.0, 0.5]], "limit_terahertz": None}}
    (verdict,) = judge_observables(Sampling(force_field, torus, n_samples=2, seed=1), asked)
    assert max(map(max, verdict.values)) == pytest.approx(at_rest, rel=0.02)
    export(soft_at_rest, format="phonopy", output=tmp_path / "phonopy", force=False)
    for folder in (soft_at_rest / "phonons", tmp_path / "phonopy"):
        written = phonopy.load(folder / "phonopy_params.yaml", log_level=0)
        assert highest_frequency(written) == pytest.approx(at_rest, rel=1e-6)


def highest_frequency(phonon: phonopy.Phonopy) -> float:
    phonon.run_mesh((4, 4, 4), is_gamma_center=True)
    return float(phonon.mesh.frequencies.max())
