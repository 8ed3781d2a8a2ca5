"""Isothermal elastic constants from fluctuations of the stress at constant volume.

With displacements u from the sites of a strained cell, whose volume element does not depend on the strain,

    C_kl = <d s_k / d e_l> - (V / kT) cov(s_k, s_l)

where s is the stress of moving the sites at constant u, and e a further strain of the strained cell. In a
harmonic crystal the first part is that of clamped sites and the second its relaxation, at any temperature;
`site_relaxation` takes the latter from averages, and leaves little to fluctuations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.strain.moves import unit_strains
from mlff_dyn.lattice.deformation import polar, stress_of_strain_slope, to_voigt
from mlff_dyn.observables.site_relaxation import site_slopes
from mlff_dyn.observables.thermal_averages import covariances, statistical_error
from mlff_dyn.units import EV_PER_ANGSTROM3_GPA

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mlff_dyn.model.force_field import SupercellForceField
    from mlff_dyn.observables.site_relaxation import SiteSlopes


@dataclass(frozen=True)
class IsothermalLimits:
    """How isothermal elastic constants are averaged.

    Attributes
    ----------
    step : float
        Strain of differences of the stress.
    most_sloped : int
        Frames whose derivative of the stress gets rows of the parameters: their mean fluctuates little.
    """

    step: float = 2.0**-11
    most_sloped: int = 20


_LIMITS = IsothermalLimits()


@dataclass(frozen=True, eq=False)
class IsothermalElastic:
    """Isothermal elastic constants, GPa; components xx, yy, zz, yz, xz, xy.

    Attributes
    ----------
    values : ndarray, shape (6, 6)                    averaged over the symmetry of the crystal
    statistical_errors : ndarray, shape (6, 6)        Monte Carlo errors
    gradient : ndarray, shape (6, 6, n_parameters)    by the parameters
    """

    values: NDArray[np.float64]
    statistical_errors: NDArray[np.float64]
    gradient: NDArray[np.float64]


def isothermal_elastic(
    here: SupercellForceField,
    frames: NDArray[np.float64],
    thermal_energy: float,
    tell: Callable[[int], None] = lambda _: None,
) -> IsothermalElastic:
    """Isothermal elastic constants of a cell, strained or not.

    Parameters
    ----------
    here : SupercellForceField
        Of the frames.
    frames : ndarray, shape (n_samples, n_atoms, 3), Å
        Displacements of canonical samples.
    thermal_energy : float
        kT, eV.
    tell : callable, optional
        Called with the number of frames that are done.
    """
    force_field, torus, strain = here.force_field, here.torus, here.strain
    around = [
        [_strained_further(here, sign * _LIMITS.step * unit) for sign in (1.0, -1.0)]
        for unit in unit_strains()
    ]
    expansion = force_field.expansion
    rows_here = expansion.on(torus, strain)
    rows_around = [[expansion.on(torus, each.strain) for each in pair] for pair in around]
    sloped = set(np.linspace(0, len(frames) - 1, min(len(frames), _LIMITS.most_sloped)).astype(int).tolist())
    stresses, bends, bend_rows, rows, energy_rows = [], [], [], [], []
    for number, u in enumerate(frames):
        stresses.append(_stress(here, u))
        ends = np.array([[_stress(each, u) for each in pair] for pair in around])
        bends.append((ends[:, 0] - ends[:, 1]).T / (2.0 * _LIMITS.step))
        rows.append(rows_here.stress_rows(u))
        energy_rows.append(rows_here.rows(u)[1])
        if number in sloped:
            changed = np.array([[each.stress_rows(u) for each in pair] for pair in rows_around])
            bend_rows.append((changed[:, 0] - changed[:, 1]).swapaxes(0, 1) / (2.0 * _LIMITS.step))
        tell(number + 1)
    factor = rows_here.volume / thermal_energy
    return _averaged(
        _symmetrizer(force_field.basis.crystal.cartesian_rotations),
        _Series(
            np.array(stresses),
            np.array(bends),
            np.array(rows),
            np.array(energy_rows),
            np.mean(bend_rows, axis=0),
            site_slopes(here, around, frames, _LIMITS.step),
        ),
        factor,
        thermal_energy,
    )


@dataclass(frozen=True, eq=False)
class _Series:
    """By sample: stress (n, 6), its slope (n, 6, 6), rows of it and of the energy; mean rows of the slope.

    Last, derivatives by displacements of the sites.
    """

    stresses: NDArray[np.float64]
    bends: NDArray[np.float64]
    rows: NDArray[np.float64]
    energy_rows: NDArray[np.float64]
    bend_rows: NDArray[np.float64]
    sites: SiteSlopes


def _averaged(
    symmetrizer: NDArray[np.float64], series: _Series, factor: float, thermal_energy: float
) -> IsothermalElastic:
    moved = series.stresses - series.stresses.mean(axis=0)
    by_sample = series.bends - factor * np.einsum("nk,nl->nkl", moved, moved)
    unrelaxed, relaxations = series.sites.without_relaxation(series.stresses)
    unrelaxed = unrelaxed - unrelaxed.mean(axis=0)
    quiet = series.bends - factor * np.einsum("nk,nl->nkl", unrelaxed, unrelaxed)
    flat = (quiet - factor * thermal_energy * relaxations).reshape(-1, 36) @ symmetrizer.T
    gradient = series.bend_rows.copy()
    for k in range(6):
        for line in range(6):
            for one, other in ((k, line), (line, k)):
                gradient[k, line] -= factor * covariances(moved[:, one], series.rows[:, other])
            gradient[k, line] -= covariances(by_sample[:, k, line], series.energy_rows) / thermal_energy
    return IsothermalElastic(
        EV_PER_ANGSTROM3_GPA * flat.mean(axis=0).reshape(6, 6),
        EV_PER_ANGSTROM3_GPA * np.array([_error(each) for each in flat.T]).reshape(6, 6),
        EV_PER_ANGSTROM3_GPA * (symmetrizer @ gradient.reshape(36, -1)).reshape(gradient.shape),
    )


def _error(series: NDArray[np.float64]) -> float:
    return 0.0 if np.ptp(series) == 0.0 else statistical_error(series)


def _stress(force_field: SupercellForceField, u: NDArray[np.float64]) -> NDArray[np.float64]:
    slope = to_voigt(force_field.strained_kernel.virial(u))
    volume = abs(float(np.linalg.det(force_field.lattice)))
    return stress_of_strain_slope(slope, force_field.strain) / volume


def _strained_further(here: SupercellForceField, change: NDArray[np.float64]) -> SupercellForceField:
    return here.strained(polar((np.eye(3) + change) @ (np.eye(3) + here.strain)).strain)


def _symmetrizer(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Projection of elastic constants, flat, onto those that are symmetric and that rotations leave alone."""
    axes = np.array(unit_strains())
    weights = np.where(np.arange(6) < 3, 1.0, 2.0)
    turned = np.einsum("gab,kbc,gdc->gkad", rotations, axes, rotations)
    matrices = np.array([to_voigt(each.transpose(1, 2, 0)) for each in turned]) * weights[:, None]
    projection = np.einsum("gik,gjl->klij", matrices, matrices).reshape(36, 36) / len(rotations)
    swapped = np.arange(36).reshape(6, 6).T.ravel()
    return np.asarray(0.5 * (projection + projection[:, swapped]))
