"""One training by the command line, and what became of it after each of its calculations."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ase.io
import numpy as np
import yaml

from benchmarks.accuracy.laboratory import Laboratory
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.store.dataset import read_snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.training.materials import Material
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField

_PLATEAU = 1.1
"""An error within 10 % of the smallest one counts as on the plateau."""


@dataclass(frozen=True)
class Run:
    """A training.

    Attributes
    ----------
    material, criterion : str
    seed : int
    status : str
    calculations : int
    errors : tuple of float           held-out relative force error after 1, 2, ... calculations
    z : float                         error over predicted error at the end, on held-out frames
    n_stopped : int                   explorations that left the trusted region
    converged : bool                  answer of ``check-convergence``
    limit : float
    seconds : float                   of the whole training, engine included
    """

    material: str
    criterion: str
    seed: int
    status: str
    calculations: int
    errors: tuple[float, ...]
    z: float
    n_stopped: int
    converged: bool
    limit: float
    seconds: float

    @property
    def is_mistaken(self) -> bool:
        """Whether the verdict is not that of the held-out frames."""
        return self.converged != (self.errors[-1] <= self.limit)

    def needed(self, plateau: float) -> int:
        """Calculations until the error stays within 10 % of a plateau; all and one more if it never does."""
        above = np.flatnonzero(np.array(self.errors) > _PLATEAU * plateau)
        return int(above[-1]) + 2 if len(above) else 1


def run_training(material: Material, criterion: str, seed: int, folder: Path, frames: Path) -> Run:
    """Train in a new folder, and measure.

    Parameters
    ----------
    material : Material
    criterion : str
    seed : int
    folder : Path
        Of the run; it may exist, then it goes on.
    frames : Path
        Folder of held-out frames, shared by all runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    laboratory = Laboratory(material.system, frames)
    ase.io.write(folder / "POSCAR", laboratory.atoms, format="vasp", direct=True)
    configuration = folder / "config.yaml"
    configuration.write_text(yaml.safe_dump(_configuration(material, criterion, seed)), encoding="utf-8")
    started = time.monotonic()
    answer = _command("train", configuration)
    seconds = time.monotonic() - started
    verdict = _command("check-convergence", configuration, "--exit-zero", "--allow-unconverged")
    tests = [f for t in material.system.temperatures_kelvin for f in laboratory.frames(t, material.n_test)]
    labelled = [laboratory.labelled(each) for each in read_snapshots(folder / "run/dataset.extxyz")]
    fits = [_fit(laboratory, labelled[:n]) for n in range(1, len(labelled) + 1)]
    errors, scores = zip(*(_measure(fit, laboratory, tests) for fit in fits), strict=True)
    events = (folder / "run/journal.jsonl").read_text(encoding="utf-8").splitlines()
    return Run(
        material=material.system.name,
        criterion=criterion,
        seed=seed,
        status=str(answer.get("status", "failed")),
        calculations=len(labelled),
        errors=errors,
        z=scores[-1],
        n_stopped=sum('"left the trusted region"' in e and '"explored"' in e for e in events),
        converged=bool(verdict.get("converged", False)),
        limit=material.limit,
        seconds=seconds,
    )


def _configuration(material: Material, criterion: str, seed: int) -> dict[str, Any]:
    system, every = material.system, material.interval_steps
    local = {name: getattr(system.local, name) for name in ("cutoff_angstrom", "n_radial", "l_max")}
    return {
        "structure": {"file": "POSCAR", "supercell": list(system.supercell)},
        "expansion": {"cutoffs_angstrom": dict(system.local_cutoffs), "local": local},
        "engine": material.engine,
        "training": {
            "temperatures_kelvin": list(system.temperatures_kelvin),
            "n_steps": material.n_steps,
            "max_calculations": material.most,
            "initial": {"n": 2},
            "criterion": {
                "kind": criterion,
                "force_error_limit_relative": material.limit,
                "fixed": {"interval_steps": every},
                "random": {"mean_interval_steps": every},
            },
        },
        "md": {"timestep_femtoseconds": system.timestep_femtoseconds},
        "convergence": {"force_error_limit_relative": material.limit, "n_steps": 5000},
        "seed": seed,
    }


def _command(verb: str, configuration: Path, *options: str) -> dict[str, Any]:
    """Answer of a command; empty where it has none."""
    words = [sys.executable, "-m", "mlff_dyn", verb, str(configuration), "--json", "-q", *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout)) if done.stdout else {}


def _fit(laboratory: Laboratory, frames: list[LabelledFrame]) -> ForceField:
    supercell = laboratory.supercell_with_local
    return fit_force_field(
        supercell.basis, FitData([replace(frame, supercell=supercell) for frame in frames])
    )


def _measure(
    force_field: ForceField, laboratory: Laboratory, tests: list[LabelledFrame]
) -> tuple[float, float]:
    """Relative force error on held-out frames, and its root mean square over the predicted one."""
    supercell = force_field.on(laboratory.torus)
    errors, forces, sds = [], [], []
    for frame in tests:
        found = supercell.energy_forces(frame.displacements)[1].ravel()
        errors.append(found - frame.forces)
        forces.append(frame.forces)
        sds.append(supercell.force_errors(frame.displacements).predictive.ravel())
    rest, sd = np.concatenate(errors), np.concatenate(sds)
    relative = np.sqrt(np.mean(rest**2) / np.mean(np.concatenate(forces) ** 2))
    return float(relative), float(np.sqrt(np.mean((rest / sd) ** 2)))
