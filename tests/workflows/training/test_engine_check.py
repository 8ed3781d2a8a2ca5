"""`train --dry-run` looks for all that the engine needs, calculates nothing and writes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.workflows.training_project import Train, content, refused

PW = (
    "engine={kind: espresso, profile: {command: env, pseudo_dir: pseudo}, parameters: "
    "{input_data: {system: {ecutwfc: 20}}, pseudopotentials: {Cu: Cu.UPF}}}"
)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (("engine.parameters.calculator=my_own:Potential",), 5, ("'my_own'", "PYTHONPATH=FOLDER")),
        (("engine.parameters.calculator=ase.calculators.emt:MET",), 2, ("has no class MET",)),
        (("engine.parameters.arguments={nothing: 3}",), 2, ("does not take", "nothing")),
        (("engine={kind: espresso, profile: {pseudo_dir: here}}",), 2, ("ecutwfc: is required",)),
        ((PW, "engine.profile.pseudo_dir=nowhere"), 5, ("nowhere/Cu.UPF of Cu does not exist",)),
        (
            (PW, "engine.profile.command=mpirun-of-nobody pw.x"),
            5,
            ("program mpirun-of-nobody cannot be found",),
        ),
        ((PW, "engine.profile.command=env nothing/pw.x"), 5, ("program nothing/pw.x cannot be found",)),
        ((PW, "engine.parameters.pseudopotentials={Cu: Al.UPF}"), 2, ("Al.UPF is of Al",)),
        ((PW, "engine.parameters.kpoints=[2, 2]"), 2, ("kpoints: grid [2, 2] is not three integers",)),
        (
            ("training.prior={engine: {kind: ase, parameters: {calculator: 'my_own:Prior'}}}",),
            5,
            ("'my_own'", "PYTHONPATH"),
        ),
        (("execution={kind: parsl, walltime: '1 day'}",), 2, ("execution.walltime: '1 day' is no time",)),
        (
            ("execution={kind: parsl, walltime: '00:10:00'}", "engine.profile.timeout_minutes=20"),
            2,
            ("execution.walltime: 00:10:00 is shorter than", "timeout_minutes: 20", "00:20:00 or more"),
        ),
        (("execution={provider: slurm}",), 2, ("execution: has provider but no kind; add kind: parsl",)),
    ],
)
def test_dry_run_finds_what_the_engine_lacks(
    folder: Path, train: Train, changes: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    (folder / "pseudo").mkdir()
    (folder / "pseudo/Al.UPF").write_text('<PP_HEADER element="Al"/>')
    (folder / "pseudo/Cu.UPF").write_text("  0  Version Number\n Cu   Element\n")
    before = content(folder)
    refused(train("--dry-run", *(f"--set={change}" for change in changes)), code, *words)
    assert content(folder) == before


def test_dry_run_says_what_a_program_would_work_with(folder: Path, train: Train) -> None:
    (folder / "pseudo").mkdir()
    (folder / "pseudo/Cu.UPF").write_text('<PP_HEADER element="Cu"/>')
    result = train("--dry-run", f"--set={PW}", "--set=engine.parameters.kpoints=[2, 2, 1]")
    found = json.loads(result.stdout)["engine"]
    assert found.pop("program").endswith("/env")
    spacing = 2 * np.pi / (2 * 3.59)
    expected = f"2 2 1, {spacing / 2:.2f} {spacing / 2:.2f} {spacing:.2f} 1/Å apart"
    assert found == {"kind": "espresso", "pseudopotentials": "Cu.UPF", "k-points": expected}
