"""Small crystals, data and force fields that several folders of tests use."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalBasis, LocalSettings
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.model.force_field import ForceField, TrainingSummary
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.model.long_range import LongRange
from mlff_dyn.regression.fit.evidence import Hyperparameters
from mlff_dyn.regression.fit.noise import NoiseModel
from mlff_dyn.regression.fit.posterior import Posterior
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.workflows.snapshots import displaced_atoms

Cutoffs = Mapping[int, float | str | Mapping[int, float]]


def crystal_of(atoms: Atoms) -> Crystal:
    return build_crystal(
        atoms.cell.array,
        atoms.positions,
        atoms.numbers,
        atoms.get_masses(),
        magnetic_moments=atoms.arrays.get("initial_magmoms"),
    )


def copper() -> Atoms:
    """Conventional cell of fcc copper at the lattice constant of EMT."""
    return bulk("Cu", "fcc", a=3.59, cubic=True)


def emt_snapshot(atoms: Atoms) -> Snapshot:
    """Atoms with energy and forces of EMT."""
    atoms.calc = EMT()
    return labelled_snapshot(atoms)


def labelled_snapshot(atoms: Atoms) -> Snapshot:
    """Atoms with energy and forces of their calculator."""
    return Snapshot(
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        energy_ev=float(atoms.get_potential_energy()),
        forces_ev_per_angstrom=atoms.get_forces(),
    )


def emt_snapshots(supercell: tuple[int, int, int], sds: tuple[float, ...], seed: int = 1) -> list[Snapshot]:
    """Rattled copper supercells with energies and forces of EMT."""
    generator = np.random.default_rng(seed)
    snapshots = []
    for sd in sds:
        atoms = copper() * supercell
        atoms.positions += sd * generator.standard_normal(atoms.positions.shape)
        snapshots.append(emt_snapshot(atoms))
    return snapshots


def random_force_field(
    atoms: Atoms, supercell: tuple[int, int, int], cutoffs: Cutoffs, seed: int = 1
) -> tuple[ForceField, Torus]:
    """Force field of random parameters, eV/Å^order, and its training supercell."""
    crystal = crystal_of(atoms)
    torus = input_supercell(crystal, supercell)
    basis = build_basis(crystal, cutoffs, torus)
    mean = np.random.default_rng(seed).standard_normal(basis.n_parameters)
    return with_parameters(basis, mean), torus


def dipoles_of(crystal: Crystal, *, scalar: bool = False, seed: int = 3) -> LongRange:
    """Random charges (all axes alike if scalar) and dielectric tensor with the symmetry of the crystal."""
    generator = np.random.default_rng(seed)
    rotations = crystal.cartesian_rotations
    raw = generator.standard_normal((crystal.n_sites, 3, 3)) + 2.0 * np.eye(3)
    raw *= np.where(crystal.numbers == crystal.numbers[0], 1.0, -1.0)[:, None, None]
    if scalar:
        raw = raw[:, :1, :1] * np.eye(3)
    charges = np.zeros_like(raw)
    for rotation, images in zip(rotations, crystal.site_map, strict=True):
        charges[images] += rotation @ raw @ rotation.T / len(rotations)
    tensor = generator.standard_normal((3, 3))
    tensor = 3.0 * np.eye(3) + 0.3 * (tensor + tensor.T)
    dielectric = np.einsum("gab,bc,gdc->ad", rotations, tensor, rotations) / len(rotations)
    return LongRange(charges - charges.mean(axis=0), 0.5 * (dielectric + dielectric.T), 0.2, 14.4)


def with_parameters(
    basis: ForceConstantBasis, mean: NDArray[np.float64], local: LocalBasis | None = None
) -> ForceField:
    """Force field of given parameters that knows them well."""
    n_parameters = len(mean)
    posterior = Posterior(
        mean=mean,
        covariance_factor=1e-3 * np.eye(n_parameters),
        hyperparameters=Hyperparameters(NoiseModel(1e-3), np.zeros(2 * len(basis.orders))),
        log_evidence=0.0,
        n_targets=10 * n_parameters,
    )
    return ForceField(basis, posterior, 1.0, TrainingSummary(5, 0.1, 0.5, 1.0, 0.0, 0.0, -3.0), local=local)


def with_local_part(
    force_field: ForceField, settings: LocalSettings, seed: int = 5, *, training: Torus | None = None
) -> ForceField:
    """The force field with a local part of random values, eV, beside it."""
    local = local_basis(force_field.basis.crystal, settings, training=training)
    values = np.random.default_rng(seed).standard_normal(local.n_functions)
    known = with_parameters(force_field.basis, np.append(force_field.posterior.mean, values), local)
    return replace(known, long_range=force_field.long_range)


def fitted_to_harmonic(
    basis: ForceConstantBasis,
    torus: Torus,
    hessian: NDArray[np.float64],
    n_snapshots: int = 4,
    long_range: LongRange | None = None,
) -> ForceField:
    """Fit to noise-free forces -hessian @ u; hessian of shape (3 n_atoms, 3 n_atoms)."""
    generator = np.random.default_rng(5)
    supercell = Expansion(basis, long_range).on(torus)
    rows = []
    for _ in range(n_snapshots):
        u = 0.02 * generator.standard_normal((torus.n_atoms, 3))
        u -= u.mean(axis=0)
        rows.append(labelled_frame(supercell, u, -(hessian @ u.ravel()).reshape(-1, 3), None))
    return fit_force_field(basis, FitData(rows))


def spring_hessian(torus: Torus, stiffness: Mapping[float, tuple[float, float]]) -> NDArray[np.float64]:
    """Second derivatives of springs: (longitudinal, transverse) constants, eV/Å², per bond length in Å."""
    atoms = displaced_atoms(torus, np.zeros((torus.n_atoms, 3)))
    vectors = atoms.get_all_distances(mic=True, vector=True)
    hessian = np.zeros((torus.n_atoms, 3, torus.n_atoms, 3))
    for length, (along, across) in stiffness.items():
        for i, j in np.argwhere(np.abs(np.linalg.norm(vectors, axis=-1) - length) < 1e-3):
            unit = vectors[i, j] / length
            block = along * np.outer(unit, unit) + across * (np.eye(3) - np.outer(unit, unit))
            hessian[i, :, j] -= block
            hessian[i, :, i] += block
    return hessian.reshape(3 * torus.n_atoms, -1)
