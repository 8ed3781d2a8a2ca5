"""Supercells as a command line gives them: one, or one for each order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.config.fields import parse_supercell
from mlff_dyn.config.yaml_source import parse_yaml
from mlff_dyn.errors import ConfigError, UsageError, reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.config.fields import Matrix


def parse_supercells(text: str, orders: Sequence[int]) -> dict[int, Matrix]:
    """Read the supercell of each order.

    Parameters
    ----------
    text : str
        Three integers, nine, or rows of three, as ``4 4 4`` or ``[[0, 2, 2], [2, 0, 2], [2, 2, 0]]``; or one
        for each order, as ``{2: [4, 4, 4], 3: [2, 2, 2]}``.
    orders : sequence of int
        Orders that need one.

    Returns
    -------
    dict
        Supercell matrix of every order, its rows in vectors of the input cell.

    Raises
    ------
    UsageError
        If it is neither, or an order is missing or not among those.

    Examples
    --------
    >>> parse_supercells("2 2 3", (2,))
    {2: ((2, 0, 0), (0, 2, 0), (0, 0, 3))}
    """
    try:
        value, _ = parse_yaml(text if set(text) & set("[{") else f"[{text.replace(',', ' ')}]", "--supercell")
        if not isinstance(value, dict):
            return dict.fromkeys(orders, parse_supercell(_in_rows(value)))
        if sorted(value, key=str) != sorted(orders):
            given, wanted = (", ".join(map(str, each)) for each in (value, orders))
            raise UsageError(f"--supercell {text}: it is for orders {given}", fix=f"give orders {wanted}")
        return {order: parse_supercell(_in_rows(value[order])) for order in orders}
    except (ConfigError, ValueError) as error:
        raise UsageError(
            f"--supercell {text}: {reason_of(error)}", fix="give three or nine integers, like '2 2 3'"
        ) from None


def _in_rows(value: object) -> object:
    """Three or nine numbers that a blank parts, or rows of them, as lists."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = [int(word) if word.lstrip("-").isdecimal() else word for word in value[0].split()]
    if isinstance(value, list) and len(value) == 9:
        return [value[:3], value[3:6], value[6:]]
    return value
