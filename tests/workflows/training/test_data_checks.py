"""Data that would spoil a model are named: file, frame, what, and how to mend it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.errors import DataError, FitError
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.workflows.snapshots import frames_of_snapshots
from mlff_dyn.workflows.training.data_checks import DataFindings, check_engines, check_fit, check_frames
from tests.models import copper, crystal_of, emt_snapshots
from tests.workflows.conftest import invoke

FILE = Path("frames.extxyz")


@pytest.fixture(scope="module")
def expansion() -> Expansion:
    crystal = crystal_of(copper())
    return Expansion(build_basis(crystal, {2: "full", 3: 2.7}, input_supercell(crystal, (2, 2, 2))))


@pytest.fixture(scope="module")
def frames() -> list[Snapshot]:
    return emt_snapshots((2, 2, 2), (0.05, 0.08, 0.08, 0.1, 0.12))


def check(expansion: Expansion, frames: Sequence[Snapshot], *, uses_stress: bool = False) -> DataFindings:
    rows = frames_of_snapshots(FILE, frames, expansion)
    return check_frames(FILE, frames, rows, uses_stress=uses_stress)


def test_good_data_give_no_warning(expansion: Expansion, frames: list[Snapshot]) -> None:
    found = check(expansion, frames, uses_stress=True)
    assert found == DataFindings((), (), (0,) * 5)


def test_net_forces_are_warned_of_and_absurd_ones_refused(
    expansion: Expansion, frames: list[Snapshot]
) -> None:
    def pushed(by: float) -> list[Snapshot]:
        forces = frames[2].forces_ev_per_angstrom + np.array([by, 0.0, 0.0])
        return [*frames[:2], replace(frames[2], forces_ev_per_angstrom=forces), *frames[3:]]

    (line,) = check(expansion, pushed(0.05)).warnings
    assert "frames.extxyz, frame 3: net force up to 1.6 eV/Å" in line
    with pytest.raises(DataError, match="frame 3: the forces add up to 320 eV/Å"):
        check(expansion, pushed(10.0))


def test_repeated_frames_are_found_in_any_order_of_atoms(
    expansion: Expansion, frames: list[Snapshot]
) -> None:
    order = np.random.default_rng(0).permutation(32)
    again = replace(
        frames[1],
        positions=frames[1].positions[order] + [0.2, 0.0, 0.1],
        forces_ev_per_angstrom=frames[1].forces_ev_per_angstrom[order],
    )
    other = replace(frames[3], forces_ev_per_angstrom=1.1 * frames[3].forces_ev_per_angstrom)
    found = check(expansion, [*frames, again, other])
    assert found.repeated == (5, 6)
    assert "frame 6 repeats frame 2 and is not counted" in found.warnings[0]
    assert "frame 7 repeats frame 4 with other forces" in found.warnings[1]


def test_energies_of_two_zeros_are_told_apart(expansion: Expansion, frames: list[Snapshot]) -> None:
    """Also frames of very different temperature, which have one zero."""
    hot = emt_snapshots((2, 2, 2), (0.01, 0.25), seed=3)
    assert check(expansion, [*frames, *hot]).origins == (0,) * 7
    moved = [replace(f, energy_ev=(f.energy_ev or 0.0) - 40.0) for f in frames[3:]]
    found = check(expansion, [*frames[:3], *moved])
    assert found.origins == (0, 0, 0, 1, 1)
    (line,) = found.warnings
    assert "frames 4-5: energies with another zero" in line


def test_missing_labels_and_large_displacements_are_named(
    expansion: Expansion, frames: list[Snapshot]
) -> None:
    stressed = replace(frames[0], stress_ev_per_angstrom3=np.zeros(6))
    silent = replace(frames[1], energy_ev=None)
    data = [stressed, silent, *frames[2:]]
    assert any("frame 2: no energy" in line for line in check(expansion, data).warnings)
    assert any("frames 2-5: no stress" in w for w in check(expansion, data, uses_stress=True).warnings)
    far = emt_snapshots((2, 2, 2), (0.3,), seed=4)
    assert any("rms displacement above 15 %" in line for line in check(expansion, far).warnings)


def test_labels_of_other_engines_are_refused_or_warned_of(frames: list[Snapshot]) -> None:
    mine, other = (
        replace(f, provenance=Provenance(engine=name)) for f, name in zip(frames[:2], "ab", strict=True)
    )
    kept = replace(frames[2], provenance=Provenance(label_engine="a"))
    assert check_engines(FILE, [mine, kept, frames[3]], {"a"}, force=False) == []
    assert check_engines(FILE, [mine, kept], (), force=False) == []
    for data, identity in (([mine, other], "a"), ([mine, other], ""), ([kept], "c")):
        with pytest.raises(DataError, match="labelled with other engine parameters"):
            check_engines(FILE, data, identity, force=False)
        assert len(check_engines(FILE, data, identity, force=True)) == 1


def test_forces_that_no_expansion_describes_are_refused(expansion: Expansion, frames: list[Snapshot]) -> None:
    """Forces that have nothing to do with the displacements; and half of them."""
    generator = np.random.default_rng(0)

    def mixed(share: float) -> list[Snapshot]:
        found = []
        for f in frames * 4:
            noise = generator.standard_normal((32, 3)) * np.std(f.forces_ev_per_angstrom)
            positions = f.positions + 1e-2 * generator.standard_normal((32, 3))
            forces = (1.0 - share) * f.forces_ev_per_angstrom + share * noise
            found.append(replace(f, positions=positions, forces_ev_per_angstrom=forces - forces.mean(axis=0)))
        return found

    def checked(share: float) -> list[str]:
        rows = frames_of_snapshots(FILE, mixed(share), expansion)
        return check_fit(FILE, fit_force_field(expansion.basis, FitData(rows)))

    assert checked(0.0) == []
    (line,) = checked(0.6)
    assert "the fit leaves" in line
    with pytest.raises(FitError, match="cannot describe these frames"):
        checked(1.0)


def test_train_counts_nothing_twice_and_says_so(project: Path) -> None:
    """The same model with and without repeated frames; the warning is in the table, JSON and log."""
    frames = list(read_snapshots(project / "frames.extxyz"))
    write_snapshots(project / "twice.extxyz", [*frames, *frames])
    result = invoke(
        "train", project / "CONFIG.yaml", "--dataset", project / "twice.extxyz", "--static", "--json",
        "--run-dir", project / "other",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    answer, before = json.loads(result.stdout), json.loads((project / "run/train.json").read_text())
    assert len(answer["warnings"]) == 5
    assert answer["log_evidence"] == pytest.approx(before["log_evidence"], rel=1e-9)
    assert answer["energy_sd_ev_per_atom"]["predictive"] > 0.0
    assert "repeats frame 1" in " ".join(result.stderr.split())
    assert before["warnings"] == []
