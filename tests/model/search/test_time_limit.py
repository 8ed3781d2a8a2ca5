"""A limit of time for a search: what is still fitted, and what is left out."""

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.search.expansion_steps import Candidate
from mlff_dyn.model.search.search_limits import SearchLimits
from mlff_dyn.model.search.time_limit import TimeLimit
from tests.models import copper, crystal_of

CRYSTAL = crystal_of(copper())
TORUS = input_supercell(CRYSTAL, (2, 2, 2))


class Sized(Candidate):
    """An expansion that says how many parameters it has."""

    @property
    def n_parameters(self) -> int:
        return int(next(iter(self.shells)))


def sized(n_parameters: int) -> Sized:
    return Sized({n_parameters: (1, 1)}, {2: float(n_parameters)}, build_basis(CRYSTAL, {2: 2.8}, TORUS))


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_does_not_fit_into_the_time_left_is_left_out() -> None:
    """500 parameters took 4 s: 1000 are expected to take 32 s, of 400 s at most a quarter."""
    clock = Clock()
    limit = TimeLimit(400.0, SearchLimits(operations_of_fit=0.0), clock)
    assert limit.allows(sized(10_000))
    for n_parameters, seconds in ((10, 0.0), (500, 4.0)):
        with limit.measured(sized(n_parameters)):
            clock.now += seconds
    assert abs(limit.expected_seconds(1000) - 32.0) < 1e-9
    assert limit.allows(sized(1000))
    assert not limit.allows(sized(1500))
    clock.now = 390.0
    assert limit.allows(sized(500))
    assert not limit.allows(sized(1000))
    assert not limit.is_over
    clock.now = 401.0
    assert limit.is_over
    assert not limit.allows(sized(10))
    assert [each.n_parameters for each in limit.skipped] == [1500, 1000, 10]


def test_without_a_limit_everything_is_fitted() -> None:
    limit = TimeLimit()
    with limit.measured(sized(10)):
        pass
    assert limit.allows(sized(10**6))
    assert not limit.is_over


def test_large_fits_are_expected_to_take_long_before_any_was_made() -> None:
    limit = TimeLimit(1.0)
    with limit.measured(sized(10)):
        pass
    assert limit.allows(sized(20))
    assert not limit.allows(sized(5000))
