"""Conversions agree with ASE's to the accuracy of the constants."""

import ase.units
import pytest

from mlff_dyn import units


@pytest.mark.parametrize(
    ("value", "oracle"),
    [
        (units.BOLTZMANN_EV_PER_K, ase.units.kB),
        (units.BOHR_ANGSTROM, ase.units.Bohr),
        (units.RYDBERG_EV, ase.units.Ry),
        (units.RYDBERG_PER_BOHR_EV_PER_ANGSTROM, ase.units.Ry / ase.units.Bohr),
        (units.RYDBERG_PER_BOHR3_EV_PER_ANGSTROM3, ase.units.Ry / ase.units.Bohr**3),
        (1.0 / units.EV_PER_ANGSTROM3_GPA, ase.units.GPa),
        (units.HBAR_EV_FS, ase.units._hbar * ase.units.J * 1e15),
        (units.AMU_ANGSTROM2_PER_FS2_EV, 1.0 / ase.units.fs**2),
    ],
)
def test_conversion(value: float, oracle: float) -> None:
    assert value == pytest.approx(oracle, rel=4.0e-7)
