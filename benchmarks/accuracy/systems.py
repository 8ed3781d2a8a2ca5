"""Crystals with a reference calculator: what is trained on what."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ase.build import bulk
from ase.io import read

from mlff_dyn.local.basis import LocalSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    Cutoffs = Mapping[int, float | str | Mapping[int, float]]

LOCAL = LocalSettings()
STRUCTURES = Path(__file__).parents[2] / "configs" / "structures"


@dataclass(frozen=True)
class System:
    """What is trained on what.

    Attributes
    ----------
    name : str
    needs : tuple of str                 modules or programs of the reference calculator
    supercell : tuple of int             or three rows of such
    cutoffs : mapping                    Å by order, where force constants are all there is
    local_cutoffs : mapping              Å by order, beside a local part
    timestep_femtoseconds : float
    temperatures_kelvin : tuple          the first is that of the training
    is_cheap : bool                      frames come from dynamics on the reference, else on a force field
    training_counts : tuple of int
    n_more : int                         further frames at the first temperature to choose from
    larger_cutoffs : tuple of mapping    expansions that hold the one of ``cutoffs``
    local : LocalSettings
    n_test : int                         frames at the first temperature that are never trained on
    repeats : int                        choices of the training frames, at most
    longest_pair_angstrom : float        of displaced pairs, in finite differences of order 3; None: all
    is_for_observables : bool            it is measured for error bars of observables alone
    """

    name: str
    needs: tuple[str, ...]
    make_atoms: Callable[[], Atoms]
    make_calculator: Callable[[], Calculator]
    supercell: tuple[int, int, int] | tuple[tuple[int, int, int], ...]
    cutoffs: Cutoffs
    local_cutoffs: Cutoffs
    timestep_femtoseconds: float
    temperatures_kelvin: tuple[float, ...]
    is_cheap: bool = True
    training_counts: tuple[int, ...] = (1, 2, 4, 8, 12)
    n_more: int = 20
    larger_cutoffs: tuple[Cutoffs, ...] = ()
    local: LocalSettings = LOCAL
    n_test: int = 8
    repeats: int = 5
    longest_pair_angstrom: float | None = None
    is_for_observables: bool = False


def _copper() -> Atoms:
    return bulk("Cu", "fcc", a=3.59, cubic=True)


def _emt() -> Calculator:
    from ase.calculators.emt import EMT

    return EMT()


def _silicon() -> Atoms:
    return bulk("Si", "diamond", 5.432, cubic=True)


def _stillinger_weber() -> Calculator:
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import StillingerWeber, stillinger_weber

    return Manybody(**StillingerWeber(stillinger_weber.Stillinger_Weber_PRB_31_5262_Si))


def _tersoff() -> Calculator:
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import TersoffBrenner, tersoff_brenner

    return Manybody(**TersoffBrenner(tersoff_brenner.Tersoff_PRB_39_5566_Si_C))


def _pwx_silicon() -> Atoms:
    return read(STRUCTURES / "Si.vasp")


def _pwx() -> Calculator:
    from ase.calculators.espresso import Espresso, EspressoProfile

    return Espresso(
        profile=EspressoProfile(command="pw.x", pseudo_dir="/usr/share/espresso/pseudo"),
        directory=tempfile.mkdtemp(),
        pseudopotentials={"Si": "Si.pz-vbc.UPF"},
        input_data={"system": {"ecutwfc": 20}, "electrons": {"conv_thr": 1e-9}, "control": {"tprnfor": True}},
        kpts=None,
    )


def _boron_arsenide() -> Atoms:
    return read(STRUCTURES / "BAs-gfn1.vasp")


def _zincblende() -> Atoms:
    return bulk("BAs", "zincblende", 4.8157, cubic=True)


def _sodium_chloride() -> Atoms:
    return bulk("NaCl", "rocksalt", 5.457, cubic=True)


def _magnesium_oxide() -> Atoms:
    return bulk("MgO", "rocksalt", 4.2547, cubic=True)


def _gfn1() -> Calculator:
    from tblite.ase import TBLite

    return TBLite(method="GFN1-xTB", verbosity=0)


@cache
def _sevennet() -> Calculator:
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator("7net-0", device="cpu")


TERSOFF = System(
    "Si Tersoff",
    ("matscipy",),
    _silicon,
    _tersoff,
    (2, 2, 2),
    {2: "full", 3: 4.55, 4: 3.9},
    {2: "full", 3: 4.55},
    2.0,
    (300, 600, 900),
)
SYSTEMS = (
    System(
        "Cu EMT 2-3",
        (),
        _copper,
        _emt,
        (3, 3, 3),
        {2: "full", 3: 4.0},
        {2: "full", 3: 3.7},
        4.0,
        (600, 300, 900),
    ),
    System(
        "Cu EMT 2-4",
        (),
        _copper,
        _emt,
        (3, 3, 3),
        {2: "full", 3: 4.0, 4: 3.0},
        {2: "full", 3: 3.7},
        4.0,
        (600, 300, 900),
    ),
    System(
        "Si Stillinger-Weber",
        ("matscipy",),
        _silicon,
        _stillinger_weber,
        (2, 2, 2),
        {2: "full", 3: 4.55, 4: 3.9},
        {2: "full", 3: 4.55},
        2.0,
        (300, 450, 600, 900),
    ),
    TERSOFF,
    System(
        "Si pw.x",
        ("pw.x",),
        _pwx_silicon,
        _pwx,
        (2, 2, 2),
        {2: "full", 3: 4.55, 4: 3.9},
        {2: "full", 3: 4.55},
        2.0,
        (300, 450, 600, 900),
        is_cheap=False,
        n_more=0,
    ),
    System(
        "c-BAs GFN1",
        ("tblite",),
        _boron_arsenide,
        _gfn1,
        (2, 2, 2),
        {2: "full", 3: 4.0, 4: 3.4},
        {2: "full", 3: 4.0},
        2.0,
        (300, 450, 600, 900),
        is_cheap=False,
        n_more=8,
        longest_pair_angstrom=3.5,
    ),
    System(
        "NaCl GFN1",
        ("tblite",),
        _sodium_chloride,
        _gfn1,
        ((-1, 1, 1), (1, -1, 1), (1, 1, -1)),
        {2: "full", 3: 4.7, 4: 3.9},
        {2: "full", 3: 4.7},
        2.0,
        (300,),
        is_cheap=False,
        is_for_observables=True,
    ),
    System(
        "MgO SevenNet-0",
        ("sevenn",),
        _magnesium_oxide,
        _sevennet,
        (2, 2, 2),
        {2: "full", 3: 4.1, 4: 3.1},
        {2: "full", 3: 4.1},
        2.0,
        (300,),
        is_cheap=False,
        is_for_observables=True,
    ),
    System(
        "BAs SevenNet-0",
        ("sevenn",),
        _zincblende,
        _sevennet,
        (2, 2, 2),
        {2: "full", 3: 4.1, 4: 3.6},
        {2: "full", 3: 4.1},
        2.0,
        (300,),
        is_cheap=False,
        is_for_observables=True,
    ),
)
CHEAP_FOR_TERSOFF = "Si Stillinger-Weber"


def is_installed(name: str) -> bool:
    """Whether a module or a program of a reference calculator is there."""
    is_module = name.isidentifier() and importlib.util.find_spec(name) is not None
    return is_module or shutil.which(name) is not None
