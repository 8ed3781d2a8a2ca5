"""Noise of the rows of a fit, and how well each kind of row is predicted where it was held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.force_field import ScalarModel
from mlff_dyn.regression.data.conditions import RowKind
from mlff_dyn.regression.errors.held_out import HeldOut, class_scales, hold_out, scalar_calibration_scale
from mlff_dyn.regression.fit.hyperpriors import HYPERPRIORS, Hyperpriors
from mlff_dyn.regression.fit.noise import TruncationNoise
from mlff_dyn.regression.fit.noise_by_kind import KindNoise, KindSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.lattice.crystal import Crystal
    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.regression.fit.posterior import FreeParameters, Posterior

_TRIPLE = 3
_N_STRESS = 6
_FEWEST_TO_COMPARE = 2
"""Configurations from which on their held-out errors tell sites apart: one alone is not predicted."""


def noise_family(
    basis: ForceConstantBasis, data: FitData, hyperpriors: Hyperpriors = HYPERPRIORS
) -> KindNoise:
    """Noise of forces, and of the energies and stresses among the rows.

    Errors of forces, summed along the paths of the atoms, are an error of the energy; those of the stress are
    expected to be of the order of a force error on every bond. A local part knows order 3 well enough.
    """
    amplitude = float(np.sqrt(np.mean([frame.amplitude_angstrom**2 for frame in data.frames])))
    order, spread = _highest_complete_order(basis), 0.0
    if data.expansion.local is not None:
        order, spread = max(order, _TRIPLE), hyperpriors.exponent_spread
    forces = TruncationNoise(order, amplitude, spread, hyperpriors)
    n_atoms = float(np.mean([frame.n_atoms for frame in data.frames]))
    others = []
    if data.energy_means:
        ratio = amplitude * np.sqrt(3.0 / n_atoms) / (forces.expected_exponent + 1.0)
        others.append(KindSettings(RowKind.ENERGY, 1.0, float(ratio), max(data.energy_rms, 1e-9)))
    if data.has_stress:
        bond = basis.crystal.nearest_neighbor_distance
        volume = abs(float(np.linalg.det(basis.crystal.lattice))) / basis.crystal.n_sites
        ratio = bond / (volume * np.sqrt(n_atoms))
        others.append(KindSettings(RowKind.STRESS, 0.0, float(ratio), max(data.stress_rms, 1e-9)))
    return KindNoise(forces, tuple(others))


def _highest_complete_order(basis: ForceConstantBasis) -> int:
    """Highest order that has triples; pairs alone leave most of an order out."""
    complete = [
        order
        for order, classes in zip(basis.orders, basis.classes, strict=True)
        if classes.n_bodies.max() >= min(order, _TRIPLE)
    ]
    return max(complete, default=max(basis.orders))


@dataclass(frozen=True, eq=False)
class HeldOutScores:
    """Configurations held out one at a time.

    Attributes
    ----------
    forces : tuple of HeldOut
    sites : tuple of ndarray of int   site of the primitive cell of each row of the forces
    energies, stresses : ndarray      errors over their predictive standard deviations
    """

    forces: tuple[HeldOut, ...]
    sites: tuple[NDArray[np.int64], ...]
    energies: NDArray[np.float64]
    stresses: NDArray[np.float64]


def held_out_scores(
    posterior: Posterior,
    data: FitData,
    chosen: Sequence[int],
    *,
    most_atoms: int = HYPERPRIORS.most_scored_atoms,
) -> HeldOutScores:
    """Hold out some supercells, one at a time, with all their rows.

    In large ones, the forces on atoms at regular intervals are predicted, which tell enough.

    Parameters
    ----------
    posterior : Posterior
    data : FitData
    chosen : sequence of int
        Numbers of the supercells.
    most_atoms : int
        About how many atoms are predicted.
    """
    forces, sites, others = [], [], {int(RowKind.ENERGY): [np.zeros(0)], int(RowKind.STRESS): [np.zeros(0)]}
    for index in chosen:
        kinds = data.binning.centers.kinds[data.row_labels(index)]
        frame = data.frames[index]
        scored = _scored_rows(frame.n_atoms, len(kinds), most_atoms)
        found = _held_out(posterior, data, index, scored)
        is_force = kinds[scored] == RowKind.FORCE
        forces.append(found.take(is_force))
        sites.append(scored[is_force] // (3 * frame.n_cells))
        for kind, scores in others.items():
            scores.append(found.scores[kinds[scored] == kind])
    energies, stresses = (np.concatenate(scores) for scores in others.values())
    return HeldOutScores(tuple(forces), tuple(sites), energies, stresses)


def site_scales(scores: HeldOutScores, crystal: Crystal) -> NDArray[np.float64] | None:
    """Factor on the standard deviations of the forces on each site, shape (n_sites,); None if all are alike.

    Sites that symmetry maps onto each other have the same.
    """
    _, classes, counts = np.unique(crystal.site_map.min(axis=0), return_inverse=True, return_counts=True)
    if len(counts) == 1 or len(scores.forces) < _FEWEST_TO_COMPARE:
        return None
    of_rows = [classes[sites] for sites in scores.sites]
    return class_scales(scores.forces, of_rows, counts.astype(float))[classes]


def held_out_forces(posterior: Posterior, data: FitData, index: int) -> HeldOut:
    """Predict all forces of one supercell by a fit to the others."""
    found = _held_out(posterior, data, index, np.arange(len(data.frames[index].forces)))
    if found.fitted_variances is not None:
        data.keep_variances(index, posterior, found.fitted_variances)
    return found


def _held_out(posterior: Posterior, data: FitData, index: int, scored: NDArray[np.int64]) -> HeldOut:
    """Predict some rows of a supercell that is held out with all its rows."""
    block, labels = data.block(index), data.row_labels(index)
    variances = posterior.hyperparameters.variances(data.binning.centers)
    weighted = data.weight_variances(posterior.hyperparameters)
    own = (block.design, block.targets, weighted[labels], block.free_design)
    return hold_out(posterior, *own, scored=scored, is_rough=True).with_noise(variances[labels][scored])


def _scored_rows(n_atoms: int, n_rows: int, most_atoms: int) -> NDArray[np.int64]:
    """Rows of the forces on atoms at regular intervals, and all others behind them."""
    atoms = np.arange(0, n_atoms, max(1, n_atoms // most_atoms))
    return np.append(3 * atoms[:, None] + np.arange(3), np.arange(3 * n_atoms, n_rows))


def energy_model(
    posterior: Posterior,
    data: FitData,
    scores: HeldOutScores,
    force_calibration: float,
    *,
    coherence: float = HYPERPRIORS.coherence,
) -> ScalarModel | None:
    """Errors of the energy per atom, with the zero of the first origin; None where no energy was fitted.

    Forces left out along the paths of the atoms add up to an energy of which a part has one sign in all
    frames: the coherence, over what they could at most. The zero of the energy takes it up at the amplitudes
    of the data, but not what it grows by beyond them, nor what is missing of it below.
    """
    if not data.energy_means or posterior.free is None:
        return None
    noise, ratios = posterior.noise, np.concatenate([frame.conditions.ratios for frame in data.frames])
    truncation = float(np.sqrt(np.mean(noise.truncation_variance(noise.reference_amplitude, ratios))))
    work = 3.0 * truncation * noise.reference_amplitude / (noise.exponent + 1.0)
    zeros = np.array(list(data.energy_means.values()))
    found = _scalar_model(posterior.free, slice(0, 1), scores.energies, zeros[:1], data)
    return replace(found, coherent_sd=coherence * force_calibration * work)


def stress_model(posterior: Posterior, data: FitData, scores: HeldOutScores) -> ScalarModel | None:
    """Errors of the stress; None where no stress was fitted."""
    if data.stress_mean is None or posterior.free is None:
        return None
    here = slice(len(data.energy_means), None)
    found = _scalar_model(posterior.free, here, scores.stresses, data.stress_mean, data)
    zero, coupling, factor = (
        _to_six(part, data.stress_components) for part in (found.zero, found.coupling, found.zero_factor)
    )
    return replace(found, zero=zero, coupling=coupling, zero_factor=factor)


def _to_six(part: NDArray[np.float64], components: NDArray[np.int64]) -> NDArray[np.float64]:
    """All components of the stress; those that are not fitted are zero."""
    every = np.zeros((_N_STRESS, *part.shape[1:]))
    every[components] = part
    return every


def _scalar_model(
    free: FreeParameters,
    free_rows: slice,
    scores: NDArray[np.float64],
    zero: NDArray[np.float64],
    data: FitData,
) -> ScalarModel:
    return ScalarModel(
        zero=zero + free.mean[free_rows],
        coupling=free.coupling[free_rows],
        zero_factor=free.factor[free_rows],
        calibration=scalar_calibration_scale(scores, len(data)),
        coherent_sd=0.0,
        largest_amplitude=max(frame.amplitude_angstrom for frame in data.frames),
        smallest_amplitude=min(frame.amplitude_angstrom for frame in data.frames),
    )
