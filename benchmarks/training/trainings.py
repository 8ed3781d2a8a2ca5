"""One training by the command line, and what became of it after each of its calculations."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.accuracy.laboratory import Laboratory
from benchmarks.command_line import command, prepare
from benchmarks.training.published import train_published
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.store.model_file import read_model
from mlff_dyn.training.exploration import QUIET

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.training.materials import Material
    from mlff_dyn.kernels.dynamics import MdKernel
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField

CRITERIA = ("trajectory", "paper", "per-step", "fixed", "random")
PUBLISHED = "published"
NEAR = 1.1
"""An error within 10 % of the plateau is on it."""
_LONGER = 4
"""Steps of a trajectory that errors follow, over those of one that calls at given steps."""
_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 30)


@dataclass(frozen=True)
class Run:
    """A training.

    Attributes
    ----------
    material, criterion : str
    seed : int
    status : str
    calculations : int
    numbers : tuple of int            of calculations
    errors : tuple of float           held-out relative force error after so many
    called_at : tuple of float
        Part of the trajectory of its temperature that was made at each call; none where calls begin new ones.
    plateau : float                   the same error of a fit to many thermal frames
    errors_at, ratios_at : dict       by temperature, K, at the end: that error, and predicted over true error
    n_stopped : int                   explorations that left the trusted region
    seconds : float                   of the whole training, engine included
    limit : float                     relative force error that it is asked for, at each temperature
    """

    material: str
    criterion: str
    seed: int
    status: str
    calculations: int
    numbers: tuple[int, ...]
    errors: tuple[float, ...]
    called_at: tuple[float, ...]
    plateau: float
    errors_at: dict[str, float]
    ratios_at: dict[str, float]
    n_stopped: int
    seconds: float
    limit: float = np.nan

    @property
    def mistake(self) -> int:
        """1 if it says converged and is above its limit at a temperature, -1 the other way round, else 0."""
        is_below = max(self.errors_at.values()) < self.limit
        return 0 if self.criterion == PUBLISHED else int(self.status == "converged") - int(is_below)

    @property
    def early_share(self) -> float:
        """Share of the calls that came in the first half of the trajectories."""
        return float(np.mean(np.array(self.called_at) <= 0.5)) if self.called_at else np.nan

    @property
    def needed(self) -> int:
        """Calculations until the error stays on the plateau; all and one more if it never does."""
        above = np.flatnonzero(np.array(self.errors) > NEAR * self.plateau)
        if not len(above):
            return self.numbers[0]
        after = int(above[-1]) + 1
        return self.numbers[after] if after < len(self.numbers) else self.calculations + 1


class Workbench:
    """A material with its held-out frames and its plateau.

    Parameters
    ----------
    material : Material
    frames : Path
        Folder of labelled frames.
    """

    def __init__(self, material: Material, frames: Path) -> None:
        self.material = material
        limit = material.sampling_limit
        sampler = None if limit is None else lambda torus: _sampler(material, limit, frames, torus)
        self.laboratory = Laboratory(material.system, frames, sampler)
        self._temperatures = material.system.temperatures_kelvin
        every = {
            t: self.laboratory.frames(t, material.n_test + material.n_plateau) for t in self._temperatures
        }
        self._tests = {t: found[: material.n_test] for t, found in every.items()}
        many = [frame for found in every.values() for frame in found[material.n_test :]]
        best = self.fit(self.rows(many))
        self.plateau = self.error(best)
        self.limit = float(f"{NEAR * max(self.error(best, t) for t in self._temperatures):.3g}")

    def rows(self, frames: Sequence[LabelledFrame]) -> FitData:
        """Data of the expansion with a local part."""
        supercell = self.laboratory.supercell_with_local
        return FitData([replace(frame, supercell=supercell) for frame in frames])

    def fit(self, data: FitData) -> ForceField:
        """Fit the expansion with a local part."""
        return fit_force_field(self.laboratory.supercell_with_local.basis, data)

    def error(self, force_field: ForceField, temperature_kelvin: float | None = None) -> float:
        """Relative force error on held-out frames of one temperature, or of all."""
        chosen = self._temperatures if temperature_kelvin is None else (temperature_kelvin,)
        return self.error_on(force_field, [frame for t in chosen for frame in self._tests[t]])

    def error_on(self, force_field: ForceField, frames: Sequence[LabelledFrame]) -> float:
        """Root mean square force error over that of the forces."""
        supercell = force_field.on(self.laboratory.torus)
        found = [supercell.energy_forces(frame.displacements)[1].ravel() for frame in frames]
        rest = [forces - frame.forces for forces, frame in zip(found, frames, strict=True)]
        return _rms(rest) / _rms([frame.forces for frame in frames])

    def ratio(self, force_field: ForceField, temperature_kelvin: float) -> float:
        """Predicted over true force error on held-out frames of a temperature."""
        return self.ratio_on(force_field, self._tests[temperature_kelvin])

    def ratio_on(self, force_field: ForceField, frames: Sequence[LabelledFrame]) -> float:
        """Predicted over true force error, root mean squares."""
        supercell = force_field.on(self.laboratory.torus)
        expected = [supercell.force_errors(frame.displacements).predictive.ravel() for frame in frames]
        size = _rms([frame.forces for frame in frames])
        return _rms(expected) / (size * self.error_on(force_field, frames))


def run_training(workbench: Workbench, criterion: str, seed: int, folder: Path) -> Run | None:
    """Train in a folder, which may hold a training that was interrupted, and measure; None if it failed.

    A training that is complete is read from there.
    """
    limit = workbench.limit / (NEAR if criterion == "trajectory" else 1.0)
    settings = _configuration(workbench.material, criterion, seed, limit)
    configuration = prepare(folder, workbench.laboratory.atoms, settings)
    answer_path = folder / "training.json"
    if answer_path.exists():
        return replace(_read(answer_path), limit=limit)
    started = time.monotonic()
    answer = command("train", configuration)
    if "status" not in answer:
        return None
    run = _measure(workbench, folder, answer["status"], time.monotonic() - started)
    if criterion == "trajectory":
        run = replace(run, called_at=())
    run = replace(run, criterion=criterion, seed=seed, limit=limit)
    answer_path.write_text(json.dumps(asdict(run)), encoding="utf-8")
    return run


def run_published(workbench: Workbench, seed: int, frames: Path, folder: Path) -> Run:
    """Train the published model by the published criterion, and measure; kept in a folder when complete."""
    answer_path = folder / "training.json"
    if answer_path.exists():
        return _read(answer_path)
    material = workbench.material
    system = replace(material.system, cutoffs=material.published_cutoffs)
    started = time.monotonic()
    found = train_published(
        Laboratory(system, frames), material.published_steps, material.most, seed, workbench.error
    )
    temperatures = system.temperatures_kelvin
    run = Run(
        material=system.name,
        criterion=PUBLISHED,
        seed=seed,
        status="",
        calculations=found.numbers[-1],
        numbers=found.numbers,
        errors=found.errors,
        called_at=found.called_at,
        plateau=workbench.plateau,
        errors_at={f"{t:g}": workbench.error(found.force_field, t) for t in temperatures},
        ratios_at={f"{t:g}": workbench.ratio(found.force_field, t) for t in temperatures},
        n_stopped=found.n_stopped,
        seconds=time.monotonic() - started,
    )
    folder.mkdir(parents=True, exist_ok=True)
    answer_path.write_text(json.dumps(asdict(run)), encoding="utf-8")
    return run


def _sampler(material: Material, limit: float, frames: Path, torus: Torus) -> MdKernel:
    """Force field of a training that held-out frames come from."""
    folder = frames / f"{material.system.name.replace(' ', '-')}-sampling"
    settings = _configuration(material, CRITERIA[0], 0, limit)
    configuration = prepare(folder, material.system.make_atoms(), settings)
    answer = command("train", configuration)
    if answer.get("status") != "converged":
        raise RuntimeError(f"{material.system.name}: the training for its held-out frames did not converge")
    force_field, _ = read_model(folder / "run/model.h5")
    return force_field.on(torus).kernel


def _read(path: Path) -> Run:
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Run(**{name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()})


def _measure(workbench: Workbench, folder: Path, status: str, seconds: float) -> Run:
    laboratory, temperatures = workbench.laboratory, workbench.material.system.temperatures_kelvin
    snapshots = list(read_snapshots(folder / "run/dataset.extxyz"))
    labelled = [laboratory.labelled(each) for each in snapshots]
    numbers = sorted({n for n in _NUMBERS if n < len(labelled)} | {len(labelled)})
    force_field, _ = read_model(folder / "run/model.h5")
    lines = (folder / "run/journal.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    explored = [each for each in events if each["event"] == "explored"]
    left_out = [each["n_snapshots"] for each in events if each["event"] == "outgrown"]

    def error(n: int) -> float:
        """Of a fit to what the training fitted after n calculations."""
        is_left_out = bool(left_out) and n >= left_out[0]
        known = [
            frame
            for frame, snapshot in zip(labelled[:n], snapshots, strict=False)
            if not (is_left_out and snapshot.provenance.set_aside)
        ]
        return workbench.error(workbench.fit(workbench.rows(known)))

    return Run(
        material=workbench.material.system.name,
        criterion="",
        seed=0,
        status=status,
        calculations=len(labelled),
        numbers=tuple(numbers),
        errors=tuple(map(error, numbers)),
        called_at=_called_at(explored, workbench.material.n_steps),
        plateau=workbench.plateau,
        errors_at={f"{t:g}": workbench.error(force_field, t) for t in temperatures},
        ratios_at={f"{t:g}": workbench.ratio(force_field, t) for t in temperatures},
        n_stopped=sum("left the trusted region" in each["reason"] for each in explored),
        seconds=seconds,
    )


def _called_at(explored: Sequence[dict[str, Any]], n_steps: int) -> tuple[float, ...]:
    made: dict[float, int] = defaultdict(int)
    found = []
    for each in explored:
        if each["reason"] != QUIET:
            made[each["temperature_kelvin"]] += each["n_steps"]
            found.append(made[each["temperature_kelvin"]] / n_steps)
    return tuple(found)


def _configuration(material: Material, criterion: str, seed: int, limit: float) -> dict[str, Any]:
    system = material.system
    local = {name: getattr(system.local, name) for name in ("cutoff_angstrom", "n_radial", "l_max")}
    temperatures = list(system.temperatures_kelvin)
    is_paper, is_ours = criterion == "paper", criterion == "trajectory"
    return {
        "structure": {"file": "POSCAR", "supercell": list(system.supercell)},
        "expansion": {"cutoffs_angstrom": dict(system.local_cutoffs), "local": local},
        "engine": dict(material.engine),
        "training": {
            "temperatures_kelvin": temperatures,
            "n_steps": (_LONGER if is_ours else 1) * material.n_steps,
            "max_calculations": material.most,
            "initial": {"n": 5, "sd_angstrom": 0.01} if is_paper else {"n": 2},
            "criterion": {
                "kind": criterion,
                "force_error_limit_relative": limit,
                "fixed": {"interval_steps": material.interval_steps},
                "random": {"mean_interval_steps": material.interval_steps},
            },
        },
        "md": {
            "timestep_femtoseconds": system.timestep_femtoseconds,
            "temperatures_kelvin": [max(temperatures)],
        },
        "seed": seed,
    }


def _rms(parts: Sequence[np.ndarray]) -> float:
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))
