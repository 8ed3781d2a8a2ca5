"""Long dynamics with a trained force field, and its errors on frames of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.geometry import find_mic

from benchmarks.command_line import command
from mlff_dyn.store.model_file import read_model
from mlff_dyn.store.trajectory import read_trajectory

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.training.trainings import Workbench
    from mlff_dyn.lattice.torus import Torus

_SAMPLES = 2000
_FRAMES = 20


@dataclass(frozen=True)
class LongRun:
    """Dynamics at constant volume and the highest temperature of the training.

    Attributes
    ----------
    material : str
    temperature_kelvin, nanoseconds, steps_per_second : float
        None of the numbers that follow the temperature is known where it left the trusted region.
    largest_displacement_angstrom, displacement_limit_angstrom : float
    error, ratio : float
        Relative force error on frames of it, and predicted over true error.
    crossings : float
        Changes of sign, from one sample to the next, of a component of the displacement of an atom of the
        heaviest species from the mean of its nearest neighbors, per atom.
    """

    material: str
    temperature_kelvin: float
    nanoseconds: float
    steps_per_second: float
    largest_displacement_angstrom: float
    displacement_limit_angstrom: float
    error: float
    ratio: float
    crossings: float


def run_long(workbench: Workbench, folder: Path, nanoseconds: float) -> LongRun:
    """Run dynamics with the force field of a training, label some of its frames, and compare.

    Parameters
    ----------
    workbench : Workbench
    folder : Path
        Of the training; an answer that is there is read.
    nanoseconds : float
    """
    answer_path = folder / "dynamics.json"
    if answer_path.exists():
        return LongRun(**json.loads(answer_path.read_text(encoding="utf-8")))
    laboratory = workbench.laboratory
    system = laboratory.system
    n_steps = round(1e6 * nanoseconds / system.timestep_femtoseconds)
    every = max(1, n_steps // _SAMPLES)
    options = {"n_steps": n_steps, "sample_every": every, "n_threads": 1}
    settings = [word for name, value in options.items() for word in ("--set", f"md.{name}={value}")]
    answer = command("run-md", folder / "config.yaml", "--force", "--allow-unconverged", *settings)
    if "directory" not in answer:
        return LongRun(system.name, max(system.temperatures_kelvin), *(np.nan,) * 7)
    trajectory = read_trajectory(folder / "run" / answer["directory"] / "trajectory.h5")
    moved = trajectory.displacements
    chosen = np.linspace(len(moved) // 10, len(moved) - 1, _FRAMES).round().astype(int)
    force_field, _ = read_model(folder / "run/model.h5")
    frames = [laboratory.calculate(u) for u in moved[chosen]]
    found = LongRun(
        material=system.name,
        temperature_kelvin=answer["temperature_k"],
        nanoseconds=1e-6 * answer["n_steps"] * system.timestep_femtoseconds,
        steps_per_second=answer["steps_per_second"],
        largest_displacement_angstrom=answer["largest_displacement_angstrom"],
        displacement_limit_angstrom=answer["displacement_limit_angstrom"],
        error=workbench.error_on(force_field, frames),
        ratio=workbench.ratio_on(force_field, frames),
        crossings=_crossings(laboratory.torus, moved),
    )
    answer_path.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def _crossings(torus: Torus, moved: np.ndarray) -> float:
    heavy = np.flatnonzero(torus.numbers == torus.numbers.max())
    signs = []
    for atom in heavy:
        apart, _ = find_mic(torus.positions - torus.positions[atom], torus.lattice)
        lengths = np.linalg.norm(apart, axis=1)
        near = (lengths > 0.0) & (lengths < 1.01 * np.sort(lengths)[1])
        signs.append(np.sign(moved[:, atom] - moved[:, near].mean(axis=1)))
    changes = np.diff(np.array(signs), axis=1) != 0
    return float(changes.sum() / len(heavy))
