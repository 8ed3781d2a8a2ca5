"""pypolymlp with the same kind of functions as the local part: its own evaluation of SnSe."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.accuracy.polymlp import SIZES, PolymlpStructures, new_model
from benchmarks.local_part import LOCAL, SUPERCELLS, tin_selenide
from benchmarks.models import displaced
from benchmarks.report import Measurement
from benchmarks.timing import median_seconds
from mlff_dyn.lattice.torus import input_supercell

if TYPE_CHECKING:
    from collections.abc import Iterator


def measure_polymlp() -> Iterator[Measurement]:
    """Force calls with random coefficients, neighbor lists of pypolymlp included."""
    from pypolymlp.calculator.properties_single import PropertiesSingle

    for supercell in SUPERCELLS:
        torus = input_supercell(tin_selenide(), supercell)
        structures = PolymlpStructures(torus)
        model = new_model(structures.elements, SIZES[0])
        coefficients = 1e-3 * np.random.default_rng(0).normal(size=model.n_features)
        evaluator = PropertiesSingle(params=model.parameters[0], coeffs=coefficients)
        structure = structures.structure(displaced(torus))
        seconds = median_seconds(
            lambda evaluator=evaluator, structure=structure: evaluator.eval(structure, use_openmp=False)
        )
        name = f"pypolymlp {importlib.metadata.version('pypolymlp')}, {model.n_features} functions"
        yield Measurement(LOCAL, f"SnSe {torus.n_atoms}", name, seconds, "s")
