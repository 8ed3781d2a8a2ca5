"""Whether the engines of a training could run: what they need is looked for, nothing is calculated."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.echo import structure_difference
from mlff_dyn.engines.registry import create_engine
from mlff_dyn.errors import EngineError
from mlff_dyn.execution.schedulers import check_blocks
from mlff_dyn.execution.submit_script import read_head
from mlff_dyn.workflows.snapshots import displaced_atoms

if TYPE_CHECKING:
    from mlff_dyn.config.schema import EngineConfig
    from mlff_dyn.workflows.setup.workspace import Workspace


def check_engines_of(workspace: Workspace) -> dict[str, dict[str, str]]:
    """Check the engine, and that of the prior, on the training cell.

    Returns
    -------
    dict of str to dict
        What was found: ``engine`` and ``prior_engine``, each with its kind and what it would work with.

    Raises
    ------
    ConfigError, EngineError
        If a program, a file or an argument is missing or does not fit.
    """
    config = workspace.config
    section = config.require_engine()
    found = {"engine": _check(workspace, section, "engine")}
    if config.execution.kind == "parsl":
        check_blocks(config.execution.model_dump(), section.model_dump())
    elif config.execution.kind == "external":
        read_head(config.execution.submit_script)
    prior = config.training.prior
    if prior is not None and prior.engine is not None:
        found["prior_engine"] = _check(workspace, prior.engine, "training.prior.engine")
    return found


def _check(workspace: Workspace, section: EngineConfig, where: str) -> dict[str, str]:
    """Write one input, read it back, and look for all that a calculation needs."""
    engine = create_engine(**section.model_dump())
    torus = workspace.training_torus
    atoms = displaced_atoms(torus, np.zeros((torus.n_atoms, 3)))
    with tempfile.TemporaryDirectory(prefix="mlff-dyn-") as folder:
        directory = Path(folder)
        engine.write_input(directory, atoms)
        read = engine.read_input(directory)
        difference = structure_difference(
            (atoms.numbers, atoms.cell.array, atoms.positions),
            (read.numbers, read.cell.array, read.positions),
        )
        if difference is not None:
            raise EngineError(
                f"{where}: the structure in its input is another one: {difference}",
                fix="let engine.parameters leave cell, positions and atoms to mlff-dyn",
            )
        return {"kind": section.kind, **engine.check(directory)}
