"""As many orders as data support: the truth's where it is known, and the plain fit where they are all."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.growing_orders import fit_growing_orders
from mlff_dyn.model.fitting.labelled_frame import FitOptions, LabelledFrame, labelled_frame
from mlff_dyn.model.fitting.prior_guess import PriorGuess
from mlff_dyn.model.local_expansion import local_basis
from tests.models import crystal_of

CUTOFFS: dict[int, float | str | Mapping[int, float]] = {2: "full", 3: 2.7, 4: {2: 2.7}}
SIZES = {2: 3.0, 3: 8.0, 4: 20.0}
"""Size of the parameters of the truth, eV/Å^order."""
AMPLITUDE = 0.05
COPPER = crystal_of(bulk("Cu", a=3.6, cubic=True))
TORUS = input_supercell(COPPER, (2, 2, 2))


@pytest.fixture(scope="module", params=["force constants", "local part"])
def supercell(request: pytest.FixtureRequest) -> SupercellExpansion:
    settings = LocalSettings(cutoff_angstrom=3.5, n_radial=3, l_max=1)
    local = local_basis(COPPER, settings) if request.param == "local part" else None
    return Expansion(build_basis(COPPER, CUTOFFS, TORUS), local=local).on(TORUS)


def truth_up_to(supercell: SupercellExpansion, order: int) -> NDArray[np.float64]:
    orders, drawn = supercell.expansion.parameter_orders, np.random.default_rng(5)
    sizes = np.select([orders == k for k in SIZES if k <= order], [SIZES[k] for k in SIZES if k <= order])
    return np.asarray(sizes * drawn.standard_normal(len(orders)))


def frames_of(
    supercell: SupercellExpansion, order: int, n: int, noise: float, strain: float = 0.0
) -> list[LabelledFrame]:
    """Frames of a polynomial of an order, with noise of its forces in eV/Å."""
    truth, generator, frames = truth_up_to(supercell, order), np.random.default_rng(2), []
    for number in range(n):
        here = supercell.expansion.on(TORUS, strain * (number % 2) * np.eye(3))
        u = AMPLITUDE * generator.standard_normal((TORUS.n_atoms, 3))
        u -= u.mean(axis=0)
        rows, energy = here.rows(u)
        forces = (rows @ truth).reshape(-1, 3) + noise * generator.standard_normal((TORUS.n_atoms, 3))
        frames.append(labelled_frame(here, u, forces, float(energy @ truth)))
    return frames


@pytest.mark.parametrize("n", [1, 2, 6])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_harmonic_labels_need_order_2(supercell: SupercellExpansion, n: int, noise: float) -> None:
    chosen = fit_growing_orders(FitData(frames_of(supercell, 2, n, noise))).force_field
    assert chosen.basis.orders == (2,)
    assert chosen.local is supercell.expansion.local


@pytest.mark.parametrize("order", [3, 4])
def test_orders_of_the_truth_are_found(supercell: SupercellExpansion, order: int) -> None:
    """Without noise, and their parameters to rounding; none of orders that are not in use."""
    found = fit_growing_orders(FitData(frames_of(supercell, order, 4, 0.0)))
    posterior, orders = found.force_field.posterior, found.force_field.expansion.parameter_orders
    assert max(found.force_field.basis.orders) == order
    truth = truth_up_to(supercell, order)[supercell.expansion.parameter_orders <= order]
    scale = AMPLITUDE ** (1.0 - np.maximum(orders, 1))
    np.testing.assert_allclose(posterior.mean / scale, truth / scale, atol=1e-7)
    assert list(found.log_evidences) == [2, 3, 4]


@pytest.mark.parametrize(("noise", "first", "last"), [(0.01, 3, 4), (0.1, 2, 3)])
def test_orders_grow_with_data(noise: float, first: int, last: int) -> None:
    """Noise hides an order in few frames; each frame more never takes one back."""
    plain = Expansion(build_basis(COPPER, CUTOFFS, TORUS)).on(TORUS)
    frames = frames_of(plain, 4, 12, noise)
    highest = [
        max(fit_growing_orders(FitData(frames[:n])).force_field.basis.orders)
        for n in range(1, len(frames) + 1)
    ]
    assert highest == sorted(highest)
    assert (highest[0], highest[-1]) == (first, last)


def test_all_orders_are_the_plain_fit(supercell: SupercellExpansion) -> None:
    """To the last bit, also of growing data, whose searches begin where earlier ones ended."""
    frames = frames_of(supercell, 4, 8, 1e-3)
    growing, plain = FitData(grows=True), FitData(grows=True)
    for frame in frames:
        growing, plain = growing.extended([frame]), plain.extended([frame])
        found = fit_growing_orders(growing).force_field
        expected = fit_force_field(supercell.basis, plain)
    assert found.basis is supercell.basis
    assert np.array_equal(found.posterior.mean, expected.posterior.mean)
    assert np.array_equal(found.posterior.covariance_factor, expected.posterior.covariance_factor)


@pytest.mark.parametrize("options", [FitOptions(), FitOptions(energies=False)])
def test_data_up_to_an_order_are_those_of_a_smaller_expansion(
    supercell: SupercellExpansion, options: FitOptions
) -> None:
    """Same fit as for an expansion built without the order; frames are added, left out, reordered."""
    frames = frames_of(supercell, 4, 7, 1e-3, strain=0.01)
    local, built = supercell.expansion.local, build_basis(COPPER, {2: "full", 3: 2.7}, TORUS)
    expansion = Expansion(built, local=local)
    whole = FitData((), options)

    def check(data: FitData) -> None:
        placed = [
            replace(frame, supercell=expansion.on(TORUS, frame.supercell.strain)) for frame in data.frames
        ]
        expected = fit_force_field(built, FitData(placed, options))
        found = fit_force_field(data.up_to(3).expansion.basis, data.up_to(3))
        assert np.array_equal(found.posterior.mean, expected.posterior.mean)
        assert found.posterior.log_evidence == expected.posterior.log_evidence

    changes: tuple[Callable[[FitData], FitData], ...] = (
        lambda data: data.extended(frames[:4]),
        lambda data: data.extended(frames[4:6]),
        lambda data: data.updated([*frames[1:6], frames[6]]),
        lambda data: data.first(3),
        lambda data: data.updated(frames[::-1]),
    )
    for change in changes:
        whole = change(whole)
        check(whole)
        assert whole.up_to(4) is whole


def test_a_basis_up_to_an_order_is_the_one_built_with_it() -> None:
    part = build_basis(COPPER, CUTOFFS, TORUS).up_to(3)
    built = build_basis(COPPER, {2: "full", 3: 2.7}, TORUS)
    assert part.orders == built.orders
    assert np.array_equal(part.polynomial.slots, built.polynomial.slots)
    for ours, theirs in zip(part.polynomial.orders, built.polynomial.orders, strict=True):
        assert np.array_equal(ours.monomials, theirs.monomials)
        assert np.array_equal(ours.data, theirs.data)


def test_a_guess_of_all_orders_serves_those_in_use(supercell: SupercellExpansion) -> None:
    """Each order has its own parameters of a guess, whichever are fitted; one of higher orders tells none."""
    orders, truth = supercell.expansion.parameter_orders, truth_up_to(supercell, 4)
    data = FitData(frames_of(supercell, 2, 1, 1e-2))
    found = fit_growing_orders(data, guess=PriorGuess("truth", truth, orders)).force_field
    assert found.basis.orders == (2,)
    assert found.prior_guess is not None
    assert found.prior_guess.is_used
    assert found.prior_guess.scales == pytest.approx([1.0], abs=0.05)
    cubic = np.where(orders == 3, truth, 0.0)
    blind = fit_growing_orders(data, guess=PriorGuess("order 3", cubic, orders)).force_field
    assert blind.basis.orders == (2,)
    assert blind.prior_guess is None
