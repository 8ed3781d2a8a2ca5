"""Functions of the local part against those of pypolymlp."""

from __future__ import annotations

import numpy as np
import pytest
from local_crystals import LATTICE, MARGIN, POSITIONS, LocalCrystal, displacements_of
from polynomials import Torus

from mlff_dyn.kernels import compiled
from mlff_dyn.local.basis import LocalSettings, build_local_basis

SETTINGS = LocalSettings(4.4, 4, 3)
CRYSTAL = LocalCrystal((1, 1, 8, 8), (2, 2, 2), SETTINGS)
PARAMETERS = f"""
n_type 2
elements H O
feature_type gtinv
cutoff {SETTINGS.cutoff_angstrom}
model_type 3
max_p 1
gtinv_order 3
gtinv_maxl {SETTINGS.l_max} 2
gaussian_params1 1.0 1.0 1
gaussian_params2 0.0 {SETTINGS.cutoff_angstrom} {SETTINGS.n_radial}
include_force True
include_stress True
"""


def their_rows(positions: np.ndarray, lattice: np.ndarray, path) -> np.ndarray:
    """Rows of energy and forces; one column for each kind of neighbors, l and n, all channels of one n."""
    features = pytest.importorskip("pypolymlp.calculator.compute_features")
    from pypolymlp.core.data_format import PolymlpStructure

    half = len(positions) // 2
    structure = PolymlpStructure(
        axis=lattice.T,
        positions=(positions @ np.linalg.inv(lattice)).T,
        n_atoms=[half, half],
        elements=["H"] * half + ["O"] * half,
        types=[0] * half + [1] * half,
    )
    path.write_text(PARAMETERS, encoding="utf-8")
    rows = features.compute_from_infile(str(path), [structure], force=True, stress=True)
    return np.delete(rows, np.s_[1:7], axis=0)


def test_features_of_each_n_and_l_are_theirs(tmp_path):
    terms, cells = CRYSTAL.terms(), np.array(list(np.ndindex(CRYSTAL.shape)))
    u = displacements_of(terms, scale=0.05)
    positions = (POSITIONS[:, None] + cells @ LATTICE).reshape(-1, 3) + u
    supercell = np.diag(CRYSTAL.shape) + Torus(CRYSTAL.shape).shear * np.eye(3, k=-2)
    theirs = their_rows(positions, supercell @ LATTICE, tmp_path / "polymlp.in")
    theirs /= np.linalg.norm(theirs, axis=0)
    rows = compiled.local_rows(terms.tables, terms.neighbor_atoms, u, strain=terms.strain)
    ours = np.vstack([rows.energy, rows.forces])
    basis = build_local_basis(
        LATTICE, POSITIONS, np.array(CRYSTAL.numbers), SETTINGS, largest_displacement=0.5 * MARGIN
    )
    for bodies, degree in [(2, 0), *((3, degree) for degree in range(SETTINGS.l_max + 1))]:
        numbers = basis.radial_indices[:, : bodies - 1]
        same = (basis.bodies == bodies) & (basis.degrees == degree) & (np.ptp(numbers, axis=1) == 0)
        for n in range(SETTINGS.n_radial - 1):
            columns = ours[:, same & (basis.radial_indices[:, 0] == n)]
            assert n_in_span(theirs, columns) == (3 if bodies == 2 else 5)
    products = terms.tables.quadruples
    is_one_n = (products[:, 1:4] % SETTINGS.n_radial == 1).all(axis=1)
    for degrees, count in {(0, 0, 0): 7, (0, 1, 1): 11, (0, 2, 2): 11, (1, 1, 2): 11, (2, 2, 2): 7}.items():
        same = is_one_n & (products[:, 4:7] == degrees).all(axis=1)
        assert n_in_span(theirs, ours[:, products[same, 7]]) == count


def n_in_span(theirs: np.ndarray, columns: np.ndarray) -> int:
    rest = theirs - columns @ np.linalg.lstsq(columns, theirs, rcond=None)[0]
    return int((np.linalg.norm(rest, axis=0) < 3e-3).sum())
