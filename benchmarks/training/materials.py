"""What is trained: a system of the accuracy benchmarks, its engine as a configuration names it, its run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ase import Atoms
from ase.build import bulk
from ase.io import read

from benchmarks.accuracy.systems import STRUCTURES, SYSTEMS, TERSOFF, System
from benchmarks.training.double_well import DoubleWell
from mlff_dyn.local.basis import LocalSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase.calculators.calculator import Calculator

_BY_NAME = {system.name: system for system in SYSTEMS}


@dataclass(frozen=True)
class Material:
    """A crystal and its training.

    Attributes
    ----------
    system : System
        Cell, reference calculator, expansion beside the local part, temperatures of the training.
    engine : mapping                   section ``engine`` of the configuration
    n_steps : int                      of exploring dynamics at a temperature
    n_test, n_plateau : int
        Frames at each temperature that are never trained on, and of those whose fit is the plateau.
    most : int                         calculations
    seeds : mapping                    most trainings of a criterion that spends much time
    published_cutoffs : mapping        Å by order, of the published model; None: it is not trained
    published_steps : int              of its trajectory at a temperature
    sampling_limit : float
        Relative force error of a training of its own, whose dynamics the held-out frames are of; None: they
        are of dynamics as in the accuracy benchmarks.
    """

    system: System
    engine: Mapping[str, Any]
    n_steps: int = 1000
    n_test: int = 30
    n_plateau: int = 24
    most: int = 24
    seeds: Mapping[str, int] = field(default_factory=dict)
    published_cutoffs: Mapping[int, float | str] | None = None
    published_steps: int = 1000
    sampling_limit: float | None = None

    def most_seeds(self, criterion: str) -> float:
        """How often it is trained by a criterion at most."""
        if criterion == "published" and self.published_cutoffs is None:
            return 0
        return self.seeds.get(criterion, math.inf)

    @property
    def interval_steps(self) -> int:
        """Steps between the calls of ``fixed`` and, in the mean, of ``random``."""
        return self.n_steps // 15


def _aluminium() -> Atoms:
    return bulk("Al", "fcc", a=4.0, cubic=True)


def _cubic_ab() -> Atoms:
    return Atoms("BaTi", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[4.0, 4.0, 4.0], pbc=True)


def _tin_selenide() -> Atoms:
    return read(STRUCTURES / "SnSe-Pnma-sevennet.vasp")


def _sevennet() -> Calculator:
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(**_SEVENNET)


_SEVENNET = {"model": "7net-l3i5", "device": "cpu"}
_EMT = {"kind": "ase", "parameters": {"calculator": "ase.calculators.emt:EMT"}}
_COPPER = replace(
    _BY_NAME["Cu EMT 2-3"],
    name="Cu EMT",
    temperatures_kelvin=(600.0,),
    supercell=(2, 2, 2),
    cutoffs={2: "full", 3: 3.5},
    local_cutoffs={2: "full", 3: 3.5},
)
_ALUMINIUM = replace(
    _COPPER,
    name="Al EMT",
    make_atoms=_aluminium,
    temperatures_kelvin=(300.0, 800.0),
    cutoffs={2: "full", 3: 3.7},
    local_cutoffs={2: "full", 3: 3.7},
)
_DOUBLE_WELL = replace(
    _COPPER,
    name="double well",
    make_atoms=_cubic_ab,
    make_calculator=DoubleWell,
    supercell=(3, 3, 3),
    cutoffs={2: "full", 3: 4.1, 4: 3.6},
    local_cutoffs={2: "full", 3: 4.1, 4: 3.6},
    timestep_femtoseconds=2.0,
    temperatures_kelvin=(300.0,),
)
_TIN_SELENIDE = System(
    name="SnSe SevenNet",
    needs=("sevenn",),
    make_atoms=_tin_selenide,
    make_calculator=_sevennet,
    supercell=(1, 3, 3),
    cutoffs={2: "full", 3: 4.5, 4: 3.6},
    local_cutoffs={2: "full"},
    local=LocalSettings(cutoff_angstrom=4.5, n_radial=4, l_max=2),
    timestep_femtoseconds=2.0,
    temperatures_kelvin=(300.0,),
    is_cheap=False,
)
MATERIALS = (
    Material(_ALUMINIUM, _EMT, n_test=50, most=30),
    Material(_COPPER, _EMT),
    Material(
        _DOUBLE_WELL,
        {"kind": "ase", "parameters": {"calculator": "benchmarks.training.double_well:DoubleWell"}},
        n_test=50,
        most=30,
    ),
    Material(
        replace(TERSOFF, temperatures_kelvin=(300.0, 600.0), is_cheap=False),
        {"kind": "ase", "parameters": {"calculator": "benchmarks.training.calculators:Tersoff"}},
        published_cutoffs={2: "full", 3: 4.55, 4: 3.9, 5: 2.5, 6: 2.5},
    ),
    Material(
        replace(_BY_NAME["c-BAs GFN1"], temperatures_kelvin=(300.0, 600.0)),
        {
            "kind": "ase",
            "parameters": {"calculator": "tblite.ase:TBLite", "arguments": {"method": "GFN1-xTB"}},
            "profile": {"arguments": {"verbosity": 0}},
        },
        n_steps=500,
        n_test=20,
        n_plateau=12,
        most=20,
        published_cutoffs={2: "full", 3: 3.5, 4: 3.5, 5: 2.2, 6: 2.2},
        published_steps=500,
    ),
    Material(
        _TIN_SELENIDE,
        {
            "kind": "ase",
            "parameters": {"calculator": "sevenn.calculator:SevenNetCalculator", "arguments": _SEVENNET},
        },
        n_test=20,
        n_plateau=16,
        published_cutoffs={2: "full", 3: 4.5, 4: 3.6, 5: 2.95, 6: 2.95},
        sampling_limit=0.1,
    ),
)
