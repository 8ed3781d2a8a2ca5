"""Failed attempts: the input is changed, what was changed is written down, what failed is kept."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from ase.build import bulk

from mlff_dyn.engines.espresso.amended_input import STEPS, amend_input, with_electrons
from mlff_dyn.engines.espresso.engine import EspressoEngine
from mlff_dyn.errors import EngineError
from mlff_dyn.execution.attempts import FAILED_NAME
from mlff_dyn.execution.calculation import read_finished
from mlff_dyn.execution.local import label
from tests.execution.test_kill import FAKE_PW
from tests.execution.test_local import (
    N_EVENTS,
    NAMES,
    CountingEMT,
    InThisProcess,
    label_and_die,
    same,
    structures,
)

if TYPE_CHECKING:
    from pathlib import Path

UNCONVERGED = """
case "$(cat espresso.pwi)" in
  *"{word}"*) ;;
  *) echo "     convergence NOT achieved after 100 iterations: stopping"; echo "   JOB DONE."; exit 2 ;;
esac
"""
CHANGES = [", ".join(f"{name} = {value}" for name, value in step.items()) for step in STEPS]


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Make an engine whose program converges where a word is in its input."""

    def make(word: str, **profile) -> EspressoEngine:
        monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
        head, _, rest = FAKE_PW.partition("sleep 0.15\n")
        program = tmp_path / "fake_pw.sh"
        program.write_text(head + UNCONVERGED.format(word=word) + rest)
        program.chmod(0o755)
        (tmp_path / "Si.UPF").write_text("")
        parameters = {
            "input_data": {"system": {"ecutwfc": 20}, "electrons": {"conv_thr": 1e-9}},
            "pseudopotentials": {"Si": "Si.UPF"},
        }
        machine = {"command": str(program), "pseudo_dir": str(tmp_path), **profile}
        return EspressoEngine(parameters, machine)

    return make


def content(path: Path) -> dict:
    return json.loads(path.read_text())


def test_the_second_attempt_is_changed_and_both_are_told(tmp_path, engine):
    folder = tmp_path / "calculations"
    known = engine("mixing_beta = 0.3")
    (result,) = label(known, [silicon()], folder, ["0001"], max_retries=1)
    assert result.origin["changes"] == CHANGES[0]
    for name in ("calculation.json", "result.json"):
        (attempt,) = content(folder / "0001" / name)["attempts"]
        assert attempt["change"] == CHANGES[0]
        assert "convergence NOT achieved" in attempt["reason"] or "not converge" in attempt["reason"]
        assert attempt["kept"] == f"{FAILED_NAME}/0001-1"
    kept = folder / FAILED_NAME / "0001-1"
    assert "NOT achieved" in (kept / "espresso.pwo").read_text()
    assert "mixing_beta" not in (kept / "espresso.pwi").read_text()
    assert content(kept / "failure.json")["reason"]
    again = read_finished(known, silicon(), folder / "0001")
    assert again is not None
    assert again.origin == result.origin


@pytest.mark.parametrize("max_retries", [0, 1, 2, 5])
def test_the_last_failure_stays_with_its_output(tmp_path, engine, max_retries):
    folder = tmp_path / "calculations"
    with pytest.raises(EngineError, match="0001"):
        label(engine("never"), [silicon()], folder, ["0001"], max_retries=max_retries)
    n_attempts = 1 + min(max_retries, len(STEPS))
    assert len((tmp_path / "runs").read_text().split()) == n_attempts
    assert "NOT achieved" in (folder / "0001/espresso.pwo").read_text()
    kept = sorted(path.name for path in folder.glob("failed/*"))
    assert kept == [f"0001-{number}" for number in range(1, n_attempts)]
    label(engine("Si"), [silicon()], folder, ["0001"])
    assert len(list(folder.glob("failed/*"))) == n_attempts
    assert "attempts" not in content(folder / "0001/result.json")


def test_an_attempt_cut_short_goes_on_where_it_was(tmp_path, engine):
    """Killed in the second attempt: the first one is not made again, its change is not forgotten."""
    folder = tmp_path / "calculations"
    known = engine("mixing_beta = 0.3")
    label(known, [silicon()], folder, ["0001"], max_retries=1)
    n_runs = len((tmp_path / "runs").read_text().split())
    for name in ("result.json", "espresso.pwo"):
        (folder / "0001" / name).unlink()
    (folder / "0001/leftover").write_text("of the attempt that was cut short")
    (result,) = label(known, [silicon()], folder, ["0001"], max_retries=1)
    assert result.origin["changes"] == CHANGES[0]
    assert len((tmp_path / "runs").read_text().split()) == n_runs + 1
    assert not (folder / "0001/leftover").exists()
    # between two attempts, the new one is complete but has not got its name
    (folder / "0001/result.json").unlink()
    (folder / "0001/espresso.pwo").unlink()
    (folder / "0001").replace(folder / ".new-0001")
    (result,) = label(known, [silicon()], folder, ["0001"], max_retries=1)
    assert result.origin["changes"] == CHANGES[0]
    assert len((tmp_path / "runs").read_text().split()) == n_runs + 2


