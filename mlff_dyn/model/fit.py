"""Fit a force field to labelled supercells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import FitError, check_shape
from mlff_dyn.model.force_field import ForceField, TrainingSummary
from mlff_dyn.model.transfer import fit_with_guess
from mlff_dyn.regression.calibration import calibration_scale, leave_out
from mlff_dyn.regression.evidence import bin_by_amplitude
from mlff_dyn.regression.noise import TruncationNoise
from mlff_dyn.regression.posterior import fit_posterior
from mlff_dyn.regression.priors import PriorBlock, StructuredPrior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.model.expansion import SupercellExpansion
    from mlff_dyn.model.transfer import TransferGuess, TransferSummary
    from mlff_dyn.regression.posterior import Posterior
    from mlff_dyn.regression.statistics import SufficientStatistics

_NOISE_HINT_RELATIVE = 0.02
_MOST_LEFT_OUT = 20


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """One labelled supercell as rows of the linear model, of which only the sums are kept.

    Attributes
    ----------
    supercell : SupercellExpansion
    displacements : ndarray, shape (n_atoms, 3)               Å
    forces : ndarray, shape (3 * n_atoms,)                    eV/Å
    energy_ev : float or None
    """

    supercell: SupercellExpansion
    displacements: NDArray[np.float64]
    forces: NDArray[np.float64]
    energy_ev: float | None

    @cached_property
    def statistics(self) -> SufficientStatistics:
        """Sums over the force rows and forces."""
        return self.supercell.statistics(self.displacements, self.forces.reshape(-1, 3))

    @cached_property
    def amplitude_angstrom(self) -> float:
        """Relative amplitude, see `SupercellExpansion.amplitude`."""
        return self.supercell.amplitude(self.displacements)

    @property
    def n_cells(self) -> int:
        """Primitive cells of the supercell."""
        return self.supercell.torus.n_cells

    @property
    def force_rows(self) -> NDArray[np.float64]:
        """Rows of the forces, shape (3 * n_atoms, n_parameters); made anew at every call."""
        return self.supercell.rows(self.displacements)[0]


def label_rows(
    supercell: SupercellExpansion,
    displacements: NDArray[np.float64],
    forces: NDArray[np.float64],
    energy_ev: float | None,
) -> LabelledRows:
    """Turn one labelled supercell into rows.

    Parameters
    ----------
    supercell : SupercellExpansion
    displacements, forces : ndarray, shape (n_atoms, 3)     Å, eV/Å; in the atom order of the torus
    energy_ev : float or None
    """
    check_shape("forces", forces, displacements.shape)
    return LabelledRows(
        supercell=supercell,
        displacements=displacements,
        forces=(forces - forces.mean(axis=0)).ravel(),
        energy_ev=energy_ev,
    )


def fit_force_field(
    basis: ForceConstantBasis,
    data: Sequence[LabelledRows],
    *,
    guess: TransferGuess | None = None,
) -> ForceField:
    """Fit by evidence maximization and calibrate the errors on left-out supercells.

    Columns of order n are scaled by u0^(n - 1), u0 the rms displacement of the data, so that every parameter
    is in eV/Å while hyperparameters are found.

    Parameters
    ----------
    basis : ForceConstantBasis
    data : sequence of LabelledRows
    guess : TransferGuess, optional
        What a cheaper source suggests; kept as far as the data support it.

    Raises
    ------
    FitError
        If there are no data or no displacement in them.
    """
    if not data:
        raise FitError("there is no labelled snapshot", fix="label some or give --dataset")
    displacement_rms = _rms(np.concatenate([rows.displacements.ravel() for rows in data]))
    if displacement_rms < 1e-6:
        raise FitError("no atom is displaced in the data", fix="add displaced snapshots to the data set")
    scale = np.asarray(displacement_rms ** (basis.parameter_orders - 1.0), np.float64)
    amplitudes = np.array([rows.amplitude_angstrom for rows in data])
    observations = bin_by_amplitude([_scaled(rows.statistics, scale) for rows in data], amplitudes)
    force_rms = observations.target_rms
    model = (
        observations,
        force_constant_prior(basis),
        TruncationNoise(max(basis.orders), _rms(amplitudes)),
    )
    hint = _NOISE_HINT_RELATIVE * force_rms
    transfer: TransferSummary | None = None
    if guess is None:
        fitted = fit_posterior(*model, noise_hint=hint)
    else:
        fitted, transfer = fit_with_guess(
            *model,
            guess=guess,
            parameter_orders=basis.parameter_orders,
            column_scale=scale,
            noise_hint=hint,
        )
    posterior = replace(
        fitted, mean=fitted.mean / scale, covariance_factor=fitted.covariance_factor / scale[:, None]
    )
    left_out = [
        leave_out(posterior, r.force_rows, r.forces, float(posterior.noise.variance(r.amplitude_angstrom)))
        for r in _representatives(data, amplitudes)
    ]
    summary = _summarize(posterior, data, displacement_rms, force_rms)
    return ForceField(basis, posterior, calibration_scale(left_out), summary, transfer)


def _representatives(data: Sequence[LabelledRows], amplitudes: NDArray[np.float64]) -> list[LabelledRows]:
    """Data to calibrate on: all, or as many as tell enough, spread evenly over the amplitudes."""
    count = min(len(data), _MOST_LEFT_OUT)
    chosen = np.rint(np.linspace(0, len(data) - 1, count)).astype(int)
    return [data[k] for k in np.argsort(amplitudes, kind="stable")[chosen]]


def force_constant_prior(basis: ForceConstantBasis) -> StructuredPrior:
    """Prior of the force constants: a scale per order and number of bodies, a decay over distance per order.

    On-site terms share the scale of pairs, from which the sum rule makes them.
    """
    blocks: list[PriorBlock] = []
    names: list[tuple[int, int]] = []
    for order, classes in zip(basis.orders, basis.classes, strict=True):
        bodies = np.minimum(np.maximum(classes.n_bodies, 2), order)
        present = np.unique(bodies)
        groups = len(names) + np.searchsorted(present, bodies)
        names += [(order, int(body)) for body in present]
        distances = classes.radii - classes.radii.mean() if order > 1 else None
        blocks.append(PriorBlock(classes.whitened, groups, distances, np.log(classes.multiplicities)))
    return StructuredPrior(blocks, tuple(names))


def _scaled(statistics: SufficientStatistics, scale: NDArray[np.float64]) -> SufficientStatistics:
    return replace(
        statistics, gram=statistics.gram / np.outer(scale, scale), moment=statistics.moment / scale
    )


def _summarize(
    posterior: Posterior, data: Sequence[LabelledRows], displacement_rms: float, force_rms: float
) -> TrainingSummary:
    supercells = {id(rows.supercell): rows.supercell for rows in data}
    kernels = {key: supercell.kernel(posterior.mean) for key, supercell in supercells.items()}
    predicted = [kernels[id(rows.supercell)].energy_forces(rows.displacements) for rows in data]
    residuals = np.concatenate(
        [rows.forces - forces.ravel() for rows, (_, forces) in zip(data, predicted, strict=True)]
    )
    with_energy = [rows for rows in data if rows.energy_ev is not None]
    rest = np.array(
        [
            rows.energy_ev - energy
            for rows, (energy, _) in zip(data, predicted, strict=True)
            if rows.energy_ev is not None
        ]
    )
    cells = np.array([rows.n_cells for rows in with_energy], float)
    atoms = np.array([len(rows.displacements) for rows in with_energy], float)
    per_cell = float((rest / cells).mean()) if with_energy else 0.0
    return TrainingSummary(
        n_snapshots=len(data),
        displacement_rms_angstrom=displacement_rms,
        displacement_max_angstrom=max(float(np.linalg.norm(r.displacements, axis=1).max()) for r in data),
        force_rms_ev_per_angstrom=force_rms,
        rmse_force_ev_per_angstrom=_rms(residuals),
        rmse_energy_ev_per_atom=_rms((rest - per_cell * cells) / atoms) if with_energy else float("nan"),
        reference_energy_ev_per_cell=per_cell,
    )


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
