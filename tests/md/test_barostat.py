"""The cell at constant pressure: closed forms of a harmonic crystal, and runs in pieces."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.errors import DataError
from mlff_dyn.kernels.dynamics import Dynamics, MdState
from mlff_dyn.kernels.strain.kernel import StrainedKernel
from mlff_dyn.kernels.strain.moves import VOIGT, unit_strains
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.md.barostat import Barostat, CellState, is_outside, run_npt_in_chunks, start_cell
from mlff_dyn.md.chunks import Chunk, Span
from mlff_dyn.md.correlated_means import correlated_mean
from mlff_dyn.md.start import start_at_rest_positions
from mlff_dyn.units import BOLTZMANN_EV_PER_K
from tests.models import random_force_field, spring_hessian

TEMPERATURE = 300.0


@pytest.fixture(scope="module")
def crystal() -> tuple[StrainedKernel, Torus]:
    """Rock salt with harmonic springs, which do not expand; every strain costs energy."""
    force_field, torus = random_force_field(bulk("NaCl", "rocksalt", a=5.6), (2, 2, 2), {2: "full"})
    hessian = spring_hessian(torus, {2.8: (3.0, 0.4), 2.8 * np.sqrt(2.0): (0.5, 0.0)})
    supercell = force_field.expansion.on(torus)
    rows, forces = [], []
    for seed in range(2):
        u = 0.1 * np.random.default_rng(seed).standard_normal((torus.n_atoms, 3))
        rows.append(supercell.rows(u)[0])
        forces.append(-hessian @ u.ravel())
    mean = np.linalg.lstsq(np.concatenate(rows), np.concatenate(forces), rcond=None)[0]
    return supercell.strained_kernel(mean), torus


def dynamics_of(torus: Torus) -> Dynamics:
    return Dynamics(torus.masses, timestep_fs=4.0, friction_per_fs=0.01, temperature_kelvin=TEMPERATURE)


def barostat_of(torus: Torus, shape: str, pressure: float = 0.0, **changes: float) -> Barostat:
    given = Barostat(
        pressure=pressure,
        volume=torus.volume,
        thermal_energy=BOLTZMANN_EV_PER_K * TEMPERATURE,
        interval_steps=10,
        shape=shape,
        adapt_steps=1000,
        strain_limit=0.2,
        seed=(1,),
    )
    return replace(given, **changes)


def start(torus: Torus) -> MdState:
    return start_at_rest_positions(torus.masses, TEMPERATURE, (3,))


def stiffness(kernel: StrainedKernel) -> NDArray[np.float64]:
    """Second derivatives with respect to the components xx, yy, zz, yz, xz, xy, atoms at rest, eV.

    No atom of rock salt moves when it is strained.
    """
    rest, step = np.zeros((kernel.n_atoms, 3)), 1e-4
    found = np.zeros((6, 6))
    for k, unit in enumerate(unit_strains()):
        ahead, behind = (kernel.strained(sign * step * unit).virial(rest) for sign in (1, -1))
        found[k] = [(ahead - behind)[pair] / (2.0 * step) for pair in VOIGT]
    return found


def run(
    crystal: tuple[StrainedKernel, Torus], barostat: Barostat, n_steps: int, seconds: float = 1.0
) -> Iterator[Chunk]:
    kernel, torus = crystal
    span = Span(0, n_steps, 10, seconds)
    return run_npt_in_chunks(
        kernel, barostat, dynamics_of(torus), start(torus), span, cell=start_cell(barostat)
    )


def sampled_strains(chunks: Iterator[Chunk], first: int) -> NDArray[np.float64]:
    strains = np.concatenate([chunk.strains for chunk in chunks if chunk.strains is not None])
    return np.asarray(strains[first:])


@pytest.mark.parametrize("pressure_gigapascal", [0.0, 3.0])
def test_isotropic_strain_has_its_closed_form(
    crystal: tuple[StrainedKernel, Torus], pressure_gigapascal: float
) -> None:
    """Density exp(-(E(e) + P V (1 + e)^3) / kT), E harmonic; the mean is -P / 3B to first order."""
    kernel, torus = crystal
    pressure = pressure_gigapascal / 160.2
    stiff = float(stiffness(kernel)[:3, :3].sum())
    size = np.linspace(-0.1, 0.1, 20001)
    work = 0.5 * stiff * size**2 + pressure * torus.volume * ((1.0 + size) ** 3 - 1.0)
    density = np.exp(-(work - work.min()) / (BOLTZMANN_EV_PER_K * TEMPERATURE))
    mean = float(size @ density / density.sum())
    variance = float((size - mean) ** 2 @ density / density.sum())
    assert mean == pytest.approx(-3.0 * pressure * torus.volume / stiff, rel=0.1, abs=1e-6)
    strains = sampled_strains(run(crystal, barostat_of(torus, "isotropic", pressure), 36000), 200)
    np.testing.assert_array_equal(strains, strains[:, :1, :1] * np.eye(3))
    found = correlated_mean(strains[None, :, 0, 0])
    assert abs(found.mean - mean) < 4.0 * found.statistical_error
    assert found.statistical_error < 0.1 * np.sqrt(variance)
    spread = correlated_mean((strains[None, :, 0, 0] - mean) ** 2)
    assert abs(spread.mean - variance) < 4.0 * spread.statistical_error


def test_full_strain_has_its_closed_form(crystal: tuple[StrainedKernel, Torus]) -> None:
    """Covariance kT times the inverse stiffness; shear fluctuates independently of the rest."""
    kernel, torus = crystal
    expected = BOLTZMANN_EV_PER_K * TEMPERATURE * np.linalg.inv(_of_tensor(stiffness(kernel)))
    strains = sampled_strains(run(crystal, barostat_of(torus, "full"), 50000), 500)
    components = np.array([strains[:, a, b] for a, b in VOIGT])
    for i in range(6):
        for j in range(i + 1):
            found = correlated_mean((components[i] * components[j])[None])
            assert abs(found.mean - expected[i, j]) < 4.0 * found.statistical_error


def _of_tensor(slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Second derivatives with respect to independent components: off-diagonal ones count twice."""
    weights = np.array([1.0 if a == b else 2.0 for a, b in VOIGT])
    return slopes * np.outer(weights, weights)