def test_a_timeout_is_not_tried_again(tmp_path, engine):
    """Nothing that converges to the same result makes a slow program fast."""
    known = engine("Si", timeout_minutes=0.005)
    program = tmp_path / "fake_pw.sh"
    program.write_text(program.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nsleep 5\n"))
    with pytest.raises(EngineError, match=r"did not end within 0\.005 minutes"):
        label(known, [silicon()], tmp_path / "calculations", ["0001"], max_retries=3)
    assert (tmp_path / "calculations/0001/failure.json").exists()


def test_values_of_the_user_stay_where_they_are_more_careful(tmp_path):
    text = "&CONTROL\n/\n&ELECTRONS\n   mixing_beta = 0.2\n   electron_maxstep=1000\n   conv_thr = 1d-9\n/\n"
    (tmp_path / "in").write_text(text)
    (tmp_path / "out").write_text("convergence NOT achieved")
    change = amend_input(tmp_path / "in", tmp_path / "out", 1)
    assert change == "mixing_beta = 0.15, mixing_mode = local-TF, mixing_ndim = 12"
    after = (tmp_path / "in").read_text()
    assert "mixing_beta = 0.15\n" in after
    assert "electron_maxstep=1000\n" in after
    assert "mixing_mode = 'local-TF'\n" in after
    assert "conv_thr = 1d-9\n" in after
    assert after.count("mixing_beta") == after.count("&ELECTRONS") == 1


@pytest.mark.engine
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="pw.x is not installed")
def test_pw_x_that_needs_more_steps_gets_them(tmp_path):
    """Real pw.x with too few steps: the second attempt agrees with a calculation that had enough."""
    electrons = {"conv_thr": 1e-10}

    def calculated(folder: str, **values):
        parameters = {
            "input_data": {"system": {"ecutwfc": 10}, "electrons": {**electrons, **values}},
            "pseudopotentials": {"Si": "Si.pz-vbc.UPF"},
        }
        engine = EspressoEngine(parameters, {"pseudo_dir": "/usr/share/espresso/pseudo"})
        atoms = bulk("Si")
        atoms.rattle(0.05, seed=1)
        (result,) = label(engine, [atoms], tmp_path / folder, ["0001"], max_retries=1)
        return result

    enough, helped = calculated("enough"), calculated("helped", electron_maxstep=3)
    assert "electron_maxstep = 300" in helped.origin["changes"]
    assert helped.energy_ev == pytest.approx(enough.energy_ev, abs=1e-7)
    assert abs(helped.forces_ev_per_angstrom - enough.forces_ev_per_angstrom).max() < 1e-4


class Amending(InThisProcess):
    """Fails until its input has been changed."""

    def run(self, directory):
        if not (directory / "amended").exists():
            (directory / "output").write_text("not converged")
            raise EngineError(f"{directory}: not converged", fix="change something")
        super().run(directory)

    def amend_input(self, directory, attempt):
        assert (directory / "output").exists()
        (directory / "amended").touch()
        return "amended"


def test_death_at_every_file_operation_between_attempts(tmp_path):
    """Whenever the command is killed, the next one ends with the changed input, and says so."""
    engine = Amending(type("Counting", (CountingEMT,), {"runs": [], "fail_at": set(), "delay": 0.0}))
    (expected,) = label(engine, structures(1), tmp_path / "reference", NAMES[:1], max_retries=1)
    for at_event in range(N_EVENTS):
        folder = tmp_path / f"{at_event}"
        reached_the_end = label_and_die(engine, folder, at_event, n_structures=1, max_retries=1)
        (found,) = label(engine, structures(1), folder, NAMES[:1], max_retries=1)
        assert same(expected, found)
        assert found.origin["changes"] == "amended"
        assert (folder / "failed/0000-1/output").read_text() == "not converged"
        assert sorted(path.name for path in folder.iterdir()) == ["0000", "failed"]
        if reached_the_end:
            break
    assert 20 < at_event < N_EVENTS - 1


def test_a_namelist_that_is_missing_changes_nothing():
    assert with_electrons("&CONTROL\n/\n", {"mixing_beta": 0.1}) == "&CONTROL\n/\n"
