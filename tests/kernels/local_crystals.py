"""Crystals with a local part, and kernels of theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from polynomials import Torus

from mlff_dyn.kernels.gather import GatherTables, build_gather_tables
from mlff_dyn.kernels.harmonic import HarmonicTorus
from mlff_dyn.kernels.local_tables import LocalTerms
from mlff_dyn.kernels.polynomial import CellPolynomial
from mlff_dyn.local.basis import LocalSettings, build_local_basis

LATTICE = np.array([[4.1, 0.2, 0.0], [0.0, 4.4, 0.3], [0.1, 0.0, 4.0]])
POSITIONS = np.array([[0.1, 0.1, 0.0], [2.0, 2.1, 0.5], [2.2, 0.6, 2.1], [0.2, 2.3, 2.2]])
MARGIN = 0.8


@dataclass(frozen=True)
class LocalCrystal:
    """The first sites of a triclinic cell, on a sheared torus."""

    numbers: tuple[int, ...]
    shape: tuple[int, int, int]
    settings: LocalSettings
    n_sites: int = 4

    def terms(self, seed: int = 0, scale: float = 1.0) -> LocalTerms:
        numbers = np.array(self.numbers)
        positions = POSITIONS[: self.n_sites]
        basis = build_local_basis(
            LATTICE, positions, numbers, self.settings, largest_displacement=0.5 * MARGIN
        )
        values = np.random.default_rng(seed).normal(scale=scale, size=basis.n_functions)
        atoms = Torus(self.shape).atom_indices(basis.tables.slots)
        return LocalTerms(basis.tables, values, atoms, np.zeros((3, 3)))


CRYSTALS = {
    f"l {l_max}": LocalCrystal((1, 1, 8, 6), (2, 1, 3), LocalSettings(4.4, 3, l_max)) for l_max in range(7)
} | {
    "one cell": LocalCrystal((1, 1, 8, 6), (1, 1, 1), LocalSettings(4.4, 4, 3)),
    "one atom": LocalCrystal((14,), (1, 1, 1), LocalSettings(4.4, 4, 2), n_sites=1),
    "one site, many cells": LocalCrystal((14,), (3, 3, 4), LocalSettings(4.4, 9, 2), n_sites=1),
    "one kind": LocalCrystal((8, 8, 8, 8), (2, 3, 2), LocalSettings(4.4, 7, 3)),
    "whole lanes": LocalCrystal((8, 1, 8, 1), (1, 2, 4), LocalSettings(4.4, 8, 4, n_bodies=3)),
    "lone atoms": LocalCrystal((8, 1, 8, 1), (1, 1, 3), LocalSettings(1.9, 2, 1)),
    "no neighbors": LocalCrystal((8, 1, 8, 1), (1, 1, 3), LocalSettings(1.0, 2, 1)),
}


def no_tables(n_sites: int) -> GatherTables:
    """A lattice expansion without any term."""
    sites = np.array([[site, 0, 0, 0] for site in range(n_sites)], np.int32)
    return build_gather_tables(CellPolynomial(n_sites, sites, []))


def local_kernel(backend, terms: LocalTerms, precision="double", n_threads=1, *, stiffness=0.0):
    """The local part alone, or with every atom bound to its site by springs, eV/Å²."""
    n_sites, n_cells = terms.tables.n_sites, terms.neighbor_atoms.shape[1]
    slot_atoms = np.arange(terms.n_atoms, dtype=np.int32).reshape(n_sites, n_cells)
    options = {}
    if stiffness:
        blocks = np.zeros((3 * n_sites, 3 * n_sites, n_cells))
        blocks[:, :, 0] = stiffness * np.eye(3 * n_sites)
        options["harmonic"] = HarmonicTorus((1, 1, n_cells), blocks)
    tables = no_tables(n_sites)
    return backend.ForceKernel(tables, np.empty(0), slot_atoms, precision, n_threads, local=terms, **options)


def displacements_of(terms: LocalTerms, seed: int = 1, scale: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=(terms.n_atoms, 3))


def strained(terms: LocalTerms, strain: np.ndarray) -> LocalTerms:
    return replace(terms, strain=strain)
