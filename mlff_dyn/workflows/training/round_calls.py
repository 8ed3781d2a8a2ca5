"""What is calculated once the criterion has called: frames of one source, or of all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.store.provenance import ON_RAMP
from mlff_dyn.training.criteria.decision import Decision
from mlff_dyn.training.exploration import QUIET, UNCONFIRMED, UNTESTED, Exploration
from mlff_dyn.training.frame_choice import LAST, frames_on
from mlff_dyn.training.initial import rattled_displacements
from mlff_dyn.training.limits import POOL_LIMITS
from mlff_dyn.training.observable_choice import choose_for_slopes
from mlff_dyn.training.round_choice import Round, TemperaturePool, choose_round
from mlff_dyn.training.running import with_running
from mlff_dyn.training.walk import join_frames
from mlff_dyn.workflows.training.departures import AT_LIMIT
from mlff_dyn.workflows.training.in_flight import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlff_dyn.config.schema import Config
    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.workflows.training.learner import Learner
    from mlff_dyn.workflows.training.observable_error import ObservableError

NO_CALL = (QUIET, Decision.EXPANSION_LIMITED.value, AT_LIMIT)
FOR_ALL = "teaches most about all temperatures"
OF_ROUNDS = "i-optimal"


@dataclass(frozen=True, eq=False)
class Source:
    """Where frames come from: dynamics at a temperature, or the file of the user.

    Attributes
    ----------
    torus : Torus
    temperature_kelvin : float or None           None: the file
    explorations : sequence of Exploration       one for each replica
    seed : tuple of int                          of frames that no exploration has
    """

    torus: Torus
    temperature_kelvin: float | None
    explorations: Sequence[Exploration]
    seed: tuple[int, ...]

    @property
    def callers(self) -> dict[int, Exploration]:
        """Explorations that call, by their number."""
        return {r: e for r, e in enumerate(self.explorations) if e.reason not in NO_CALL}

    def label(self, exploration: Exploration, reason: str) -> tuple[float | None, str]:
        """Temperature of frames of an exploration, that at the end of a ramp, and why they are calculated."""
        if exploration.ramped_kelvin is None:
            return self.temperature_kelvin, reason
        return exploration.ramped_kelvin[1], reason + ON_RAMP

    def own(self, replica: int, sd_angstrom: float) -> list[Call]:
        """Structures of a trajectory; if it exploded at once, a rattled cell of the trained amplitude."""
        exploration = self.explorations[replica]
        frames = exploration.to_label
        if len(frames):
            reasons = [*[Decision.CANDIDATE.value] * (len(frames) - 1), exploration.reason]
            return [
                Call(self.torus, frames.displacements[k], *self.label(exploration, reason), frames.strain(k))
                for k, reason in enumerate(reasons)
            ]
        u = rattled_displacements(self.torus.n_atoms, sd_angstrom, (*self.seed, replica))
        return [Call(self.torus, u, None, self.label(exploration, exploration.reason)[1])]


class RoundCalls:
    """The choice of what is calculated together.

    Parameters
    ----------
    learner : Learner
    force_field : ForceField
        Its errors are those after all calculations that run.
    moment : dict of str to int
        Name of this moment in the journal.
    observable : ObservableError, optional
        Whose error the frames lower, instead of that of the forces.
    """

    def __init__(
        self,
        learner: Learner,
        force_field: ForceField,
        moment: dict[str, int],
        observable: ObservableError | None = None,
    ) -> None:
        self._learner = learner
        self._force_field = force_field
        self._moment = moment
        self._config = learner.workspace.config
        self._observable = observable

    def of(self, source: Source, others: Callable[[], Sequence[Source]]) -> list[Call]:
        """Structures to label if trajectories of a source call.

        Parameters
        ----------
        source : Source
        others : callable
            Gives the other sources, with frames to choose from.
        """
        is_last = selection_of(self._config) == LAST
        callers = source.callers
        pooled = [r for r, e in callers.items() if len(e.choice) and (not is_last or not len(e.to_label))]
        sd = self._learner.force_field().training.displacement_rms_angstrom
        calls = [call for r in callers if r not in pooled for call in source.own(r, sd)]
        if not pooled:
            return calls
        return calls + self._together([source, *([] if is_last else others())], calls)

    def _together(self, sources: Sequence[Source], calls: Sequence[Call]) -> list[Call]:
        """Frames of sources, the first of which calls, that are calculated together with some calls."""
        at_once, expansion = self._config.execution.max_parallel, self._force_field.expansion
        n_most = max(1, POOL_LIMITS.n_frames(expansion.n_parameters) // len(sources))
        found, pools, labels = [], [], []
        for source in sources:
            sampled = [exploration for exploration in source.explorations if len(exploration.choice)]
            if not sampled:
                continue
            callers = [exploration for exploration in sampled if exploration.reason not in NO_CALL]
            called = [exploration.reason for exploration in callers]
            first = (callers or sampled)[0]
            labels.append((source, *source.label(first, first.reason if callers else FOR_ALL)))
            every = join_frames([exploration.choice for exploration in sampled])
            places = np.linspace(0, len(every) - 1, min(n_most, len(every))).round().astype(int)
            found.append(every[places])
            forces = [e.errors.force_rms_ev_per_angstrom for e in sampled if e.errors is not None]
            pools.append(
                TemperaturePool(
                    frames_on(expansion, source.torus, found[-1]),
                    float(np.sqrt(np.mean(np.square(forces)))),
                    must_label=not {UNTESTED, UNCONFIRMED}.isdisjoint(called)
                    or (source is sources[0] and (at_once == 1 or first.ramped_kelvin is not None)),
                )
            )
        running = with_running(self._force_field, [call.frame(expansion) for call in calls])
        chosen = self._chosen(running, pools, max(1, at_once - len(calls)))
        self._learner.journal.append(
            "chosen",
            **self._moment,
            temperatures_kelvin=[labels[k][1] for k, _ in chosen.frames],
            expected_relative=list(chosen.expected),
        )
        return [
            Call(
                labels[k][0].torus,
                found[k].displacements[i],
                *labels[k][1:],
                found[k].strain(i),
            )
            for k, i in chosen.frames
        ]

    def _chosen(self, force_field: ForceField, pools: Sequence[TemperaturePool], n_most: int) -> Round:
        """Frames that lower the error most, of the observable or of the forces."""
        refitted, kind = self._learner.force_field(), selection_of(self._config)
        slopes = None if self._observable is None else self._observable.of(refitted).slopes
        if slopes is not None:
            return choose_for_slopes(force_field, pools, slopes, n_most=n_most)
        return choose_round(
            force_field,
            pools,
            self._learner.fit_data.frames,
            kind=OF_ROUNDS if kind == LAST else kind,
            n_most=n_most,
            force_error_limit_relative=self._config.training.criterion.force_error_limit_relative,
        )


def selection_of(config: Config) -> str:
    """Kind of the selection."""
    given, at_once = config.training.selection.kind, config.execution.max_parallel
    is_observed = config.training.criterion.kind == "observable"
    return given or (LAST if at_once == 1 and not is_observed else OF_ROUNDS)
