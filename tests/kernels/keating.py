"""Crystals whose energy is an exact polynomial that no rotation changes, with closed forms under strain.

Bonds s_b (r_ij . r_ij - R_ij . R_ij)^power and angles s_a (r_ij . r_ik - R_ij . R_ik)^2, after Keating, Phys.
Rev. 145, 637 (1966); no stress and no forces at rest. With another `scale` of R_ij . R_ik there are both.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.kernels.polynomial import CellPolynomial, OrderTerms

if TYPE_CHECKING:
    from numpy.typing import NDArray

Atom = tuple[int, int, int, int]
Sum = dict[tuple[tuple[Atom, int], ...], float]


@dataclass(frozen=True)
class KeatingCrystal:
    """Lattice and sites (Å), and terms (strength, center, first end, second end, power) of the energy.

    The energy is measured from that at rest.
    """

    lattice: NDArray[np.float64]
    sites: NDArray[np.float64]
    terms: tuple[tuple[float, Atom, Atom, Atom, int], ...]
    scale: float = 1.0

    def energy(self, torus, u: NDArray[np.float64], strain: NDArray[np.float64]) -> float:
        """Energy of a torus with sites at (1 + strain) R."""
        total = 0.0
        for strength, center, first, second, power in self.terms:
            atoms = torus.atom_indices(np.array([center, first, second]))
            vectors = [self.position(end) - self.position(center) for end in (first, second)]
            one, two = (
                v + strain @ v + u[atoms[k]] - u[atoms[0]] for k, v in zip((1, 2), vectors, strict=True)
            )
            wanted = self.scale * float(vectors[0] @ vectors[1])
            at_rest = (float(vectors[0] @ vectors[1]) - wanted) ** power
            total += strength * float((((one * two).sum(axis=1) - wanted) ** power - at_rest).sum())
        return total

    def position(self, atom: Atom) -> NDArray[np.float64]:
        """Site of an atom."""
        return self.sites[atom[0]] + np.array(atom[1:]) @ self.lattice

    def polynomial(self) -> CellPolynomial:
        """Expand; each order has one parameter, which is 1."""
        total: Sum = {}
        for strength, center, first, second, power in self.terms:
            product: Sum = {}
            vectors = [self.position(end) - self.position(center) for end in (first, second)]
            for axis in range(3):
                factors = [
                    {(): v[axis], ((end, axis),): 1.0, ((center, axis),): -1.0}
                    for v, end in zip(vectors, (first, second), strict=True)
                ]
                product = add(product, multiply(*factors))
            product[()] = (1.0 - self.scale) * float(vectors[0] @ vectors[1])
            result = product
            for _ in range(power - 1):
                result = multiply(result, product)
            total = add(total, {key: strength * value for key, value in result.items()})
        return collect(total, len(self.sites))


def add(one: Sum, two: Sum) -> Sum:
    result = dict(one)
    for key, value in two.items():
        result[key] = result.get(key, 0.0) + value
    return result


def multiply(one: Sum, two: Sum) -> Sum:
    result: defaultdict[tuple[tuple[Atom, int], ...], float] = defaultdict(float)
    for key, value in one.items():
        for other, factor in two.items():
            result[tuple(sorted(key + other))] += value * factor
    return dict(result)


def collect(total: Sum, n_sites: int) -> CellPolynomial:
    atoms = sorted({atom for key in total for atom, _ in key})
    place = {atom: k for k, atom in enumerate(atoms)}
    by_order: defaultdict[int, dict[tuple[int, ...], float]] = defaultdict(dict)
    for key, value in total.items():
        if key and abs(value) > 1e-14:
            by_order[len(key)][tuple(sorted(3 * place[atom] + axis for atom, axis in key))] = value
    terms = []
    for order in sorted(by_order):
        rows = sorted(by_order[order])
        terms.append(
            OrderTerms(
                order=order,
                monomials=np.array(rows),
                indptr=np.arange(len(rows) + 1),
                indices=np.zeros(len(rows)),
                data=np.array([by_order[order][row] for row in rows]),
                n_parameters=1,
            )
        )
    return CellPolynomial(n_sites, np.array(atoms, dtype=np.int32), tuple(terms))


def diamond() -> KeatingCrystal:
    """Keating's silicon: bonds and tetrahedral angles."""
    lattice = 2.715 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    sites = np.array([[0.0, 0.0, 0.0], [1.3575, 1.3575, 1.3575]])
    ends = {
        (0, 0, 0, 0): [(1, 0, 0, 0), (1, -1, 0, 0), (1, 0, -1, 0), (1, 0, 0, -1)],
        (1, 0, 0, 0): [(0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)],
    }
    terms = [(0.15, (0, 0, 0, 0), end, end, 2) for end in ends[0, 0, 0, 0]]
    for center, around in ends.items():
        terms += [(0.04, center, around[i], around[j], 2) for i in range(4) for j in range(i)]
    return KeatingCrystal(lattice, sites, tuple(terms))


def triclinic(powers: tuple[int, ...] = (2,), seed: int = 0) -> KeatingCrystal:
    """Three atoms without any symmetry, random bonds and angles."""
    generator = np.random.default_rng(seed)
    lattice = np.array([[3.1, 0.1, 0.2], [0.7, 3.6, 0.3], [-0.4, 0.5, 4.1]])
    sites = np.array([[0.1, 0.2, 0.3], [0.55, 0.6, 0.2], [0.8, 0.9, 0.75]]) @ lattice
    terms = []
    for site in range(3):
        ends = [(other, *generator.integers(-1, 2, size=3).tolist()) for other in (0, 1, 2, 0, 1, 2)]
        ends = [end for end in ends if end != (site, 0, 0, 0)]
        for power in powers:
            terms += [(generator.uniform(0.02, 0.1) / 4.0**power, (site, 0, 0, 0), e, e, power) for e in ends]
        pairs = [(ends[k], ends[k + 1]) for k in range(len(ends) - 1)]
        terms += [(generator.uniform(0.01, 0.03), (site, 0, 0, 0), *pair, 2) for pair in pairs]
    return KeatingCrystal(lattice, sites, tuple(terms))
