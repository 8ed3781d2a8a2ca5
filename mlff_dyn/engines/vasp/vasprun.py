"""Read vasprun.xml of VASP 4.6 to 6: every calculated step that is complete and converged.

Energies are the free energy F (``e_fr_energy``), of which the forces are the derivative; where no state is
partly occupied it is the energy for sigma -> 0 too. ``e_0_energy`` and ``e_wo_entrp`` of a step are not used:
some versions write zero or F there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from mlff_dyn.engines.vasp.moments import MomentsBeside
from mlff_dyn.engines.vasp.numbers import DAMAGED_FIX, read_number, read_rows, stress_of_kilobar
from mlff_dyn.engines.vasp.run_reader import read_run
from mlff_dyn.engines.vasp.vasprun_head import read_head
from mlff_dyn.engines.vasp.vasprun_scan import RawStep, RunHead, scan_vasprun
from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import LabelFormat, RefusedStep
from mlff_dyn.store.cut_sources import keeps_steps_before_damage
from mlff_dyn.store.dataset import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlff_dyn.engines.vasp.vasprun_head import VasprunHead
    from mlff_dyn.store.calculated_steps import ReadOptions
    from mlff_dyn.store.source import Source

_RECOGNIZED = re.compile(
    rb"<modeling>\s*<(generator|incar|kpoints|parameters|atominfo)>|<i name=\"program\"[^<>]*>\s*vasp",
    re.IGNORECASE,
)
_ROWS = re.compile(r"(<varray\b[^<>]*)>((?:\s*<v>[^<>]*</v>)+)\s*</varray>")
_SAME_ENERGY_EV = 1.0e-6
_SAME_VOLUME = 1.0e-5


@keeps_steps_before_damage
def read_vasprun(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    """Yield the chosen calculated steps, and what is to be said of the rest; see `read_run`."""

    def begin(first: RunHead | None) -> Callable[[RawStep], Snapshot]:
        head = read_head("" if first is None else first.text)
        return partial(_step, source, head, MomentsBeside(source) if head.is_polarized else None)

    yield from read_run(source, options.steps, scan_vasprun, RunHead, begin)


def _step(source: Source, head: VasprunHead, moments: MomentsBeside | None, raw: RawStep) -> Snapshot:
    if raw.damage is not None:
        raise DataError(f"not complete: {raw.damage}", fix=DAMAGED_FIX)
    try:
        root = _tree(raw.text)
    except ET.ParseError as error:
        raise DataError(f"damaged: {error}", fix=DAMAGED_FIX) from error
    snapshot = _snapshot(source, head, raw.number, root, _converged_energy(head, root))
    if moments is None:
        return snapshot
    found = moments.of_step(raw.number, snapshot.energy_ev, snapshot.n_atoms)
    return replace(snapshot, magnetic_moments=found)


def _tree(text: str) -> ET.Element:
    """Parse a step; rows of lists of vectors go past the parser, which is faster by far."""
    rows: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        rows.append(found[2])
        return f'{found[1]} rows="{len(rows) - 1}"/>'

    root = ET.fromstring(f"<calculation>{_ROWS.sub(put_aside, text)}</calculation>")  # noqa: S314 (no entities)
    for each in root.iter("varray"):
        each.text = rows[int(each.get("rows", ""))] if "rows" in each.attrib else ""
    return root


def _converged_energy(head: VasprunHead, root: ET.Element) -> float | None:
    """Return the energy of a converged step.

    With an outer pressure, pressure times volume may be added to it: the last electronic step has the energy
    then; None where something else is added too.
    """
    steps = root.findall("scstep")
    if not steps and head.is_learning:
        raise DataError(
            "predicted by a machine-learned force field, not calculated", fix="use the calculated steps"
        )
    energies = [_energy_of(step) for step in (_ground_state(steps) if head.has_response else steps)]
    head.limits.check(energies)
    total, last = _energy_of(root), energies[-1]
    if total is None or last is None:
        raise DataError("its energy is no number", fix=DAMAGED_FIX)
    if head.has_pressure:
        return None if head.adds_energy else last
    if not head.adds_energy and abs(total - last) > _SAME_ENERGY_EV:
        raise DataError(
            f"damaged: its energy {total:.8f} eV is not that of its last electronic step, {last:.8f} eV",
            fix=DAMAGED_FIX,
        )
    return total


def _ground_state(steps: list[ET.Element]) -> list[ET.Element]:
    """Leave out linear response: the first and the last step before it have all parts of the energy."""
    whole = [
        number for number, step in enumerate(steps) if step.find("energy/i[@name='eentropy']") is not None
    ]
    return steps[: whole[1] + 1] if len(whole) > 1 else steps


def _energy_of(parent: ET.Element) -> float | None:
    values = [each for part in parent.findall("energy") for each in part if each.get("name") == "e_fr_energy"]
    if len(values) != 1:
        raise DataError(f"{len(values)} free energies where there is one", fix=DAMAGED_FIX)
    try:
        return read_number((values[0].text or "").strip(), "energy")
    except DataError:
        return None


def _snapshot(
    source: Source, head: VasprunHead, number: int, root: ET.Element, energy: float | None
) -> Snapshot:
    n_atoms = len(head.numbers)
    structure = _only(root, "structure")
    cell = _table(_only(structure, "crystal/varray[@name='basis']"), "cell vectors", 3)
    fractional = _table(_only(structure, "varray[@name='positions']"), "positions", n_atoms)
    forces = _table(_only(root, "varray[@name='forces']"), "forces", n_atoms)
    stress = None
    if root.find("varray[@name='stress']") is not None:
        stress = stress_of_kilobar(_table(_only(root, "varray[@name='stress']"), "stress", 3))
    _check_cell(structure, cell)
    return Snapshot(
        numbers=head.numbers,
        positions=fractional @ cell,
        cell=cell,
        energy_ev=energy,
        forces_ev_per_angstrom=forces,
        stress_ev_per_angstrom3=stress,
        provenance=head.origin.provenance(source, number),
    )


def _check_cell(structure: ET.Element, cell: np.ndarray) -> None:
    """Hold the cell against its volume and its inverse, which are written too."""
    volume = structure.find("crystal/i[@name='volume']")
    if volume is not None:
        stated = read_number((volume.text or "").strip(), "volume")
        if abs(abs(np.linalg.det(cell)) - stated) > _SAME_VOLUME * abs(stated):
            raise DataError("its cell vectors contradict its volume", fix=DAMAGED_FIX)
    inverse = structure.find("crystal/varray[@name='rec_basis']")
    if inverse is not None:
        product = cell @ _table(inverse, "reciprocal vectors", 3).T
        if np.abs(product - np.eye(3)).max() > _SAME_VOLUME * np.abs(cell).max():
            raise DataError("its cell vectors contradict its reciprocal vectors", fix=DAMAGED_FIX)


def _only(parent: ET.Element, path: str) -> ET.Element:
    found = parent.findall(path)
    if len(found) != 1:
        name = path.rsplit("/", maxsplit=1)[-1].removeprefix("varray[@name='").removesuffix("']")
        raise DataError(f"there are {len(found)} lists of {name}, not 1", fix=DAMAGED_FIX)
    return found[0]


def _table(element: ET.Element, what: str, n_rows: int) -> np.ndarray:
    rows = (element.text or "").replace("<v>", "").split("</v>")[:-1]
    return read_rows([row.split() for row in rows], what, (n_rows, 3))


VASPRUN = LabelFormat(
    name="VASP vasprun.xml",
    recognizes=lambda _, head: _RECOGNIZED.search(head) is not None,
    read=read_vasprun,
)
"""Files called ``vasprun.xml`` by VASP, whatever their name is now."""