def test_orthorhombic_cells_stay_so(crystal: tuple[StrainedKernel, Torus]) -> None:
    strains = sampled_strains(run(crystal, barostat_of(crystal[1], "orthorhombic"), 1000), 0)
    assert not strains[:, ~np.eye(3, dtype=bool)].any()
    assert np.abs(strains[-1, 0, 0] - strains[-1, 1, 1]) > 1e-6


def test_the_step_adapts_to_the_acceptance(crystal: tuple[StrainedKernel, Torus]) -> None:
    *_, last = run(crystal, barostat_of(crystal[1], "isotropic", adapt_steps=4000), 20000)
    assert last.cell is not None
    assert last.cell.n_moves == 1600
    assert last.cell.n_accepted / last.cell.n_moves == pytest.approx(0.4, abs=0.15)


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_pieces_change_nothing(crystal: tuple[StrainedKernel, Torus], seconds: float) -> None:
    barostat = barostat_of(crystal[1], "full", interval_steps=15, adapt_steps=60)
    whole = list(run(crystal, barostat, 400, seconds=100.0))
    pieces = list(run(crystal, barostat, 400, seconds=seconds))
    assert len(whole) == 1 < len(pieces)
    steps = np.concatenate([chunk.sample_steps for chunk in pieces])
    np.testing.assert_array_equal(steps, 10 * np.arange(1, 41))
    for name in ("displacements", "velocities", "potential_energies", "kinetic_energies"):
        joined = np.concatenate([getattr(chunk.run, name) for chunk in pieces])
        np.testing.assert_array_equal(joined, getattr(whole[0].run, name))
    np.testing.assert_array_equal(np.concatenate([chunk.strains for chunk in pieces]), whole[0].strains)
    assert sum(chunk.n_steps for chunk in pieces) == 400


def test_potential_energies_are_those_of_the_strained_crystal(crystal: tuple[StrainedKernel, Torus]) -> None:
    kernel, torus = crystal
    (chunk,) = run(crystal, barostat_of(torus, "full", pressure=0.02), 300, seconds=100.0)
    for u, strain, energy in zip(
        chunk.run.displacements[::7], chunk.strains[::7], chunk.run.potential_energies[::7], strict=True
    ):
        assert kernel.strained(strain).energy_forces(u)[0] == pytest.approx(energy, rel=1e-9)


def test_a_cell_beyond_its_limit_ends_the_run(crystal: tuple[StrainedKernel, Torus]) -> None:
    barostat = barostat_of(crystal[1], "isotropic", pressure=0.1, strain_limit=0.01)
    *_, last = run(crystal, barostat, 20000)
    assert last.step < 20000
    assert last.cell is not None
    assert is_outside(barostat, last.cell)
    assert not is_outside(barostat, CellState(0.009 * np.eye(3), 1e-3))


def test_an_unknown_shape_is_refused(crystal: tuple[StrainedKernel, Torus]) -> None:
    with pytest.raises(DataError, match="cubic"):
        barostat_of(crystal[1], "cubic")
