"""What calculations of the frames of a trajectory would teach: which to choose, how many are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.regression.planning.forecast import Outlook, learning_curve, scale_uncertainty
from mlff_dyn.regression.planning.misfit import Misfit
from mlff_dyn.regression.planning.selection import SELECTIONS, frame_pool, select
from mlff_dyn.training.limits import LIMITS, DecisionLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.expansion import Expansion, SupercellExpansion
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.regression.data.conditions import Conditions
    from mlff_dyn.regression.fit.noise import NoiseModel
    from mlff_dyn.regression.planning.selection import FramePool
    from mlff_dyn.training.walk import Frames

    Frame = tuple[SupercellExpansion, NDArray[np.float64]]

LAST = "last"


def frames_on(expansion: Expansion, torus: Torus, frames: Frames) -> list[Frame]:
    """Frames of a supercell, each with the expansion on it at its strain."""
    if frames.strains is None:
        supercell = expansion.on(torus)
        return [(supercell, u) for u in frames.displacements]
    pairs = zip(frames.strains, frames.displacements, strict=True)
    return [(expansion.on(torus, strain), u) for strain, u in pairs]


def information_pool(
    force_field: ForceField,
    torus: Torus,
    displacements: NDArray[np.float64],
    labelled: Sequence[LabelledFrame],
) -> FramePool:
    """Information as that of `information_of_frames`, of frames in one supercell.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
    displacements : ndarray, shape (n_frames, n_atoms, 3)     Å
    labelled : sequence of LabelledFrame
        What the force field was fitted to.

    Raises
    ------
    FitError
        If there are no frames.
    """
    supercell = force_field.expansion.on(torus)
    return information_of_frames(force_field, [(supercell, frame) for frame in displacements], labelled)


def information_of_frames(
    force_field: ForceField,
    frames: Sequence[Frame],
    labelled: Sequence[LabelledFrame],
    counts: NDArray[np.float64] | None = None,
) -> FramePool:
    """Information that calculations of frames would carry, and what the frames are uncertain about.

    Parameters
    ----------
    force_field : ForceField
    frames : sequence of (SupercellExpansion, ndarray of shape (n_atoms, 3), Å)
        In any supercells, strained or not.
    labelled : sequence of LabelledFrame
        What the force field was fitted to; none where that is not known.
    counts : ndarray, shape (n_frames,), optional
        How much the error of each frame counts, their sum being one; default: all the same.
    """
    noise = force_field.posterior.noise
    truncation_sq = [_truncation_sq(noise, supercell.force_conditions(frame)) for supercell, frame in frames]
    known = np.array([_truncation_sq(noise, rows.conditions) for rows in labelled])
    weights = np.array([rows.forces.size for rows in labelled]) / (noise.floor_sd**2 + known)
    sizes = np.array([frame.size for _, frame in frames])
    misfit = Misfit(
        sizes=np.sqrt(truncation_sq),
        weights=sizes / (noise.floor_sd**2 + np.array(truncation_sq)),
        known_size=float(np.average(np.sqrt(known), weights=weights)) if labelled else 0.0,
        known_weight=float(weights.sum()),
        counts=counts,
    )
    return frame_pool(*_rows(force_field, frames), force_field.posterior.covariance_factor, misfit, counts)


def _truncation_sq(noise: NoiseModel, conditions: Conditions) -> float:
    """Mean square of the forces that an expansion leaves out of a frame."""
    return float(np.mean(noise.truncation_variance(conditions.amplitudes, conditions.ratios)))


def outlook(
    force_field: ForceField, torus: Torus, displacements: NDArray[np.float64], scores: Sequence[float] = ()
) -> Outlook:
    """Outlook as that of `outlook_of_frames`, of frames in one supercell; displacements in Å."""
    supercell = force_field.expansion.on(torus)
    return outlook_of_frames(force_field, [(supercell, frame) for frame in displacements], scores)


def outlook_of_frames(
    force_field: ForceField,
    frames: Sequence[Frame],
    scores: Sequence[float] = (),
    *,
    slopes: NDArray[np.float64] | None = None,
) -> Outlook:
    """What further calculations of frames like the given ones will teach.

    Parameters
    ----------
    force_field : ForceField
    frames : sequence of (SupercellExpansion, ndarray of shape (n_atoms, 3), Å)
        In any supercells, strained or not.
    scores : sequence of float
        True over expected errors of calculations before they were trained on.
    slopes : ndarray, shape (n_parameters,), optional
        Of another quantity than forces; see `learning_curve`.

    Raises
    ------
    FitError
        If there are no frames.
    """
    rows = _rows(force_field, frames)
    n_snapshots, posterior = force_field.training.n_snapshots, force_field.posterior
    n_calibrated = n_snapshots if n_snapshots > 1 else None
    return Outlook(
        learning_curve(*rows, posterior.covariance_factor, n_calibrated, slopes),
        scale_uncertainty(n_snapshots, scores),
        truncation_is_known=can_judge_truncation(force_field),
        truncation_is_likely=n_snapshots > 1 and posterior.n_targets >= force_field.expansion.n_parameters,
    )


def can_judge_truncation(force_field: ForceField, limits: DecisionLimits = LIMITS) -> bool:
    """Whether the data suffice to tell truncation from lack of data."""
    enough_rows = force_field.posterior.n_targets >= 2 * force_field.expansion.n_parameters
    return enough_rows and force_field.training.n_snapshots >= limits.enough_snapshots


def choose_frames(pool: FramePool, kind: str, n_frames: int) -> tuple[int, ...]:
    """Numbers of the frames to calculate.

    Parameters
    ----------
    pool : FramePool
    kind : str
        A name of `SELECTIONS`.
    n_frames : int
        At most; fewer if the pool is smaller.
    """
    return select(pool, SELECTIONS[kind], min(n_frames, len(pool))).frames


def _rows(
    force_field: ForceField, frames: Sequence[Frame]
) -> tuple[Iterator[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Design matrices of frames, one at a time, and the variances of their rows in a fit."""
    noise = force_field.posterior.hyperparameters
    variances = [
        np.repeat(noise.weight_variances(supercell.force_conditions(u), np.full(len(u), 3)), 3)
        for supercell, u in frames
    ]
    return (supercell.rows(u)[0] for supercell, u in frames), variances
