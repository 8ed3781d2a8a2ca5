"""A stand-in for VASP: reads INCAR, KPOINTS, POSCAR and POTCAR, writes vasprun.xml, OUTCAR and CHGCAR.

Forces are those of a classical potential of ASE. It fails on demand: the variable STAND_IN_FAILURE has the
kind; with STAND_IN_ONCE, the path of a file, it fails only as long as that file does not exist. Every start
adds its directory to the file of STAND_IN_LOG.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.emt import parameters as emt_elements
from ase.calculators.lj import LennardJones
from ase.units import GPa

RECIPROCAL_DIGITS = 8
NELM_OF_VASP = 60
BOHR = 0.529177


def read_incar(path: Path) -> dict[str, str]:
    text = path.read_text().replace("\\\n", " ")
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {tag.strip(): value.strip() for tag, value in pairs}


def read_poscar(path: Path) -> Atoms:
    lines = path.read_text().splitlines()
    cell = float(lines[1]) * np.array([line.split() for line in lines[2:5]], dtype=float)
    symbols = [s for s, n in zip(lines[5].split(), lines[6].split(), strict=True) for _ in range(int(n))]
    if not lines[7].startswith("D"):
        sys.exit("only direct coordinates")
    scaled = np.array([line.split()[:3] for line in lines[8 : 8 + len(symbols)]], dtype=float)
    return Atoms(symbols, cell=cell, scaled_positions=scaled, pbc=True)


def check_files(incar: dict[str, str], atoms: Atoms) -> list[str]:
    """Stop as VASP does where the files do not fit; return the titles of the POTCAR."""
    for tag in incar:
        if tag in ("ENCUTT", "EDIF"):
            stop(f" Error reading item '{tag}' from file INCAR.")
    potcar = Path("POTCAR").read_text()
    titles = [line.split("=")[1].strip() for line in potcar.splitlines() if "TITEL" in line]
    kinds = list(dict.fromkeys(atoms.get_chemical_symbols()))
    if [title.split()[1].partition("_")[0] for title in titles] != kinds:
        stop(" ERROR: POSCAR and POTCAR are incompatible")
    grid = [int(word) for word in Path("KPOINTS").read_text().splitlines()[3].split()]
    if incar.get("ISMEAR") in ("-4", "-5") and np.prod(grid) < len("grid"):
        stop(" VERY BAD NEWS! internal error in subroutine IBZKPT:\n Tetrahedron method fails for NKPT<4")
    return titles


def stop(message: str) -> None:
    sys.stdout.write(message + "\n")
    sys.exit(1)


def forces_of(atoms: Atoms) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy, forces and stress (kB, positive under compression)."""
    is_metal = set(atoms.get_chemical_symbols()) <= set(emt_elements)
    atoms.calc = EMT() if is_metal else LennardJones(sigma=2.0, epsilon=0.1, rc=5.0, smooth=True)
    stress = -atoms.get_stress(voigt=False) / GPa * 10.0
    return atoms.get_potential_energy(), atoms.get_forces(), stress


def varray(name: str, rows: np.ndarray, indent: str) -> str:
    body = "".join(f"{indent} <v>" + "".join(f"{v:17.8f}" for v in row) + " </v>\n" for row in rows)
    return f'{indent}<varray name="{name}" >\n{body}{indent}</varray>\n'


def structure(atoms: Atoms, name: str | None, indent: str) -> str:
    attribute = f' name="{name}" ' if name else ""
    return (
        f"{indent}<structure{attribute}>\n{indent} <crystal>\n"
        + varray("basis", atoms.cell.array, indent + "  ")
        + f'{indent}  <i name="volume">{atoms.get_volume():20.8f} </i>\n'
        + varray("rec_basis", atoms.cell.reciprocal(), indent + "  ")
        + f"{indent} </crystal>\n"
        + varray("positions", atoms.get_scaled_positions(wrap=False), indent + " ")
        + f"{indent}</structure>\n"
    )


def energies(energy: float, indent: str) -> str:
    names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
    body = "".join(f'{indent} <i name="{name}">{energy:17.8f} </i>\n' for name in names)
    return f"{indent}<energy>\n{body}{indent}</energy>\n"


