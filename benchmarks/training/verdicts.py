"""Mistakes of `check-convergence`: its verdict at many limits against the error on held-out frames."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase.io
import numpy as np
import yaml
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from benchmarks.training.calculators import Tersoff
from mlff_dyn.config.load import load_config
from mlff_dyn.report.progress import NullProgress
from mlff_dyn.training.frame_choice import outlook
from mlff_dyn.workflows.convergence.found_errors import found_errors
from mlff_dyn.workflows.convergence.sampling import SamplingPlan, sample_replicas
from mlff_dyn.workflows.convergence.verdict import judge
from mlff_dyn.workflows.setup.workspace import Workspace
from mlff_dyn.workflows.training.train import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ase import Atoms
    from ase.calculators.calculator import Calculator

LIMITS = (0.002, 0.003, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14)
_EMT = "ase.calculators.emt:EMT"
_N_TEST, _SPACING = 30, 100


@dataclass(frozen=True)
class Subject:
    """What is trained.

    Attributes
    ----------
    name : str
    atoms : Atoms                       conventional cell
    calculator : callable
    engine : str                        the same as a configuration names it
    temperatures_kelvin : tuple of float
    expansions : dict of str to (dict, float)
        Name to section ``expansion``, and the limit that the training has.
    """

    name: str
    atoms: Atoms
    calculator: Callable[[], Calculator]
    engine: str
    temperatures_kelvin: tuple[float, ...]
    expansions: dict[str, tuple[dict[str, Any], float]]


@dataclass(frozen=True)
class Judged:
    """A trained force field at one temperature.

    Attributes
    ----------
    subject : str
    seed : int
    n_calculations : int
    temperature_kelvin, training_limit : float
    expected, found : float             relative force errors, of the check and on held-out frames
    accepted : tuple of float           limits of `LIMITS` at which it is converged
    """

    subject: str
    seed: int
    n_calculations: int
    temperature_kelvin: float
    training_limit: float
    expected: float
    found: float
    accepted: tuple[float, ...]

    def mistakes(self) -> tuple[int, int]:
        """Limits at which it is wrongly converged, and wrongly not converged."""
        wrong = [limit for limit in LIMITS if (limit in self.accepted) != (self.found < limit)]
        too_good = sum(limit in self.accepted for limit in wrong)
        return too_good, len(wrong) - too_good


def _subjects() -> tuple[Subject, ...]:
    copper, aluminium = bulk("Cu", "fcc", a=3.59, cubic=True), bulk("Al", "fcc", a=4.0, cubic=True)
    # Silicon hotter than 600 K has bonds in the cutoff of Tersoff's potential, where forces have a kink.
    silicon = bulk("Si", "diamond", a=5.432, cubic=True)
    local = {"cutoff_angstrom": 4.2, "n_radial": 3, "l_max": 2}

    def expansions(third: float, fourth: float) -> dict[str, tuple[dict[str, Any], float]]:
        return {
            "local": ({"cutoffs_angstrom": {2: "full", 3: third}, "local": local}, 0.01),
            "polynomial": ({"cutoffs_angstrom": {2: "full", 3: third, 4: fourth}}, 0.04),
        }

    return (
        Subject("Cu", copper, EMT, _EMT, (600.0,), expansions(3.0, 2.7)),
        Subject("Al", aluminium, EMT, _EMT, (300.0, 800.0), expansions(3.2, 3.0)),
        Subject(
            "Si",
            silicon,
            Tersoff,
            "benchmarks.training.calculators:Tersoff",
            (300.0, 600.0),
            expansions(4.0, 2.6),
        ),
    )


def held_out(subject: Subject, temperature: float, path: Path) -> list[Atoms]:
    """Frames of the engine's own dynamics, with its forces."""
    if path.exists():
        return list(ase.io.read(path, index=":"))
    atoms = subject.atoms * (2, 2, 2)
    atoms.calc = subject.calculator()
    generator = np.random.default_rng(11)
    MaxwellBoltzmannDistribution(atoms, temperature_K=2.0 * temperature, rng=generator)
    thermostat = {"temperature_K": temperature, "friction": 0.01 / units.fs, "rng": generator}
    dynamics = Langevin(atoms, 2.0 * units.fs, **thermostat)
    dynamics.run(1000)
    frames = []
    for _ in range(_N_TEST):
        dynamics.run(_SPACING)
        frame = atoms.copy()
        frame.arrays["forces_ev_per_angstrom"] = atoms.get_forces()
        frames.append(frame)
    ase.io.write(path, frames, format="extxyz")
    return frames


