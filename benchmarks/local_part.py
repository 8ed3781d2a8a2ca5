"""The local part of the energy: forces, rows, refits and dynamics, and how the cost grows with its size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from benchmarks.models import SNSE, displaced
from benchmarks.own import NAME, seconds_per_step
from benchmarks.report import Measurement
from benchmarks.timing import median_seconds, once
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.model.local_expansion import local_basis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.growth import Curve

SETTINGS = LocalSettings(n_bodies=3)
BESIDE = {2: "full", 3: 4.5}
SHORTEST = {2: 2.9}
"""Hardly more than nothing, for the time of the local part alone."""
TRAINING_SUPERCELL = (1, 3, 3)
SUPERCELLS = (TRAINING_SUPERCELL, (2, 3, 3), (2, 6, 6))
REFITS = {2: "about 900 parameters", SETTINGS.n_radial: "about 1300 parameters"}
_SPRING_ANGSTROM = 3.6
_SPRING_EV_PER_ANGSTROM2 = 1.0
LOCAL = "force call, local part"


@cache
def tin_selenide() -> Crystal:
    """SnSe, whose supercells come in input cells."""
    atoms = SNSE.atoms()
    return build_crystal(atoms.cell.array, atoms.positions, atoms.numbers)


def expansion(
    crystal: Crystal,
    cutoffs: dict[int, float | str],
    settings: LocalSettings,
    supercell: tuple[int, int, int],
) -> SupercellExpansion:
    """Force constants and a local part on a supercell; order 2 spans the training supercell."""
    training = input_supercell(crystal, TRAINING_SUPERCELL)
    of_both = Expansion(build_basis(crystal, cutoffs, training), local=local_basis(crystal, settings))
    return of_both.on(input_supercell(crystal, supercell))


def _force_seconds(place: SupercellExpansion, precision: str = "double") -> float:
    """CPU seconds of a force call, which do not depend on the parameters."""
    parameters = np.random.default_rng(0).normal(size=place.expansion.n_parameters)
    kernel = place.kernel(parameters, precision=precision)
    u = displaced(place.torus)
    return median_seconds(lambda: kernel.energy_forces(u), budget=0.5)


def measure_local() -> Iterator[Measurement]:
    """Forces of SnSe with a local part, rows of a frame, refits and dynamics."""
    for supercell in SUPERCELLS:
        whole = expansion(tin_selenide(), BESIDE, SETTINGS, supercell)
        alone = expansion(tin_selenide(), SHORTEST, SETTINGS, supercell)
        label = f"SnSe {whole.torus.n_atoms}"
        for precision, name in (("double", NAME), ("single", f"{NAME} f32")):
            yield Measurement(LOCAL, label, name, _force_seconds(alone, precision), "s")
            with_orders = "force call, orders 2-3 and local part"
            yield Measurement(with_orders, label, name, _force_seconds(whole, precision), "s")
    place = expansion(tin_selenide(), BESIDE, SETTINGS, TRAINING_SUPERCELL)
    label = f"SnSe {place.torus.n_atoms}"
    u = displaced(place.torus)
    seconds = median_seconds(lambda: place.rows(u))
    yield Measurement("rows of a frame, orders 2-3 and local part", label, NAME, seconds, "s")
    for n_radial, size in REFITS.items():
        settings = replace(SETTINGS, n_radial=n_radial)
        place = expansion(tin_selenide(), BESIDE, settings, TRAINING_SUPERCELL)
        quantity = f"refit after one more configuration, {size}, local part"
        yield Measurement(quantity, label, NAME, _refit_seconds(place), "s")
    yield from _measure_dynamics()


def _refit_seconds(place: SupercellExpansion, n_before: int = 14, n_refits: int = 7) -> float:
    """Median CPU seconds of adding a configuration and fitting again; labels are those of a random model."""
    rng = np.random.default_rng(3)
    sizes = 0.05 ** np.maximum(place.expansion.parameter_orders - 2, 0)
    parameters = rng.normal(size=place.expansion.n_parameters) * sizes
    frames = []
    for _ in range(n_before + n_refits):
        u = rng.normal(scale=0.1, size=(place.torus.n_atoms, 3))
        forces = (place.rows(u)[0] @ parameters).reshape(-1, 3)
        noise = rng.normal(scale=0.05 * np.sqrt(np.mean(forces**2)), size=forces.shape)
        frames.append(labelled_frame(place, u, forces + noise, None))
    known = FitData(frames[:n_before], grows=True)
    fit_force_field(place.basis, known)
    seconds = []
    for frame in frames[n_before:]:

        def refit(known: FitData = known, frame: object = frame) -> FitData:
            grown = known.extended([frame])
            fit_force_field(place.basis, grown)
            return grown

        seconds.append(once(refit))
        known = known.extended([frame])
    return float(np.median(seconds[2:]))


def _measure_dynamics(n_steps: int = 2000) -> Iterator[Measurement]:
    """NVE steps of a crystal of springs, which both parts are fitted to."""
    place = expansion(tin_selenide(), BESIDE, SETTINGS, TRAINING_SUPERCELL)
    rng = np.random.default_rng(4)
    frames = [
        labelled_frame(place, u, _spring_forces(place.torus, u), None)
        for u in rng.normal(scale=0.1, size=(8, place.torus.n_atoms, 3))
    ]
    fitted = fit_force_field(place.basis, FitData(frames)).posterior.mean
    for precision, name in (("double", NAME), ("single", f"{NAME} f32")):
        kernel = place.kernel(fitted, precision=precision)
        seconds = seconds_per_step(kernel, place.torus, 1, n_steps)
        label = f"SnSe {place.torus.n_atoms}"
        yield Measurement("NVE dynamics, a step, local part", label, name, seconds, "s")


def _spring_forces(torus: Torus, displacements: np.ndarray) -> np.ndarray:
    """Forces (eV/Å) of isotropic springs between neighbors."""
    bonded = np.zeros((torus.n_atoms, torus.n_atoms))
    crystal = Atoms(numbers=torus.numbers, positions=torus.positions, cell=torus.lattice, pbc=True)
    np.add.at(bonded, neighbor_list("ij", crystal, _SPRING_ANGSTROM), _SPRING_EV_PER_ANGSTROM2)
    return bonded @ displacements - bonded.sum(axis=1)[:, None] * displacements


def _per_atom(crystal: Crystal, settings: LocalSettings, supercell: tuple[int, int, int]) -> float:
    """Microseconds of the local part for an atom."""
    training = input_supercell(crystal, supercell)
    nothing = build_basis(crystal, SHORTEST, training)
    place = Expansion(nothing, local=local_basis(crystal, settings)).on(training)
    return 1e6 * _force_seconds(place) / place.torus.n_atoms


def _grow(label: str, name: str, values: list[float]) -> Curve:
    seconds = [_per_atom(tin_selenide(), replace(SETTINGS, **{name: v}), TRAINING_SUPERCELL) for v in values]
    return label, "local part, an atom of SnSe / us", values, seconds


def grow_with_radial() -> Curve:
    return _grow("n_radial", "n_radial", [2, 3, 5, 7, 10])


def grow_with_degrees() -> Curve:
    return _grow("l_max", "l_max", [1, 2, 3, 4, 6])


def grow_with_cutoff() -> Curve:
    return _grow("cutoff / Å", "cutoff_angstrom", [4.0, 5.0, 6.0, 7.0])


def grow_with_species() -> Curve:
    """One structure, diamond with the lattice constant of silicon, in more and more colors."""
    colors = {1: ["Si"], 2: ["Ga", "As"], 4: ["Ga", "In", "As", "P"]}
    seconds = []
    for names in colors.values():
        atoms = bulk("Si", "diamond", 5.431, cubic=True)
        n_kinds = len(names)
        symbols = ["Si"] * len(atoms)
        for k, position in enumerate(np.round(4 * atoms.get_scaled_positions()).astype(int)):
            of_sublattice = int(position.sum() % 2 != 0 or (position % 2).any())
            half = int(position[2] >= 2)
            symbols[k] = names[(of_sublattice * (n_kinds // 2) + half * (n_kinds > 2)) % n_kinds]
        colored = Atoms(symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
        crystal = build_crystal(colored.cell.array, colored.positions, colored.numbers)
        seconds.append(_per_atom(crystal, SETTINGS, (2, 2, 2)))
    return "species", "local part, an atom of diamond / us", [float(n) for n in colors], seconds


def grow_with_atoms() -> Curve:
    supercells = [(1, 2, 3), (1, 3, 3), (2, 3, 3), (2, 6, 6)]
    tori = [input_supercell(tin_selenide(), each).n_atoms for each in supercells]
    seconds = [
        1e-6 * n * _per_atom(tin_selenide(), SETTINGS, each) for n, each in zip(tori, supercells, strict=True)
    ]
    return "atoms", "local part of SnSe / s", [float(n) for n in tori], seconds


CURVES = (grow_with_atoms, grow_with_radial, grow_with_degrees, grow_with_cutoff, grow_with_species)