def typed(tag: str, value: str) -> str:
    words = value.split()
    if "*" in value:
        words = [str(number) for number in expanded(value)]
    if value in (".TRUE.", ".FALSE."):
        return f'<i type="logical" name="{tag}"> {value[1]}  </i>'
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return f'<i type="string" name="{tag}">{value}</i>'
    if len(numbers) > 1:
        return f'<v name="{tag}">' + "".join(f"{n:17.8f}" for n in numbers) + "</v>"
    is_integer = value.lstrip("-").isdecimal()
    return (
        f'<i type="int" name="{tag}">{int(value):6d}</i>'
        if is_integer and tag != "ENCUT"
        else f'<i name="{tag}">{numbers[0]:17.8f}</i>'
    )


def header(incar: dict[str, str], atoms: Atoms, titles: list[str]) -> str:
    """All of a vasprun.xml before its calculation."""
    grid = Path("KPOINTS").read_text().splitlines()[3]
    tags = "".join(f"  {typed(tag, value)}\n" for tag, value in incar.items())
    symbols = atoms.get_chemical_symbols()
    kinds = list(dict.fromkeys(symbols))
    ions = "".join(f"    <rc><c>{s:2s}</c><c>{kinds.index(s) + 1:4d}</c></rc>\n" for s in symbols)
    types = "".join(
        f"    <rc><c>{symbols.count(kind):4d}</c><c>{kind:2s}</c>"
        f"<c>{atoms.get_masses()[symbols.index(kind)]:16.8f}</c>"
        f"<c>{11.0:16.8f}</c><c>  {title:38s}</c></rc>\n"
        for kind, title in zip(kinds, titles, strict=True)
    )
    encut, ediff, nelm = float(incar["ENCUT"]), float(incar["EDIFF"]), int(incar.get("NELM", NELM_OF_VASP))
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator>
  <i name="program" type="string">vasp </i>
  <i name="version" type="string">6.4.1  </i>
  <i name="subversion" type="string">05Apr23 stand-in </i>
  <i name="platform" type="string">LinuxGNU </i>
  <i name="date" type="string">2024 01 02 </i>
  <i name="time" type="string">03:04:05 </i>
 </generator>
 <incar>
{tags} </incar>
 <kpoints>
  <generation param="Gamma">
   <v type="int" name="divisions">{" ".join(f"{int(word):8d}" for word in grid.split())} </v>
   <v name="usershift">      0.00000000       0.00000000       0.00000000 </v>
  </generation>
  <varray name="kpointlist" >
   <v>       0.00000000       0.00000000       0.00000000 </v>
  </varray>
  <varray name="weights" >
   <v>       1.00000000 </v>
  </varray>
 </kpoints>
 <parameters>
  <separator name="general" >
   <i type="string" name="SYSTEM">unknown system</i>
  </separator>
  <separator name="electronic" >
   <i type="string" name="PREC">accura</i>
   <i name="ENMAX">{encut:17.8f}</i>
   <i name="EDIFF">{ediff:17.10f}</i>
   <i type="int" name="ISPIN">{int(incar.get("ISPIN", 1)):6d}</i>
   <separator name="electronic smearing" >
    <i type="int" name="ISMEAR">{int(incar.get("ISMEAR", 1)):6d}</i>
    <i name="SIGMA">{float(incar.get("SIGMA", 0.2)):17.8f}</i>
   </separator>
   <separator name="electronic convergence" >
    <i type="int" name="NELM">{nelm:6d}</i>
   </separator>
  </separator>
  <separator name="ionic" >
   <i type="int" name="NSW">     0</i>
   <i type="int" name="IBRION">    -1</i>
   <i type="int" name="ISIF">     2</i>
  </separator>
 </parameters>
 <atominfo>
  <atoms>{len(atoms):8d} </atoms>
  <types>{len(kinds):8d} </types>
  <array name="atoms" >
   <dimension dim="1">ion</dimension>
   <field type="string">element</field>
   <field type="int">atomtype</field>
   <set>
{ions}   </set>
  </array>
  <array name="atomtypes" >
   <dimension dim="1">type</dimension>
   <field type="int">atomspertype</field>
   <field type="string">element</field>
   <field>mass</field>
   <field>valence</field>
   <field type="string">pseudopotential</field>
   <set>
{types}   </set>
  </array>
 </atominfo>
