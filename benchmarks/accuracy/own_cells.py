"""Cells that trainings for the conductivity choose themselves, by the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.command_line import command, prepare
from mlff_dyn.store.dataset import read_snapshots
from mlff_dyn.training.proposed_expansion import propose_expansion
from mlff_dyn.training.proposed_local import propose_local

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame

_OUT_OF_REACH = 1e-4
"""Error limit that ends no training before its budget does."""


def own_cells(laboratory: Laboratory, count: int, seed: int) -> list[LabelledFrame]:
    """Labelled frames in the order in which a training calculates them, kept in the folder of the frames.

    Parameters
    ----------
    laboratory : Laboratory
    count : int
        Budget of calculations.
    seed : int
    """
    folder: Path = laboratory.path(f"training-{count}-{seed}")
    configuration = prepare(folder, laboratory.atoms, _settings(laboratory, count, seed))
    dataset = folder / "run/dataset.extxyz"
    if not dataset.exists() or len(list(read_snapshots(dataset))) < count:
        command("train", configuration)
    return [laboratory.labelled(each) for each in read_snapshots(dataset)]


def _settings(laboratory: Laboratory, count: int, seed: int) -> dict[str, Any]:
    system, proposed = laboratory.system, propose_expansion(laboratory.torus)
    local, make = propose_local(laboratory.crystal), system.make_calculator
    assert local is not None
    return {
        "structure": {"file": "POSCAR", "supercell": np.array(system.supercell).tolist()},
        "expansion": {
            "cutoffs_angstrom": {order: proposed.cutoffs_angstrom[order] for order in (2, 3)},
            "local": asdict(local.chosen.settings),
        },
        "engine": {"kind": "ase", "parameters": {"calculator": f"{make.__module__}:{make.__qualname__}"}},
        "training": {
            "temperatures_kelvin": list(system.temperatures_kelvin[:1]),
            "max_calculations": count,
            "criterion": {"kind": "observable"},
        },
        "conductivity": {"q_mesh": [7, 7, 7], "error_limit_relative": _OUT_OF_REACH},
        "md": {"timestep_femtoseconds": system.timestep_femtoseconds},
        "seed": seed,
    }
