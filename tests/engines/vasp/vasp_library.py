"""A library of POTCARs with no more than the lines that are read of them, and the stand-in as a program."""

from __future__ import annotations

import sys
from pathlib import Path

STAND_IN = Path(__file__).with_name("stand_in_vasp.py")

POTENTIALS = {
    "Cu": ("Cu", 295.446, 221.585, 11.0, "22Jun2005"),
    "Cu_pv": ("Cu", 368.648, 276.486, 17.0, "06Sep2000"),
    "Al": ("Al", 240.3, 180.225, 3.0, "04Jan2001"),
    "Au": ("Au", 229.943, 172.457, 11.0, "04Oct2007"),
    "Ni": ("Ni", 269.532, 202.149, 10.0, "02Aug2007"),
    "O": ("O", 400.0, 300.0, 6.0, "08Apr2002"),
    "Sn_d": ("Sn", 241.083, 180.812, 14.0, "06Sep2000"),
}


def potcar(name: str, *, functional: str = "PE") -> str:
    """Return the lines of a data set that tell what it is."""
    element, enmax, enmin, n_valence, date = POTENTIALS[name]
    return f"""  PAW_PBE {name} {date}
   {n_valence:.14f}
 parameters from PSCTR are:
   VRHFIN ={element}: stand-in
   LEXCH  = {functional}
   EATOM  =  1390.9800 eV,  102.2342 Ry

   TITEL  = PAW_PBE {name} {date}
   LULTRA =        F    use ultrasoft PP ?
   POMASS =   63.546; ZVAL   =  {n_valence:7.3f}    mass and valenz
   ENMAX  =  {enmax:.3f}; ENMIN  =  {enmin:.3f} eV
 END of PSCTR-controll parameters
 End of Dataset
"""


def write_library(folder: Path, *, functional_folder: str = "potpaw_PBE") -> Path:
    """Write all of them as folders of a library."""
    for name in POTENTIALS:
        place = folder / functional_folder / name
        place.mkdir(parents=True)
        (place / "POTCAR").write_text(potcar(name))
    return folder


def write_programs(folder: Path) -> Path:
    """Write the stand-in under the names of the builds of VASP."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("vasp_std", "vasp_gam", "vasp_ncl"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
        program.chmod(0o755)
    return folder
