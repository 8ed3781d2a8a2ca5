"""Single precision and threads give the same physics."""

import numpy as np
import pytest
from polynomials import Torus, random_polynomial

from mlff_dyn.errors import DataError
from mlff_dyn.kernels import compiled, reference
from mlff_dyn.kernels.gather import build_gather_tables


def make_case(orders, shape=(3, 4, 3)):
    rng = np.random.default_rng(11)
    polynomial = random_polynomial(rng, orders)
    tables = build_gather_tables(polynomial)
    torus = Torus(shape)
    displacements = rng.normal(scale=0.5, size=(polynomial.n_sites * torus.n_cells, 3))
    return tables, rng.normal(size=polynomial.n_parameters), torus.atom_indices(tables.slots), displacements


@pytest.mark.parametrize("orders", [(2,), (3,), (4,), (1, 2, 3, 4), (5, 6)])
def test_single_precision_forces_are_good_to_a_hundred_thousandth(orders):
    tables, parameters, slot_atoms, u = make_case(orders)
    energy, forces = reference.ForceKernel(tables, parameters, slot_atoms).energy_forces(u)
    single_energy, single = compiled.ForceKernel(tables, parameters, slot_atoms, "single").energy_forces(u)
    assert np.abs(single - forces).max() < 1e-5 * np.sqrt(np.mean(forces**2))
    assert single_energy == pytest.approx(energy, rel=1e-5, abs=1e-5 * np.abs(forces).max())


@pytest.mark.parametrize("precision", ["double", "single"])
def test_threads_share_the_cells(precision):
    tables, parameters, slot_atoms, u = make_case((1, 2, 3, 4), shape=(4, 4, 3))
    kernels = [compiled.ForceKernel(tables, parameters, slot_atoms, precision, n) for n in (1, 2, 3)]
    (energy, forces), *others = [kernel.energy_forces(u) for kernel in kernels]
    limit = 1e-13 if precision == "double" else 1e-5
    for other_energy, other_forces in others:
        assert other_energy == pytest.approx(energy, rel=limit)
        np.testing.assert_allclose(other_forces, forces, rtol=0, atol=limit * np.abs(forces).max())
    again = kernels[1].energy_forces(u)
    assert again[0] == others[0][0]
    assert (again[1] == others[0][1]).all()


@pytest.mark.parametrize("backend", [reference, compiled])
def test_unknown_precision_and_no_threads_are_refused(backend):
    tables, parameters, slot_atoms, _ = make_case((2,))
    with pytest.raises(DataError, match="half"):
        backend.ForceKernel(tables, parameters, slot_atoms, "half")
    with pytest.raises(DataError, match="n_threads"):
        backend.ForceKernel(tables, parameters, slot_atoms, n_threads=0)
