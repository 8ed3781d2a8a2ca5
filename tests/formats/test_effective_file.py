"""Effective force constants on disk: read back as they were, and by phonopy as its own."""

from dataclasses import fields

import numpy as np
import pytest
from phonopy.file_IO import read_force_constants_hdf5

from mlff_dyn.errors import DataError
from mlff_dyn.formats.effective_file import (
    EffectiveForceConstants,
    effective_name,
    read_effective,
    write_effective,
)


@pytest.fixture
def found():
    generator = np.random.default_rng(1)
    return EffectiveForceConstants(
        kind="self-consistent",
        statistics="quantum",
        temperature_kelvin=300.0,
        supercell=2 * np.eye(3, dtype=np.int64),
        p2s_map=np.array([0, 8]),
        force_constants=generator.standard_normal((2, 16, 3, 3)),
        of_data=generator.standard_normal((4, 2, 16, 3, 3)),
        of_monte_carlo=generator.standard_normal((5, 2, 16, 3, 3)),
        calibration=1.5,
        seed=7,
        mean_displacements=np.zeros((2, 3)),
        n_configurations=128,
        error_relative=0.01,
        is_converged=True,
        energies=np.array([-0.1, 0.01, 0.02]),
        inputs="digest",
        model="another digest",
    )


def test_it_is_read_back_as_it_was(found, tmp_path):
    path = tmp_path / effective_name(found.temperature_kelvin)
    assert path.name == "effective-300K.h5"
    write_effective(path, found)
    again = read_effective(path)
    for each in fields(found):
        np.testing.assert_array_equal(getattr(again, each.name), getattr(found, each.name))
        assert type(getattr(again, each.name)) is type(getattr(found, each.name))


def test_phonopy_reads_it_as_its_own(found, tmp_path):
    write_effective(tmp_path / "effective.h5", found)
    path = tmp_path / "effective.h5"
    read, unit = read_force_constants_hdf5(path, p2s_map=found.p2s_map, return_physical_unit=True)
    np.testing.assert_array_equal(read, found.force_constants)
    assert unit == "eV/angstrom^2"


def test_a_damaged_file_is_refused(found, tmp_path):
    path = tmp_path / "effective.h5"
    write_effective(path, found)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"effective\.h5 is damaged"):
        read_effective(path)
