"""Arithmetic of polynomials in three variables, cut off above a degree: exact derivatives of any function."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import binom

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TruncatedPolynomials:
    """Polynomials as arrays whose last axis runs over the terms x^a y^b z^c with a + b + c up to a degree.

    Attributes
    ----------
    degree : int
    """

    degree: int

    @cached_property
    def exponents(self) -> NDArray[np.int64]:
        """(a, b, c) of each term, shape (n_terms, 3); lower degrees first, so that the constant is at 0."""
        found = [each for each in product(range(self.degree + 1), repeat=3) if sum(each) <= self.degree]
        return np.array(sorted(found, key=lambda each: (sum(each), each)), np.int64)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Place of each term by its exponents, -1 beyond the degree."""
        places = np.full((2 * self.degree + 1,) * 3, -1, np.int64)
        places[tuple(self.exponents.T)] = np.arange(len(self.exponents))
        return places

    @cached_property
    def _products(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """For each term, those that it may be multiplied with, and the places of the products."""
        targets = self._places[tuple((self.exponents[:, None] + self.exponents).transpose(2, 0, 1))]
        return [(np.flatnonzero(row >= 0), row[row >= 0]) for row in targets]

    def variables(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """x, y and z around points of shape (n, 3): shape (3, n, n_terms)."""
        result = np.zeros((3, len(points), len(self.exponents)))
        for axis, exponents in enumerate(np.eye(3, dtype=np.int64)):
            result[axis, :, 0] = points[:, axis]
            result[axis, :, self._places[tuple(exponents)]] = 1.0
        return result

    def multiply(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
        """Product, cut off; other axes are broadcast."""
        shape = np.broadcast_shapes(first.shape, second.shape)
        result = np.zeros(shape, np.result_type(first, second))
        for term, (others, targets) in enumerate(self._products):
            result[..., targets] += first[..., term : term + 1] * second[..., others]
        return result

    def power(self, base: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
        """Power of polynomials whose constant is positive."""
        constant = base[..., :1]
        rest = base / constant
        rest[..., 0] = 0.0
        result = np.zeros_like(base)
        for k in range(self.degree, -1, -1):
            result = self.multiply(rest, result)
            result[..., 0] += binom(exponent, k)
        return np.asarray(constant**exponent * result)

    def derivatives(self, polynomials: NDArray[np.float64], order: int) -> NDArray[np.float64]:
        """Distinct derivatives of one order: the last axis runs over the terms of that degree."""
        chosen = self.exponents.sum(axis=1) == order
        weights = [np.prod([factorial(n) for n in each]) for each in self.exponents[chosen].tolist()]
        return np.asarray(polynomials[..., chosen] * np.array(weights, np.float64))

    def tensor_places(self, order: int) -> NDArray[np.int64]:
        """Which of the distinct derivatives each element of the tensor of an order is, shape (3^order,)."""
        axes = np.array(list(product(range(3), repeat=order)), np.int64).reshape(-1, order)
        exponents = (axes[:, :, None] == np.arange(3)).sum(axis=1)
        lower = int((self.exponents.sum(axis=1) < order).sum())
        return np.asarray(self._places[tuple(exponents.T)] - lower)
