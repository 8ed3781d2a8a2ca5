"""Forces of supercells that a fit has not seen, of real VASP data; symfc on the same ones as a measure."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import spglib
from ase.units import Bohr, Ry
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.crystal import Crystal, build_crystal
from mlff_dyn.lattice.matching import match_structure
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import LabelledFrame, labelled_frame
from tests.models import Cutoffs

Frames = tuple[NDArray[np.float64], NDArray[np.float64]]


def relative_error(errors: NDArray[np.float64], forces: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(errors) / np.linalg.norm(forces))


def held_out_error(
    crystal: Crystal, ideal: ase.Atoms, frames: Frames, n_training: int, cutoffs: Cutoffs
) -> float:
    """Relative error on the frames after the first n_training, of a fit to those."""
    basis = build_basis(crystal, cutoffs, input_supercell(crystal, (2, 2, 2)))
    expansion = Expansion(basis)
    rows: list[LabelledFrame] = []
    for u, forces in zip(*frames, strict=True):
        match = match_structure(crystal, ideal.cell.array, ideal.positions + u, ideal.numbers)
        rows.append(labelled_frame(expansion.on(match.torus), match.displacements, forces[match.atoms], None))
    mean = fit_force_field(basis, FitData(rows[:n_training])).posterior.mean
    errors = [row.forces - row.supercell.rows(row.displacements)[0] @ mean for row in rows[n_training:]]
    return relative_error(np.concatenate(errors), np.concatenate([row.forces for row in rows[n_training:]]))


def symfc_error(ideal: ase.Atoms, frames: Frames, n_training: int) -> float:
    symfc = pytest.importorskip("symfc")
    atoms = symfc.utils.utils.SymfcAtoms(
        cell=ideal.cell.array, scaled_positions=ideal.get_scaled_positions(), numbers=ideal.numbers
    )
    u, forces = frames
    fit = symfc.Symfc(atoms)
    fit.displacements, fit.forces = u[:n_training], forces[:n_training]
    fit.run(max_order=3, is_compact_fc=False)
    second, third = fit.force_constants[2], fit.force_constants[3]
    found = [
        -np.einsum("ijab,jb->ia", second, x) - 0.5 * np.einsum("ijkabc,jb,kc->ia", third, x, x, optimize=True)
        for x in u[n_training:]
    ]
    return relative_error(np.array(found) - forces[n_training:], forces[n_training:])


@pytest.mark.slow
def test_sodium_chloride_is_predicted_as_well_as_by_symfc(shared_data: Path) -> None:
    phono3py = pytest.importorskip("phono3py")
    loaded = phono3py.load(
        shared_data / "NaCl-vasp" / "phono3py_params_NaCl.yaml.xz", produce_fc=False, log_level=0
    )
    unit, cell = loaded.unitcell, loaded.supercell
    ideal = ase.Atoms(cell.symbols, positions=cell.positions, cell=cell.cell, pbc=True)
    forces = loaded.forces - loaded.forces.mean(axis=1, keepdims=True)
    frames = (np.asarray(loaded.displacements), forces)
    ours = held_out_error(
        build_crystal(unit.cell, unit.positions, unit.numbers), ideal, frames, 80, {2: "full", 3: "full"}
    )
    assert ours < 1.01 * symfc_error(ideal, frames, 80)


def test_every_order_lowers_the_error_of_barium_titanate(shared_data: Path) -> None:
    folder = shared_data / "BaTiO3-vasp"
    ideal = ase.io.read(folder / "POSCAR_ref_supercell", format="vasp")
    table = np.loadtxt(folder / "DFSET_AIMD_random").reshape(-1, len(ideal), 6)
    frames = (table[..., :3] * Bohr, table[..., 3:] * Ry / Bohr)
    lattice, positions, numbers = spglib.find_primitive(
        (ideal.cell.array, ideal.get_scaled_positions(), ideal.numbers), 1e-3
    )
    crystal = build_crystal(lattice, positions @ lattice, numbers)
    expansions: list[Cutoffs] = [
        {2: "full"},
        {2: "full", 3: 3.9},
        {2: "full", 3: 3.9, 4: 3.0},
        {2: "full", 3: 3.9, 4: 3.0, 5: 2.1, 6: 2.1},
    ]
    errors = [held_out_error(crystal, ideal, frames, 64, cutoffs) for cutoffs in expansions]
    assert all(np.diff(errors) < 0)
    assert errors[-1] < 0.5 * errors[1]
