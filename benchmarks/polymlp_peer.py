"""pypolymlp: linear polynomials of invariants of two radial functions, the ones nearest to a local part."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.local_part import SUPERCELLS
from benchmarks.models import SNSE
from benchmarks.report import Measurement
from benchmarks.timing import median_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

N_GAUSSIANS = (4, 19)
"""Beside one without a Gaussian: 115 and 460 functions, for the 373 of the standard local part."""


def measure_polymlp() -> Iterator[Measurement]:
    """Force call of tin selenide to 5 Å and l = 3; the cost does not depend on the coefficients."""
    from pypolymlp.calculator.properties import Properties
    from pypolymlp.core.data_format import PolymlpStructure
    from pypolymlp.mlp_dev.pypolymlp import Pypolymlp

    version = importlib.metadata.version("pypolymlp")
    for supercell in SUPERCELLS:
        atoms = SNSE.atoms().repeat(supercell)
        atoms = atoms[np.argsort(atoms.numbers, kind="stable")[::-1]]
        n = len(atoms) // 2
        u = np.random.default_rng(0).normal(scale=0.05, size=(2 * n, 3))
        structure = PolymlpStructure(
            axis=atoms.cell.array.T,
            positions=np.linalg.solve(atoms.cell.array.T, (atoms.positions + u).T),
            n_atoms=[n, n],
            elements=atoms.get_chemical_symbols(),
            types=[0] * n + [1] * n,
        )
        for n_gaussians in N_GAUSSIANS:
            model = Pypolymlp()
            model.set_params(
                elements=("Sn", "Se"),
                cutoff=5.0,
                model_type=1,
                max_p=1,
                gaussian_params2=(0.0, 4.0, n_gaussians),
                gtinv_order=2,
                gtinv_maxl=(3,),
                atomic_energy=(0.0, 0.0),
            )
            properties = Properties(params=model.parameters, coeffs=np.zeros(model.n_features))
            seconds = median_seconds(lambda p=properties, s=structure: p.eval(s))
            name = f"pypolymlp {version}, {model.n_features} functions"
            yield Measurement("local part, 5 Å, 5 radial, l up to 3", f"SnSe {2 * n}", name, seconds, "s")
