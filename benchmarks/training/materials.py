"""What is trained: a system of the accuracy benchmarks, its engine as a configuration names it, its run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ase.build import bulk

from benchmarks.accuracy.systems import SYSTEMS, TERSOFF, System

if TYPE_CHECKING:
    from ase import Atoms

CRITERIA = ("trajectory", "paper", "per-step", "fixed", "random")
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
    limit : float                      of the relative force error
    interval_steps : int               of ``fixed`` and, in the mean, of ``random``
    n_test : int                       held-out frames at each temperature
    most : int                         calculations
    """

    system: System
    engine: dict[str, Any]
    n_steps: int
    limit: float
    interval_steps: int
    n_test: int = 50
    most: int = 40


def _aluminium() -> Atoms:
    return bulk("Al", "fcc", a=4.0, cubic=True)


_EMT = {"kind": "ase", "parameters": {"calculator": "ase.calculators.emt:EMT"}}
_COPPER = replace(_BY_NAME["Cu EMT 2-3"], name="Cu EMT", temperatures_kelvin=(600.0,))
_ALUMINIUM = replace(
    _COPPER, name="Al EMT", make_atoms=_aluminium, temperatures_kelvin=(300.0, 800.0), supercell=(2, 2, 2)
)
MATERIALS = (
    Material(
        replace(TERSOFF, temperatures_kelvin=(300.0, 900.0)),
        {"kind": "ase", "parameters": {"calculator": "benchmarks.training.calculators:Tersoff"}},
        n_steps=10000,
        limit=0.01,
        interval_steps=500,
    ),
    Material(_COPPER, _EMT, n_steps=10000, limit=0.01, interval_steps=500),
    Material(_ALUMINIUM, _EMT, n_steps=10000, limit=0.04, interval_steps=500),
    Material(
        replace(_BY_NAME["c-BAs GFN1"], temperatures_kelvin=(300.0,)),
        {
            "kind": "ase",
            "parameters": {"calculator": "tblite.ase:TBLite", "arguments": {"method": "GFN1-xTB"}},
            "profile": {"arguments": {"verbosity": 0}},
        },
        n_steps=10000,
        limit=0.0125,
        interval_steps=1000,
        n_test=20,
        most=16,
    ),
)
