"""Types of configuration values: what may be written in YAML, and what the program gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from mlff_dyn.engines.registry import ENGINES

MIN_ORDER = 2
MAX_ORDER = 6
MAX_FULL_ORDER = 3
LARGEST_SUPERCELL = 1_000_000

if TYPE_CHECKING:
    EngineKind = str
else:
    EngineKind = Literal[tuple(ENGINES)]

Matrix = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
Cutoff = float | Literal["full"] | dict[int, float]
Cutoffs = dict[int, Cutoff]


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("should be a number, not true or false")  # noqa: TRY004 (pydantic reports ValueError)
    return value


Real = Annotated[float, BeforeValidator(_refuse_bool), Field(allow_inf_nan=False)]
Integer = Annotated[int, BeforeValidator(_refuse_bool)]


def parse_supercell(value: object) -> Matrix:
    """Read a supercell as written in YAML.

    Parameters
    ----------
    value : object
        Three positive integers, or three rows of three integers.

    Returns
    -------
    tuple of tuple of int
        Supercell matrix; row i holds the supercell vector i in vectors of the input cell.

    Raises
    ------
    ValueError
        If it is neither, or the determinant is not positive or too large.
    """
    expected = "should be 3 positive integers or a 3x3 matrix of integers with a positive determinant"
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError(expected)
    if all(_is_integer(entry) for entry in value):
        if min(value) < 1:
            raise ValueError(expected)
        _check_size(value[0] * value[1] * value[2])
        return ((int(value[0]), 0, 0), (0, int(value[1]), 0), (0, 0, int(value[2])))
    for row in value:
        if not isinstance(row, list | tuple) or len(row) != 3 or not all(_is_integer(entry) for entry in row):
            raise ValueError(expected)
    (a, b, c), (d, e, f), (g, h, i) = value
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if determinant <= 0:
        raise ValueError(f"{expected}; the determinant is {determinant}")
    _check_size(determinant)
    if max(abs(entry) for row in value for entry in row) > LARGEST_SUPERCELL:
        raise ValueError(f"should have entries up to {LARGEST_SUPERCELL}")
    return ((int(a), int(b), int(c)), (int(d), int(e), int(f)), (int(g), int(h), int(i)))


def _check_size(determinant: int) -> None:
    if determinant > LARGEST_SUPERCELL:
        raise ValueError(f"should hold at most {LARGEST_SUPERCELL} cells (it holds {determinant})")


def shorten_supercell(matrix: Matrix) -> list[int] | list[list[int]]:
    """Write a supercell matrix as three integers if it is diagonal, else as rows."""
    if all(matrix[i][j] == 0 for i in range(3) for j in range(3) if i != j):
        return [matrix[i][i] for i in range(3)]
    return [list(row) for row in matrix]


def parse_cutoffs(value: object) -> Cutoffs:
    """Read the cutoffs as written in YAML.

    Parameters
    ----------
    value : object
        Mapping of order to cutoff in Å, to "full" (orders 2 and 3), or to a mapping of number of bodies to
        cutoff in Å.

    Returns
    -------
    dict
        The same, with orders and numbers of bodies ascending.

    Raises
    ------
    ValueError
        If the orders are not 2, 3, ... up to at most 6, or a cutoff is not a positive length.
    """
    if not isinstance(value, dict) or not value:
        raise ValueError("should map every order to its cutoff in Å, like {2: full, 3: 4.0, 4: 3.4}")
    cutoffs = {_parse_count(key, "order"): entry for key, entry in value.items()}
    if len(cutoffs) != len(value):
        raise ValueError("an order is given twice")
    orders = sorted(cutoffs)
    if orders != list(range(MIN_ORDER, MIN_ORDER + len(orders))) or orders[-1] > MAX_ORDER:
        raise ValueError(
            f"the orders are {orders}; they should be {MIN_ORDER}, {MIN_ORDER + 1}, ... without a gap, "
            f"at most {MAX_ORDER}"
        )
    return {order: _parse_cutoff(order, cutoffs[order]) for order in orders}


def _parse_cutoff(order: int, value: object) -> Cutoff:
    if value == "full":
        if order > MAX_FULL_ORDER:
            raise ValueError(
                f"order {order}: full is for orders up to {MAX_FULL_ORDER} only; give a length in Å"
            )
        return "full"
    if not isinstance(value, dict):
        return _parse_length(f"order {order}", value)
    bodies = {_parse_count(key, f"order {order}: number of bodies"): entry for key, entry in value.items()}
    if not bodies or len(bodies) != len(value) or not set(bodies) <= set(range(2, order + 1)):
        raise ValueError(
            f"order {order}: the numbers of bodies should lie between 2 and {order}, each given once"
        )
    return {n: _parse_length(f"order {order}, {n} bodies", bodies[n]) for n in sorted(bodies)}


def _parse_count(key: object, name: str) -> int:
    if _is_integer(key):
        return int(str(key))
    if isinstance(key, str) and key.isdecimal():
        return int(key)
    raise ValueError(f"{name} {key!r} should be an integer")


def _parse_length(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 < value < float("inf"):
        full_orders = range(MIN_ORDER, MAX_FULL_ORDER + 1)
        choice = ", or full" if name in {f"order {order}" for order in full_orders} else ""
        raise ValueError(f"{name}: {value!r} should be a positive length in Å{choice}")
    return float(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_stored(names: tuple[str, ...]) -> tuple[str, ...]:
    if "positions" not in names:
        raise ValueError("should hold positions, which every analysis needs")
    return tuple(sorted(set(names)))


def _check_distinct(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(values)) != len(values):
        raise ValueError("a temperature is given twice")
    return values


Supercell = Annotated[Matrix, BeforeValidator(parse_supercell), PlainSerializer(shorten_supercell)]
OrderCutoffs = Annotated[Cutoffs, BeforeValidator(parse_cutoffs)]
Stored = Annotated[tuple[Literal["positions", "velocities"], ...], AfterValidator(_check_stored)]
Temperatures = Annotated[
    tuple[Annotated[Real, Field(ge=0.1)], ...], Field(min_length=1), AfterValidator(_check_distinct)
]
