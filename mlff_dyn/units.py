"""Constants and conversions, applied once, at the border.

Inside the package: Å, fs, amu, eV, K; force eV/Å, stress eV/Å³ (tension positive) in Voigt order
xx, yy, zz, yz, xz, xy.
A converter is a factor: ``value_in_ev = value_in_rydberg * RYDBERG_EV``.

The SI numbers are the CODATA 2022 adjustment (https://physics.nist.gov/constants);
those marked exact define the SI.
"""

from __future__ import annotations

from math import pi

ELEMENTARY_CHARGE_C = 1.602176634e-19
"""Elementary charge, C; exact. Also one eV in J."""

BOLTZMANN_J_PER_K = 1.380649e-23
"""Boltzmann constant, J/K; exact."""

PLANCK_J_S = 6.62607015e-34
"""Planck constant, J s; exact."""

ATOMIC_MASS_KG = 1.66053906892e-27
"""Unified atomic mass unit, kg."""

BOHR_ANGSTROM = 0.529177210544
"""Bohr radius, Å."""

HARTREE_EV = 27.211386245981
"""Hartree energy, eV."""

RYDBERG_EV = HARTREE_EV / 2.0
"""Rydberg energy, eV."""

BOLTZMANN_EV_PER_K = BOLTZMANN_J_PER_K / ELEMENTARY_CHARGE_C
"""Boltzmann constant, eV/K: 8.617333e-5."""

HBAR_EV_FS = PLANCK_J_S / (2.0 * pi * ELEMENTARY_CHARGE_C) * 1.0e15
"""Reduced Planck constant, eV fs: 0.6582120."""

AMU_ANGSTROM2_PER_FS2_EV = ATOMIC_MASS_KG * 1.0e10 / ELEMENTARY_CHARGE_C
"""1 amu Å²/fs² in eV: 103.642696."""

RYDBERG_PER_BOHR_EV_PER_ANGSTROM = RYDBERG_EV / BOHR_ANGSTROM
"""1 Ry/bohr in eV/Å: 25.711034."""

RYDBERG_PER_BOHR3_EV_PER_ANGSTROM3 = RYDBERG_EV / BOHR_ANGSTROM**3
"""1 Ry/bohr³ in eV/Å³: 91.815768."""

EV_PER_ANGSTROM3_GPA = ELEMENTARY_CHARGE_C * 1.0e21
"""1 eV/Å³ in GPa: 160.217663."""

FS_PER_PS = 1000.0
"""Femtoseconds in a picosecond."""


def format_kelvin(temperature_kelvin: float) -> str:
    """Write a temperature as short as it can be told from every other one.

    Examples
    --------
    >>> format_kelvin(300.0), format_kelvin(300.0001), format_kelvin(1234567.0)
    ('300', '300.0001', '1234567')
    """
    short = f"{temperature_kelvin:g}"
    return short if float(short) == temperature_kelvin else repr(float(temperature_kelvin)).removesuffix(".0")
