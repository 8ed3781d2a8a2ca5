"""Phonopy with the force constants of a force field and of samples of its posterior.

Whatever phonopy makes of force constants has the standard deviation of its values over the samples, times
the calibration, as all error bars of the force field. Samples vary by what truncation does to them, too.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from phonopy import Phonopy

from mlff_dyn.formats.born_file import phonopy_dipoles
from mlff_dyn.formats.phonopy_cells import compact_array, phonopy_cells
from mlff_dyn.model.force_constants import whole_force_constants
from mlff_dyn.observables.truncation import truncation_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField

    Measure = Callable[[int], Mapping[str, NDArray[np.float64]]]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A quantity and its standard deviation, arrays of one shape and unit."""

    value: NDArray[np.float64]
    sd: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SampledPhonons:
    """Phonons of a force field on a supercell, with samples of its posterior.

    Attributes
    ----------
    force_field : ForceField
    torus : Torus
    phonon : Phonopy
        With the dipoles of the force field, if it has some.
    parameters : ndarray, shape (1 + n_samples, n_parameters)
        The posterior mean, then the samples.
    """

    force_field: ForceField
    torus: Torus
    phonon: Phonopy
    parameters: NDArray[np.float64]

    @property
    def n_samples(self) -> int:
        """Samples of the posterior."""
        return len(self.parameters) - 1

    def choose(self, number: int) -> Phonopy:
        """Return phonopy with the force constants of a sample, from 1; 0 is the posterior mean."""
        if number not in self._known:
            constants = whole_force_constants(
                self.force_field.expansion, self.parameters[number], 2, self.torus
            )
            p2s_map = np.array(self.phonon.primitive.p2s_map)
            self._known[number] = compact_array(constants, self.phonon.supercell, p2s_map)
        self.phonon.force_constants = self._known[number]
        return self.phonon

    @functools.cached_property
    def _known(self) -> dict[int, NDArray[np.float64]]:
        """Force constants of the samples that were chosen before, which several observables are made of."""
        return {}

    def spread(
        self, measure: Measure, tell: Callable[[int], None] = lambda _: None
    ) -> dict[str, NDArray[np.float64]]:
        """Calibrated standard deviations over the samples of what is measured on each of them.

        Parameters
        ----------
        measure : callable
            Takes the number of a sample, from 1; returns arrays by name.
        tell : callable, optional
            Called with the number of samples that are done.
        """
        return spread_of(measure, self.n_samples, self.force_field.calibration, tell)


def spread_of(
    measure: Measure, n_samples: int, scale: float, tell: Callable[[int], None] = lambda _: None
) -> dict[str, NDArray[np.float64]]:
    """Standard deviations of what is measured on each of some samples, times a factor.

    Parameters
    ----------
    measure : callable
        Takes the number of a sample, from 1; returns arrays by name.
    n_samples : int
    scale : float
    tell : callable, optional
        Called with the number of samples that are done.
    """
    found: list[Mapping[str, NDArray[np.float64]]] = []
    for number in range(1, n_samples + 1):
        found.append(measure(number))
        tell(number)
    return {
        name: scale * np.asarray(np.std([each[name] for each in found], axis=0, ddof=1)) for name in found[0]
    }


def sampled_phonons(
    force_field: ForceField, torus: Torus, *, n_samples: int = 16, seed: int = 0
) -> SampledPhonons:
    """Prepare the phonons of a force field.

    Parameters
    ----------
    force_field : ForceField
    torus : Torus
        Supercell of the force constants, a repetition of the cell that the user gave.
    n_samples : int
        Samples of the posterior, two at least.
    seed : int
        Of the samples.

    Raises
    ------
    UsageError
        If the supercell is not a repetition of that cell.
    """
    phonon = Phonopy(**phonopy_cells(torus), log_level=0)
    dipoles = phonopy_dipoles(phonon, force_field, torus)
    if dipoles is not None:
        phonon.nac_params = dipoles
    posterior = force_field.posterior
    generator = np.random.default_rng(seed)
    samples = posterior.sample(n_samples, generator)
    changes = truncation_changes(force_field)
    common = generator.standard_normal((n_samples, changes.shape[1]))
    common = (common - common.mean(axis=0)) / np.std(common, axis=0, ddof=1)
    samples += common @ changes.T
    return SampledPhonons(force_field, torus, phonon, np.vstack([posterior.mean, samples]))