"""


def scf_steps(energy: float, n_steps: int, ediff: float) -> list[float]:
    """Energies of electronic steps that approach the last one."""
    return [energy + 0.001 * ediff * 10.0 ** (n_steps - step) for step in range(1, n_steps)] + [energy]


def vasprun(start: str, atoms: Atoms, steps: list[float], forces: np.ndarray, stress: np.ndarray) -> str:
    scf = "".join(
        '  <scstep>\n   <time name="dav">    0.01    0.01</time>\n'
        '   <time name="total">    0.01    0.01</time>\n'
        f"{energies(step, '   ')}  </scstep>\n"
        for step in steps
    )
    return (
        start
        + structure(atoms, "initialpos", " ")
        + f" <calculation>\n{scf}"
        + structure(atoms, None, "  ")
        + varray("forces", forces, "  ")
        + varray("stress", stress, "  ")
        + energies(steps[-1], "  ")
        + '  <time name="totalsc">    0.10    0.10</time>\n </calculation>\n'
        + structure(atoms, "finalpos", " ")
        + "</modeling>\n"
    )


def outcar(
    incar: dict[str, str], atoms: Atoms, titles: list[str], steps: list[float], *, is_converged: bool
) -> str:
    energy, forces, stress = forces_of(atoms)
    kinds = list(dict.fromkeys(atoms.get_chemical_symbols()))
    counts = "".join(f"{atoms.get_chemical_symbols().count(kind):4d}" for kind in kinds)
    lattice = "".join(
        "  " + "".join(f"{v:14.9f}" for v in (*row, *reciprocal)) + "\n"
        for row, reciprocal in zip(atoms.cell.array, atoms.cell.reciprocal(), strict=True)
    )
    rule = " " + "-" * 83
    voigt = "".join(f"{stress[i, j]:12.5f}" for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)))
    lines = [" vasp.6.4.1 05Apr23 (build Jan 02 2024 00:00:00) stand-in", ""]
    lines += [" executed on             LinuxGNU date 2024.01.02  03:04:05", ""]
    lines += [f" POTCAR:    {title}" for title in [*titles, *titles]]
    lines += [
        line
        for title, kind in zip(titles, kinds, strict=True)
        for line in (f"   VRHFIN ={kind}: stand-in", f"   TITEL  = {title}")
    ]
    lines += [f"   number of dos      NEDOS =    301   number of ions     NIONS ={len(atoms):7d}"]
    lines += [f"   ions per type =            {counts}", f"   ENCUT  = {float(incar['ENCUT']):6.1f} eV"]
    lines += [f"   NELM   = {incar.get('NELM', '60'):>6s};   NELMIN=  2; NELMDL= -5     # of ELM steps"]
    lines += [f"   EDIFF  = {float(incar['EDIFF']):.1E}   stopping-criterion for ELM"]
    for number, step in enumerate(steps, 1):
        lines += ["-" * 41 + f" Iteration    1({number:4d})  " + "-" * 39, ""]
        lines += [f"  free energy    TOTEN  = {step:18.8f} eV", ""]
    word = "EDIFF is reached" if is_converged else "EDIFF was not reached (unconverged)"
    lines += ["-" * 24 + f" aborting loop because {word} " + "-" * 40, ""]
    lines += magnetization(incar, atoms)
    lines += ["  FORCE on cell =-STRESS in cart. coord.  units (eV):"]
    lines += ["  Direction    XX          YY          ZZ          XY          YZ          ZX", rule]
    lines += [
        "  in kB   " + voigt,
        f"  external pressure = {np.trace(stress) / 3:11.2f} kB  Pullay stress =        0.00 kB",
        "",
    ]
    lines += [" VOLUME and BASIS-vectors are now :", rule, f"  volume of cell : {atoms.get_volume():11.2f}"]
    lines += ["      direct lattice vectors                 reciprocal lattice vectors", lattice]
    lines += [" POSITION                                       TOTAL-FORCE (eV/Angst)", rule]
    lines += [
        "".join(f"{v:13.5f}" for v in p) + "   " + "".join(f"{v:14.6f}" for v in f)
        for p, f in zip(atoms.positions, forces, strict=True)
    ]
    lines += [
        rule,
        "    total drift:                                0.000000      0.000000      0.000000",
        "",
    ]
    lines += ["  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", "  " + "-" * 51]
    lines += [f"  free  energy   TOTEN  = {energy:18.8f} eV", ""]
    lines += [f"  energy  without entropy= {energy:17.8f}  energy(sigma->0) = {energy:17.8f}", "", ""]
    lines += [" General timing and accounting informations for this job:", " " + "=" * 56, ""]
    lines += ["                  Total CPU time used (sec):        0.100", ""]
    return "\n".join(lines)


def magnetization(incar: dict[str, str], atoms: Atoms) -> list[str]:
    """Moments as they were asked for, where they are printed."""
    moments = expanded(incar.get("MAGMOM", ""))
    if incar.get("ISPIN") != "2" or len(moments) != len(atoms):
        return []
    head = [" magnetization (x)", " ", "# of ion       s       p       d       tot", "-" * 42]
    rows = [f"{i:5d}       0.000   0.000 {moment:7.3f} {moment:7.3f}" for i, moment in enumerate(moments, 1)]
    electrons = f" number of electron {11.0 * len(atoms):15.7f} magnetization {sum(moments):15.7f}"
    return [
        electrons,
        "",
        *head,
        *rows,
        "-" * 50,
        f"tot         0.000   0.000 {sum(moments):7.3f} {sum(moments):7.3f}",
        "",
    ]


def expanded(text: str) -> list[float]:
    """Numbers of a list with entries such as 4*0.5."""
    pairs = [word.rpartition("*")[::2] for word in text.split()]
    return [float(number) for count, number in pairs for _ in range(int(count or 1))]


def is_to_fail() -> str:
    once = os.environ.get("STAND_IN_ONCE")
    if once is not None:
        if Path(once).exists():
            return ""
        Path(once).touch()
    return os.environ.get("STAND_IN_FAILURE", "")


def main() -> None:
    log = os.environ.get("STAND_IN_LOG")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{Path.cwd().name} {Path(sys.argv[0]).name}\n")
    incar, atoms = read_incar(Path("INCAR")), read_poscar(Path("POSCAR"))
    titles = check_files(incar, atoms)
    failure = is_to_fail()
    messages = {
        "disk": " forrtl: No space left on device",
        "license": " ERROR: the license check failed",
        "eddav": " Error EDDDAV: Call to ZHEGV failed. Returncode = 8 1 8",
    }
    if failure in messages:
        Path("vasprun.xml").write_text(header(incar, atoms, titles)[:-100])
        stop(messages[failure])
    energy, forces, stress = forces_of(atoms)
    n_most = int(incar.get("NELM", NELM_OF_VASP))
    is_converged = failure != "unconverged" or incar.get("ALGO") == "All"
    steps = scf_steps(energy, min(9, n_most - 1) if is_converged else n_most, float(incar["EDIFF"]))
    if not is_converged:
        steps = [energy + 0.1 * (-1) ** number for number in range(n_most)]
    told = atoms.copy()
    if failure == "permuted":
        told = told[::-1]
    if failure == "units":
        told.set_cell(told.cell / BOHR, scale_atoms=True)
    text = vasprun(header(incar, told, titles), told, steps, forces, stress)
    if failure == "killed":
        Path("vasprun.xml").write_text(text[: len(text) * 2 // 3])
        os.kill(os.getpid(), signal.SIGKILL)
    Path("OUTCAR").write_text(outcar(incar, atoms, titles, steps, is_converged=is_converged))
    if incar.get("LCHARG", ".TRUE.") != ".FALSE.":
        Path("CHGCAR").write_text(f"density of {Path.cwd().name}\n")
    Path("vasprun.xml").write_text(text)
    sys.stdout.write(
        " DAV:   9    -0.1E+02   -0.1E-07   -0.1E-07   100   0.1E-03\n   1 F= -.1E+02 E0= -.1E+02\n"
    )


if __name__ == "__main__":
    main()
