"""Calculations on their way: chosen, written down, submitted, and learnt in the order of their choice.

A batch is written to ``calculations/planned.json`` before its first calculation starts, so that a command
that goes on does not choose anew what an earlier one has chosen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.engines.base import engine_identity
from mlff_dyn.errors import BasisError, DataError
from mlff_dyn.kernels.strain.kernel import check_strain
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.store.json_file import digest, read_json, write_json
from mlff_dyn.store.provenance import Provenance
from mlff_dyn.workflows.snapshots import displaced_atoms, labelled_snapshot
from mlff_dyn.workflows.waiting import shown_while_waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.engines.base import Engine
    from mlff_dyn.execution.base import Execution
    from mlff_dyn.model.expansion import Expansion
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.training.frame_choice import Frame
    from mlff_dyn.workflows.training.learner import Learner

PLAN_NAME = "planned.json"
PLAN_FORMAT = "mlff-dyn planned calculations"
VERSION = 1


@dataclass(frozen=True, eq=False)
class Call:
    """A structure to label and why."""

    torus: Torus
    displacements: NDArray[np.float64]
    temperature_kelvin: float | None
    reason: str
    strain: NDArray[np.float64] | None = None

    @property
    def provenance(self) -> Provenance:
        """What is known of it now."""
        return Provenance(temperature_kelvin=self.temperature_kelvin, reason=self.reason)

    @property
    def structure(self) -> tuple[Torus, NDArray[np.float64], NDArray[np.float64] | None]:
        """Supercell, displacements (Å) and strain."""
        return self.torus, self.displacements, self.strain

    def frame(self, expansion: Expansion) -> Frame:
        """Expansion on the supercell, and displacements (Å)."""
        return expansion.on(self.torus, self.strain), self.displacements


@dataclass(frozen=True, eq=False)
class Batch:
    """Calculations that were chosen together."""

    calls: tuple[Call, ...]
    names: tuple[str, ...]
    started_seconds: float


class CallsInFlight:
    """The batches that are on their way, oldest first.

    Parameters
    ----------
    learner : Learner
    engine : Engine
    execution : Execution
    progress : Progress
    """

    def __init__(self, learner: Learner, engine: Engine, execution: Execution, progress: Progress) -> None:
        self._learner = learner
        self._engine = engine
        self._execution = execution
        self._progress = progress
        self._path = learner.workspace.calculations_path / PLAN_NAME
        self._batches: list[Batch] = []

    @property
    def n_batches(self) -> int:
        """Number of batches."""
        return len(self._batches)

    @property
    def calls(self) -> list[Call]:
        """What is calculated, in order."""
        return [call for batch in self._batches for call in batch.calls]

    def resume(self) -> None:
        """Submit what an earlier command has chosen and nobody has learnt yet."""
        for calls in self._planned():
            self._submit(calls)

    def add(self, calls: Sequence[Call]) -> None:
        """Write calls down, then submit them."""
        self._write([*(batch.calls for batch in self._batches), calls])
        self._submit(calls)

    def oldest(self) -> tuple[list[Snapshot], Batch]:
        """Wait for the oldest batch; it stays until it is learnt."""
        batch = self._batches[0]
        return self._collected(batch.calls, batch.names, batch.started_seconds), batch

    def again(self, calls: Sequence[Call], names: Sequence[str]) -> list[Snapshot]:
        """Calculate calls once more under other names, and wait for them."""
        self._execution.submit(names, [displaced_atoms(*call.structure) for call in calls])
        return self._collected(calls, names, time.monotonic())

    def forget_oldest(self) -> None:
        """Strike out the oldest batch, which the data set holds now."""
        del self._batches[0]
        self._write([batch.calls for batch in self._batches])

    def _submit(self, calls: Sequence[Call]) -> None:
        first = self._learner.n_calculations + len(self.calls)
        names = tuple(f"{first + i + 1:04d}" for i in range(len(calls)))
        self._batches.append(Batch(tuple(calls), names, time.monotonic()))
        self._execution.submit(names, [displaced_atoms(*call.structure) for call in calls])

    def _collected(self, calls: Sequence[Call], names: Sequence[str], since_seconds: float) -> list[Snapshot]:
        """Results of the engine with where they come from."""
        with shown_while_waiting(self._progress, self._path.parent, names, since_seconds):
            results = self._execution.results(names)
        snapshots = []
        for call, result, name in zip(calls, results, names, strict=True):
            provenance = Provenance(
                calculation=name,
                reason=call.reason,
                engine=engine_identity(self._engine),
                engine_kind=self._engine.kind,
                temperature_kelvin=call.temperature_kelvin,
            )
            snapshots.append(labelled_snapshot(displaced_atoms(*call.structure), result, provenance))
        return snapshots

    def _identity(self) -> str:
        """Digest of what planned structures belong to."""
        return digest([self._learner.workspace.basis_identity, engine_identity(self._engine)])

    def _write(self, batches: Sequence[Sequence[Call]]) -> None:
        if not batches:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "belongs_to": self._identity(),
            "n_calculations": self._learner.n_calculations,
            "batches": [[_to_json(call) for call in calls] for calls in batches],
        }
        write_json(self._path, content, format_name=PLAN_FORMAT, version=VERSION)

    def _planned(self) -> list[list[Call]]:
        """Batches of an earlier command; none if they belong to another expansion, engine or data set.

        A plan that is learnt to its end, after which that command was killed, is removed.
        """
        if not self._path.exists():
            return []
        try:
            content = read_json(self._path, format_name=PLAN_FORMAT, version=VERSION)
            batches = [[self._from_json(call) for call in calls] for calls in content["batches"]]
            n_before = int(content["n_calculations"])
            is_current = content["belongs_to"] == self._identity()
        except (DataError, BasisError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self._path} is damaged", fix="remove it; the next calculations are chosen anew"
            ) from error
        n_learnt = self._learner.n_calculations - n_before
        while batches and n_learnt >= len(batches[0]):
            n_learnt -= len(batches.pop(0))
        is_next = is_current and n_learnt == 0
        if is_next and not batches:
            self._write([])
        return batches if is_next else []

    def _from_json(self, content: dict[str, Any]) -> Call:
        workspace = self._learner.workspace
        torus = Torus(workspace.crystal, np.array(content["supercell"], dtype=np.int64))
        displacements = np.array(content["displacements_angstrom"], dtype=float)
        if displacements.shape != (torus.n_atoms, 3):
            raise ValueError("displacements of another supercell")
        if np.array_equal(torus.matrix, workspace.training_torus.matrix):
            torus = workspace.training_torus
        temperature = content["temperature_kelvin"]
        strain = content.get("strain")
        return Call(
            torus,
            displacements,
            None if temperature is None else float(temperature),
            str(content["reason"]),
            None if strain is None else check_strain(np.array(strain, dtype=float)),
        )


def _to_json(call: Call) -> dict[str, Any]:
    return {
        "supercell": call.torus.matrix.tolist(),
        "displacements_angstrom": call.displacements,
        "temperature_kelvin": call.temperature_kelvin,
        "reason": call.reason,
        **({} if call.strain is None else {"strain": call.strain}),
    }