def judged(subject: Subject, kind: str, seed: int, folder: Path) -> Iterator[Judged]:
    """Train, check at every limit, and compare with held-out frames, at each temperature."""
    expansion, training_limit = subject.expansions[kind]
    name = f"{subject.name}-{kind}"
    place = folder / f"{name}-{training_limit:g}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    ase.io.write(place / "POSCAR", subject.atoms, format="vasp", direct=True)
    configuration = {
        "structure": {"file": "POSCAR", "supercell": [2, 2, 2]},
        "expansion": expansion,
        "engine": {"kind": "ase", "parameters": {"calculator": subject.engine}},
        "training": {
            "temperatures_kelvin": list(subject.temperatures_kelvin),
            "n_steps": 3000,
            "max_calculations": 10,
            "criterion": {"force_error_limit_relative": training_limit},
        },
        "md": {"timestep_femtoseconds": 2.0, "temperatures_kelvin": list(subject.temperatures_kelvin)},
        "convergence": {"n_steps": 4000},
        "seed": seed,
    }
    (place / "config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    config = load_config(place / "config.yaml", [])
    train(config, given=None, static=False, dry_run=False, force=False, progress=NullProgress())
    workspace = Workspace(config)
    force_field, torus = workspace.read_model(), workspace.training_torus
    supercell = force_field.on(torus)
    scores = found_errors(workspace, force_field)
    plan = SamplingPlan(subject.temperatures_kelvin, 2.0, 3000, 2, seed, None)
    sampled = sample_replicas(supercell, plan, lambda *_: None)
    for temperature, replicas in zip(subject.temperatures_kelvin, sampled, strict=True):
        frames = np.concatenate([each.displacements for each in replicas])
        known = functools.cache(lambda frames=frames: outlook(force_field, torus, frames))
        verdicts = [
            judge(
                temperature,
                replicas,
                limit=limit,
                trained=force_field.training,
                outlook=known,
                found=scores,
            )
            for limit in LIMITS
        ]
        tests = held_out(subject, temperature, folder / f"{subject.name}-{temperature:g}K.extxyz")
        yield Judged(
            name,
            seed,
            force_field.training.n_snapshots,
            temperature,
            training_limit,
            verdicts[0].force_sd_relative or float("nan"),
            _error(workspace, tests),
            tuple(limit for limit, each in zip(LIMITS, verdicts, strict=True) if each.converged),
        )


def _error(workspace: Workspace, tests: list[Atoms]) -> float:
    from mlff_dyn import load_calculator

    calculator = load_calculator(workspace.model_path)
    rest, size = 0.0, 0.0
    for frame in tests:
        forces = frame.arrays["forces_ev_per_angstrom"]
        atoms = frame.copy()
        atoms.calc = calculator
        rest += float(np.sum((atoms.get_forces() - forces) ** 2))
        size += float(np.sum(forces**2))
    return float(np.sqrt(rest / size))


def summarize(found: list[Judged]) -> list[str]:
    """Markdown table: mistakes of both kinds, by subject and together."""
    lines = ["| subject | checks | wrongly converged | wrongly not | expected / found |", "|---" * 5 + "|"]
    for name in (*dict.fromkeys(each.subject for each in found), "all"):
        group = [each for each in found if name in (each.subject, "all")]
        counts = np.array([each.mistakes() for each in group])
        n_checks = len(LIMITS) * len(group)
        wrong = [f"{n} ({100 * n / n_checks:.1f} %)" for n in counts.sum(axis=0)]
        ratios = np.quantile([each.expected / each.found for each in group], (0.1, 0.5, 0.9))
        cells = (name, str(n_checks), *wrong, " ".join(f"{ratio:.2f}" for ratio in ratios))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Measure, print the table, and write every check."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.verdicts", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmark-results/verdicts"))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    found: list[Judged] = []
    arguments.output.mkdir(parents=True, exist_ok=True)
    with (arguments.output / "verdicts.jsonl").open("w", encoding="utf-8") as file:
        for seed in range(1, arguments.seeds + 1):
            for subject in _subjects():
                for kind in subject.expansions:
                    for each in judged(subject, kind, seed, arguments.output):
                        found.append(each)
                        file.write(json.dumps(asdict(each)) + "\n")
                        file.flush()
    print("\n".join(summarize(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
