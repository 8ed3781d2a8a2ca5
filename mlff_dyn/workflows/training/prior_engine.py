"""A cheap engine as source of a prior guess: its frames, labelled and fitted in the run directory.

The first frames are rattled; those of each further round, twice as many as before, are taken from molecular
dynamics on the force field of all earlier ones, at the temperatures of the training. Every random number
comes from the seed of the configuration and the number of frames, and every label stays on disk, so a killed
run goes on where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.engines.registry import configured_identity, create_engine
from mlff_dyn.errors import ConfigError, DataError
from mlff_dyn.execution.local import label
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.model.harmonic_modes import modes_of_order_2
from mlff_dyn.store.json_file import digest
from mlff_dyn.store.model_file import read_model, write_model
from mlff_dyn.training.initial import rattled_displacements, thermal_displacements
from mlff_dyn.workflows.snapshots import displaced_atoms
from mlff_dyn.workflows.waiting import shown_while_waiting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.config.schema import EngineConfig, PriorConfig
    from mlff_dyn.engines.base import EngineResult
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.setup.workspace import Workspace

_FIRST_ROUND = 8
_STREAM = 3


def engine_name(prior: PriorConfig) -> str:
    """Name of the cheap engine for people."""
    engine = _engine_of(prior)
    calculator = str(engine.parameters.get("calculator", engine.kind)).rpartition(":")[2]
    arguments = engine.parameters.get("arguments", {})
    words = [value for value in arguments.values() if isinstance(value, str)]
    return " ".join([calculator, *words])


def learn_cheap_engine(workspace: Workspace, prior: PriorConfig, progress: Progress) -> ForceField:
    """Force field of the cheap engine; read from the run directory if it is there.

    Raises
    ------
    EngineError
        If a calculation fails.
    """
    config = workspace.config
    directory = workspace.directory / "prior"
    identity = _identity(workspace, prior)
    path = directory / "model.h5"
    try:
        known, metadata = read_model(path)
        if metadata.get("identity") == identity:
            return known
    except DataError:
        pass
    engine = create_engine(**_engine_of(prior).model_dump())
    torus = workspace.training_torus
    supercell = workspace.expansion.on(torus)
    data = FitData()
    force_field: ForceField | None = None
    progress.start(prior.n_frames, f"frames of {engine_name(prior)}")

    def count(name: str, result: EngineResult) -> None:  # noqa: ARG001
        progress.update(int(name))

    while len(data) < prior.n_frames:
        n_new = min(len(data) or _FIRST_ROUND, prior.n_frames - len(data))
        frames = _frames(workspace, force_field, n_new, len(data))
        names = [f"{len(data) + i + 1:05d}" for i in range(n_new)]
        with shown_while_waiting(progress, directory / "calculations", names):
            results = label(
                engine,
                [displaced_atoms(torus, u) for u in frames],
                directory / "calculations",
                names,
                max_parallel=config.execution.max_parallel,
                on_finished=count,
            )
        data = data.extended(
            [
                labelled_frame(supercell, u, result.forces_ev_per_angstrom, result.energy_ev)
                for u, result in zip(frames, results, strict=True)
            ]
        )
        force_field = fit_force_field(workspace.expansion.basis, data)
    progress.stop()
    if force_field is None:
        raise ConfigError(
            "training.prior.n_frames is zero", fix="set it to 1 or more, or remove training.prior"
        )
    write_model(path, force_field, {"identity": identity, "n_snapshots": len(data)})
    return force_field


def _identity(workspace: Workspace, prior: PriorConfig) -> str:
    """Digest of all that the force field of the cheap engine depends on."""
    config, section = workspace.config, _engine_of(prior)
    return digest(
        [
            workspace.basis_identity,
            configured_identity(section.kind, section.parameters),
            prior.n_frames,
            [config.seed, config.training.temperatures_kelvin, config.training.initial.sd_angstrom],
            config.md.timestep_femtoseconds,
        ]
    )


def _frames(
    workspace: Workspace, force_field: ForceField | None, count: int, made: int
) -> list[NDArray[np.float64]]:
    """Displacements (Å) of the next frames; rattled where dynamics does not give enough."""
    training, seed = workspace.config.training, workspace.config.seed
    torus = workspace.training_torus
    frames: list[NDArray[np.float64]] = []
    if force_field is not None:
        kernel = force_field.on(torus).kernel
        modes = modes_of_order_2(force_field.expansion, force_field.posterior.mean, torus)
        timestep = workspace.config.md.timestep_femtoseconds
        shares = np.array_split(np.arange(count), len(training.temperatures_kelvin))
        for index, (temperature, share) in enumerate(zip(training.temperatures_kelvin, shares, strict=True)):
            frames += thermal_displacements(
                kernel,
                torus,
                temperature_kelvin=temperature,
                timestep_femtoseconds=timestep,
                count=len(share),
                seed=(seed, _STREAM, made, index),
                modes=modes,
            )
    missing = range(len(frames), count)
    sd = training.initial.sd_angstrom
    return frames + [
        rattled_displacements(torus.n_atoms, sd * (1 + i % 3), (seed, _STREAM, made, i, 0)) for i in missing
    ]


def _engine_of(prior: PriorConfig) -> EngineConfig:
    if prior.engine is None:
        raise ConfigError(
            "training.prior names no engine", fix="give training.prior.engine, or remove training.prior"
        )
    return prior.engine
