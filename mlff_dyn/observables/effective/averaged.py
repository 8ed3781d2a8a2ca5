"""What both ways to effective force constants find: order 2 on a torus and two kinds of samples of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.formats.born_file import sites_of_primitive
from mlff_dyn.formats.effective_file import EffectiveForceConstants
from mlff_dyn.formats.phonopy_cells import compact_array
from mlff_dyn.observables.effective.potential import constants_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.kernels.harmonic import HarmonicTorus
    from mlff_dyn.observables.sampled_phonons import SampledPhonons


@dataclass(frozen=True)
class EffectiveSettings:
    """What is asked for.

    Attributes
    ----------
    temperature_kelvin : float
    kind : str                              ``dynamics`` or ``self-consistent``
    is_quantum : bool                       amplitudes with zero-point motion; ``self-consistent`` only
    error_limit_relative : float            of the Monte Carlo error of effective forces
    most_configurations : int               of ``self-consistent``
    seed : int
    """

    temperature_kelvin: float
    kind: str
    is_quantum: bool
    error_limit_relative: float
    most_configurations: int
    seed: int


@dataclass(frozen=True, eq=False)
class Averaged:
    """Effective order 2 on a torus.

    Attributes
    ----------
    harmonic : HarmonicTorus
    of_data, of_monte_carlo : sequence of HarmonicTorus
    center : ndarray, shape (n_sites, 3)          mean displacements, Å
    n_configurations : int
    error_relative : float                        Monte Carlo error of the forces over their rms
    is_converged : bool
    energies : tuple of 3 float                   see `EffectiveForceConstants`
    """

    harmonic: HarmonicTorus
    of_data: Sequence[HarmonicTorus]
    of_monte_carlo: Sequence[HarmonicTorus]
    center: NDArray[np.float64]
    n_configurations: int
    error_relative: float
    is_converged: bool
    energies: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def in_phonopy_form(
        self, phonons: SampledPhonons, settings: EffectiveSettings, inputs: str
    ) -> EffectiveForceConstants:
        """Return the arrays in the atom order of phonopy's cells."""
        torus, cell = phonons.torus, phonons.phonon
        p2s_map = np.array(cell.primitive.p2s_map, np.int64)

        def compact(found: HarmonicTorus) -> NDArray[np.float64]:
            return compact_array(constants_of(found, torus), cell.supercell, p2s_map)

        return EffectiveForceConstants(
            kind=settings.kind,
            statistics="quantum" if settings.is_quantum else "classical",
            temperature_kelvin=settings.temperature_kelvin,
            supercell=np.asarray(torus.matrix, np.int64),
            p2s_map=p2s_map,
            force_constants=compact(self.harmonic),
            of_data=np.array([compact(each) for each in self.of_data]),
            of_monte_carlo=np.array([compact(each) for each in self.of_monte_carlo]),
            calibration=float(phonons.force_field.calibration),
            seed=settings.seed,
            mean_displacements=self.center[sites_of_primitive(cell.primitive, torus.crystal)],
            n_configurations=self.n_configurations,
            error_relative=self.error_relative,
            is_converged=self.is_converged,
            energies=np.array(self.energies),
            inputs=inputs,
        )


def monte_carlo_draws(deviations: NDArray[np.float64], n_samples: int, seed: int) -> NDArray[np.float64]:
    """Draws, shape (n_samples, n_parameters), whose covariance is the sum of products of the deviations."""
    normal = np.random.default_rng((seed, _STREAM)).standard_normal((n_samples, len(deviations)))
    return np.asarray(normal @ deviations)


_STREAM = 11
