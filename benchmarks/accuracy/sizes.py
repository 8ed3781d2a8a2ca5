"""Error bars with local parts of several sizes.

What an expansion leaves out is the same in all trainings with it, so that any number of them is one test of
this part of an error bar. Every size leaves out something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.accuracy.conductivities import OwnConductivity, as_proposed, conductivity_of
from benchmarks.accuracy.error_bars import (
    ELASTIC,
    STEP_ANGSTROM,
    ErrorBar,
    Reference,
    error_bar,
    measured,
)
from benchmarks.accuracy.finite_differences import FiniteDifferences
from benchmarks.accuracy.measures import on_expansion
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.fitting.fit_data import FitData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.accuracy.laboratory import Laboratory

SYSTEMS = ("Si Tersoff", "NaCl GFN1", "c-BAs GFN1", "BAs SevenNet-0")
N_CALCULATIONS = 4
N_TRAININGS = 2
SIZES = ((3, 2, 3), (3, 2, 4), (4, 1, 4), (4, 2, 3), (4, 3, 4), (5, 1, 3), (5, 2, 4), (5, 3, 4), (6, 3, 3))
"""Radial functions, largest degree and bodies."""
CONDUCTIVITY = "logarithm of the conductivity"


def sizes(laboratory: Laboratory) -> Iterator[ErrorBar]:
    """Errors over error bars of all sizes together."""
    name = laboratory.system.name
    if name not in SYSTEMS:
        return
    laboratory = laboratory.sampled_by_a_force_field()
    reference, (phono3py, _) = Reference(laboratory), FiniteDifferences(laboratory).third()
    truths = [reference.at_rest(), reference.of_step(STEP_ANGSTROM)]
    same = {
        ELASTIC: reference.elastic_constants(),
        CONDUCTIVITY: np.log([conductivity_of(phono3py, phono3py.fc2, phono3py.fc3)]),
    }
    truth, one_step = ({**values, **same} for values in truths)
    first = laboratory.system.temperatures_kelvin[0]
    frames = laboratory.frames(first, N_CALCULATIONS * N_TRAININGS)
    found = []
    for n_radial, l_max, n_bodies in SIZES:
        settings = LocalSettings(n_radial=n_radial, l_max=l_max, n_bodies=n_bodies)
        supercell = as_proposed(laboratory, settings=settings)
        conductivity = OwnConductivity("", supercell)
        for number in range(N_TRAININGS):
            chosen = frames[number * N_CALCULATIONS : (number + 1) * N_CALCULATIONS]
            values, sds = measured(supercell, FitData(on_expansion(supercell, chosen)), seed=number)
            kappa = conductivity.conductivity(chosen, number)
            values[CONDUCTIVITY], sds[CONDUCTIVITY] = np.log([kappa.kappa]), np.array([kappa.sd])
            found.append((values, sds))
    named = {
        "system": name,
        "program": f"mlff_dyn, {len(SIZES)} sizes of the local part",
        "n_calculations": N_CALCULATIONS,
        "n_trainings": len(found),
    }
    for quantity in truth:
        yield error_bar(named, quantity, found, (truth[quantity], one_step[quantity]))
