"""Thermal frames of a system, labelled by its reference calculator and kept in a folder."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.units import fs

from mlff_dyn.kernels.dynamics import Dynamics
from mlff_dyn.lattice.basis import ForceConstantBasis, build_basis
from mlff_dyn.lattice.crystal import build_crystal
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.md.start import displacement_limit, start_at_rest_positions
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import LabelledFrame, labelled_frame
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.store.dataset import Snapshot, read_snapshots, write_snapshots
from mlff_dyn.training.initial import rattled_displacements
from mlff_dyn.workflows.snapshots import displaced_atoms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ase import Atoms

    from benchmarks.accuracy.systems import System
    from mlff_dyn.kernels.dynamics import MdKernel

_RATTLED = 4
_RATTLE_ANGSTROM = 0.05
_EQUILIBRATION_FEMTOSECONDS = 1500.0
_INTERVAL_FEMTOSECONDS = 250.0


def labelled_snapshot(atoms: Atoms) -> Snapshot:
    """Positions with energy and forces of the calculator."""
    return Snapshot(
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        energy_ev=float(atoms.get_potential_energy()),
        forces_ev_per_angstrom=np.asarray(atoms.get_forces()),
    )


class Laboratory:
    """A system with its expansion and its labelled frames, which are kept in a folder.

    Parameters
    ----------
    system : System
    folder : Path
    sampler : callable, optional
        Force field on the training supercell whose dynamics the frames of a system are of that is not cheap.
    """

    def __init__(
        self, system: System, folder: Path, sampler: Callable[[Torus], MdKernel] | None = None
    ) -> None:
        self.system = system
        self._given_sampler = sampler
        self._folder = folder
        atoms = system.make_atoms()
        self.atoms = atoms
        self.crystal = build_crystal(atoms.cell.array, atoms.positions, atoms.numbers)
        self.torus: Torus = input_supercell(self.crystal, system.supercell)

    def sampled_by_a_force_field(self) -> Laboratory:
        """The same system with frames from dynamics of a force field, where many are needed."""
        return Laboratory(dataclasses.replace(self.system, is_cheap=False), self._folder / "sampled")

    @cached_property
    def basis(self) -> ForceConstantBasis:
        """Basis of the system's cutoffs."""
        return build_basis(self.crystal, self.system.cutoffs, self.torus)

    @cached_property
    def supercell(self) -> SupercellExpansion:
        """The force constants alone on the training supercell."""
        return Expansion(self.basis).on(self.torus)

    @cached_property
    def supercell_with_local(self) -> SupercellExpansion:
        """Force constants of lower order and a local part on the training supercell."""
        basis = build_basis(self.crystal, self.system.local_cutoffs, self.torus)
        return Expansion(basis, local=local_basis(self.crystal, self.system.local)).on(self.torus)

    def path(self, name: str) -> Path:
        """File of this system that is kept."""
        system = self.system.name.partition(" 2-")[0].replace(" ", "-")
        return self._folder / f"{system}-{name}"

    def frames(self, temperature_kelvin: float, count: int) -> list[LabelledFrame]:
        """Thermal frames with reference forces; the same ones at every call, made when first asked for."""
        path = self.path(f"{temperature_kelvin:g}K.extxyz")
        snapshots = list(read_snapshots(path)) if path.exists() else []
        if len(snapshots) < count:
            snapshots += [
                self._label(u)
                for u in self._thermal(temperature_kelvin, count - len(snapshots), len(snapshots))
            ]
            self._folder.mkdir(parents=True, exist_ok=True)
            write_snapshots(path, snapshots)
        return [self.labelled(snapshot) for snapshot in snapshots[:count]]

    def scaled_frames(self, temperature_kelvin: float, count: int, scale: float) -> list[LabelledFrame]:
        """The first of `frames` with so many times their displacements; kept like those."""
        path = self.path(f"{temperature_kelvin:g}K-times-{scale:g}.extxyz")
        snapshots = list(read_snapshots(path)) if path.exists() else []
        if len(snapshots) < count:
            thermal = self.frames(temperature_kelvin, count)[len(snapshots) :]
            snapshots += [self._label(scale * frame.displacements) for frame in thermal]
            write_snapshots(path, snapshots)
        return [self.labelled(snapshot) for snapshot in snapshots[:count]]

    def _thermal(self, temperature_kelvin: float, count: int, offset: int) -> np.ndarray:
        """Displacements of a trajectory after equilibration, shape (count, n_atoms, 3)."""
        seed = (round(temperature_kelvin), offset)
        every = round(_INTERVAL_FEMTOSECONDS / self.system.timestep_femtoseconds)
        first = round(_EQUILIBRATION_FEMTOSECONDS / _INTERVAL_FEMTOSECONDS)
        sample = self._run_reference if self.system.is_cheap else self._run_force_field
        return sample(temperature_kelvin, seed, every, first + count)[first:]

    def _run_reference(
        self, temperature_kelvin: float, seed: tuple[int, int], every: int, n_samples: int
    ) -> np.ndarray:
        start = start_at_rest_positions(self.torus.masses, temperature_kelvin, seed)
        atoms = displaced_atoms(self.torus, start.displacements)
        atoms.set_constraint(FixCom())
        atoms.set_velocities(start.velocities / fs)
        atoms.calc = self.system.make_calculator()
        dynamics = Langevin(
            atoms,
            self.system.timestep_femtoseconds * fs,
            temperature_K=temperature_kelvin,
            friction=0.01 / fs,
            fixcm=False,
            rng=np.random.default_rng(seed),
        )
        samples = []
        for _ in range(n_samples):
            dynamics.run(every)
            samples.append(atoms.positions - self.torus.positions)
        return np.array(samples)

    def _run_force_field(
        self, temperature_kelvin: float, seed: tuple[int, int], every: int, n_samples: int
    ) -> np.ndarray:
        dynamics = Dynamics(
            masses=self.torus.masses,
            timestep_fs=self.system.timestep_femtoseconds,
            friction_per_fs=0.01,
            temperature_kelvin=temperature_kelvin,
            displacement_limit=displacement_limit(self.crystal),
        )
        start = start_at_rest_positions(self.torus.masses, temperature_kelvin, seed)
        run = self._sampler(temperature_kelvin).run(start, dynamics, n_samples * every, every)
        if run.stopped_step is not None:
            kelvin = f"{temperature_kelvin:g} K"
            raise RuntimeError(f"{self.system.name}: dynamics at {kelvin} left the trusted region")
        return run.displacements

    def _sampler(self, temperature_kelvin: float) -> MdKernel:
        """Force field of rattled frames, and for higher temperatures of those of the training as well."""
        if self._given_sampler is not None:
            return self._given_sampler(self.torus)
        first, *_ = self.system.temperatures_kelvin
        thermal = self.frames(first, max(self.system.training_counts)) if temperature_kelvin > first else []
        return fit_force_field(self.basis, FitData([*self._rattled, *thermal])).on(self.torus).kernel

    @cached_property
    def _rattled(self) -> list[LabelledFrame]:
        seeds = range(_RATTLED)
        sds = _RATTLE_ANGSTROM * np.linspace(1.0, 2.5, _RATTLED)
        frames = [
            rattled_displacements(self.torus.n_atoms, float(sd), (k,))
            for k, sd in zip(seeds, sds, strict=True)
        ]
        return [self.calculate(u) for u in frames]

    def calculate(self, displacements: np.ndarray) -> LabelledFrame:
        """Label displacements (Å, shape (n_atoms, 3)) by the reference calculator."""
        return self.labelled(self._label(displacements))

    def _label(self, displacements: np.ndarray) -> Snapshot:
        atoms = displaced_atoms(self.torus, displacements)
        atoms.calc = self.system.make_calculator()
        return labelled_snapshot(atoms)

    def labelled(self, snapshot: Snapshot) -> LabelledFrame:
        """Turn a calculated structure into rows of the force constants."""
        match = match_structure(self.crystal, snapshot.cell, snapshot.positions, snapshot.numbers)
        forces = snapshot.forces_ev_per_angstrom[match.atoms]
        return labelled_frame(self.supercell, match.displacements, forces, snapshot.energy_ev)
