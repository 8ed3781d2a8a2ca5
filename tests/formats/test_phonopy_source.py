"""Force constants read back from files of phonopy and phono3py."""

from pathlib import Path

import numpy as np
import phonopy
import pytest
from ase.build import bulk

from mlff_dyn.errors import DataError
from mlff_dyn.formats.phonopy_source import read_phono3py_tensors, read_phonopy_tensors
from mlff_dyn.formats.registry import FORMATS
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import input_supercell
from mlff_dyn.model.expansion import Expansion
from mlff_dyn.model.fitting.projection import TensorSource, project_forces
from tests.models import random_force_field

CUTOFFS = {2: "full", 3: 3.0}
SILICON = bulk("Si", cubic=True)


def test_phono3py_files_give_back_the_parameters(tmp_path: Path) -> None:
    pytest.importorskip("phono3py")
    force_field, torus = random_force_field(SILICON, (2, 2, 2), CUTOFFS)
    FORMATS["phono3py"](force_field, torus, tmp_path)
    found = sum(
        project_forces(force_field.expansion, TensorSource(tensor, torus))
        for tensor in read_phono3py_tensors(tmp_path / "phono3py_params.yaml")
    )
    np.testing.assert_allclose(found, force_field.posterior.mean, atol=1e-8)


def test_phonopy_files_give_back_the_harmonic_parameters(tmp_path: Path) -> None:
    force_field, torus = random_force_field(SILICON, (2, 2, 2), CUTOFFS)
    FORMATS["phonopy"](force_field, torus, tmp_path)
    (name,) = tmp_path.glob("*.yaml")
    (tensor,) = read_phonopy_tensors(name)
    found = project_forces(force_field.expansion, TensorSource(tensor, torus))
    here = force_field.basis.parameter_orders == 2
    np.testing.assert_allclose(found[here], force_field.posterior.mean[here], atol=1e-6)


def test_forces_beside_a_displacement_file_are_used(shared_data: Path) -> None:
    """Forces of NaCl (VASP): what phonopy makes of them predicts them to a few percent."""
    path = shared_data / "NaCl-vasp-harmonic" / "phonopy_disp.yaml"
    (tensor,) = read_phonopy_tensors(path)
    crystal = tensor.torus.crystal
    torus = input_supercell(crystal, [2, 2, 2])
    expansion = Expansion(build_basis(crystal, {2: "full"}, torus))
    source = TensorSource(tensor, torus)
    mean = project_forces(expansion, source)
    phonon = phonopy.load(path, force_sets_filename=path.parent / "FORCE_SETS", is_nac=False)
    kernel = expansion.on(source.torus).kernel(mean)
    for entry in phonon.dataset["first_atoms"]:
        atoms, _ = source.torus.match(phonon.supercell.positions)
        u = np.zeros((len(atoms), 3))
        u[atoms[entry["number"]]] = entry["displacement"]
        _, forces = kernel.energy_forces(u)
        assert np.linalg.norm(forces[atoms] - entry["forces"]) < 0.03 * np.linalg.norm(entry["forces"])


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    force_field, torus = random_force_field(SILICON, (2, 2, 2), CUTOFFS)
    FORMATS["phonopy"](force_field, torus, tmp_path)
    (path,) = tmp_path.glob("*.yaml")
    with pytest.raises(DataError, match="cannot read"):
        read_phonopy_tensors(tmp_path / "absent.yaml")
    for name in ("FORCE_CONSTANTS", "force_constants.hdf5"):
        (tmp_path / name).unlink(missing_ok=True)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("force_constants:")], encoding="utf-8")
    with pytest.raises(DataError, match="neither force constants nor forces"):
        read_phonopy_tensors(path)
    pytest.importorskip("phono3py")
    with pytest.raises(DataError, match=r"no fc3\.hdf5"):
        read_phono3py_tensors(path)
