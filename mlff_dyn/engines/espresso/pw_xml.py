"""XML files of pw.x 6.x and 7.x (data-file-schema.xml, PREFIX.xml) as labelled steps.

All is in Hartree atomic units; the stress is positive under compression. Steps of a relaxation or of dynamics
come one after the other, then the results of the end. These repeat the last step, often beside positions that
have been moved on already, unless another self-consistent calculation was made of the relaxed structure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from mlff_dyn.engines.base import EngineResult
from mlff_dyn.engines.espresso.output import CONVERGE, Unusable
from mlff_dyn.engines.espresso.pw_text import snapshot_of
from mlff_dyn.engines.espresso.xml_settings import as_number, parse_xml_settings
from mlff_dyn.engines.magnetic_state import MagneticState
from mlff_dyn.errors import MlffError
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep
from mlff_dyn.units import BOHR_ANGSTROM, HARTREE_EV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.engines.espresso.settings import PwSettings
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.source import Source

_OLD_MARKS = (b'"QEXML"', b"<?iotk")
_OLD = "XML of pw.x before 6.0 holds no energies and forces"
_COPY = "copy it again, or give the text output"
_DAMAGE = (ET.ParseError, ValueError, LookupError)
_STEP_UNIT = 2.001  # versions write the accuracy of steps in Ry


def recognizes_pw_xml(source: Source, head: bytes) -> bool:  # noqa: ARG001 (the name says nothing)
    """Whether a file begins like an XML file of pw.x, whichever version."""
    return b"quantum-espresso.org/ns/qes" in head or any(mark in head for mark in _OLD_MARKS)


def read_pw_xml(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    """Read the chosen steps of an XML file.

    Parameters
    ----------
    source : Source
    options : ReadOptions

    Yields
    ------
    Snapshot or RefusedStep
    """
    if any(mark in source.head() for mark in _OLD_MARKS):
        yield RefusedStep(source, None, _OLD, "give the text output of pw.x")
        return
    yield from options.steps.of(_steps(source))


PW_XML = LabelFormat("XML of pw.x", recognizes_pw_xml, read_pw_xml)


def _steps(source: Source) -> Iterator[Snapshot | RefusedStep]:
    """Yield the steps, the last one with what the end of the file knows of it."""
    run, number = _run(source), 0
    held: ET.Element | None = None
    for element in _elements(source):
        if held is not None:
            is_gap = not isinstance(element, RefusedStep) and _is_gap(held, element, number, run)
            is_again = not isinstance(element, RefusedStep) and _is_again(held, element)
            if is_again and not isinstance(element, RefusedStep):
                held = _completed(held, element)
            yield _step(source, held, number, run, is_gap=is_gap)
            if is_again:
                return
        if isinstance(element, RefusedStep):
            yield element
            return
        number, held = number + 1, element
    if held is not None:
        yield _step(source, held, number, run)
    else:
        yield RefusedStep(source, None, "it holds no results: pw.x was killed", _COPY)


def _is_again(step: ET.Element, after: ET.Element) -> bool:
    """Whether what comes after a step are its own results: energies have sixteen digits."""
    energies = [_text(each, "total_energy/etot") for each in (step, after)]
    return after.tag == "output" and energies[0] == energies[1]


def _is_gap(step: ET.Element, after: ET.Element, number: int, run: _Run) -> bool:
    """Whether a step may be of two, whose lines between are missing: pw.x counts its steps."""
    named = as_number(step.get("n_step"))
    count = number if named is None else named
    if after.tag == "step":
        return named is not None and as_number(after.get("n_step")) != named + 1
    if run.n_dynamics is not None:
        return count != run.n_dynamics
    moves = as_number(_text(after, "convergence_info/opt_conv/n_opt_steps"))
    is_done = _text(after, "convergence_info/opt_conv/convergence_achieved") == "true"
    return moves is not None and count < moves + is_done


def _elements(source: Source) -> Iterator[ET.Element | RefusedStep]:
    """Yield each step and the output, clearing what has been read; a refusal where the file is cut."""
    with source.open() as file:
        try:
            root: ET.Element | None = None
            for event, element in ET.iterparse(file, events=("start", "end")):  # noqa: S314
                root = element if root is None else root
                if event == "end" and element.tag in ("step", "output"):
                    yield element
                    root.clear()
                elif event == "end" and element.tag == "ks_energies":
                    element.clear()
        except _DAMAGE as error:
            yield RefusedStep(source, None, f"the file is cut or damaged: {error}", _COPY)


@dataclass(frozen=True)
class _Run:
    """What holds for all steps.

    Attributes
    ----------
    settings : PwSettings
    threshold_hartree : float or None
        Of self-consistency.
    has_fixed : bool
        Whether atoms are fixed: their forces are set to zero in the file.
    n_dynamics : float or None
        Number of steps of dynamics.
    """

    settings: PwSettings
    threshold_hartree: float | None
    has_fixed: bool
    n_dynamics: float | None


def _run(source: Source) -> _Run:
    """Read the beginning, as far as the file goes."""
    found: dict[str, ET.Element] = {}
    with source.open() as file:
        try:
            for _, element in ET.iterparse(file):  # noqa: S314 (entities are not expanded without limit)
                if element.tag in ("general_info", "input"):
                    found[element.tag] = element
                if element.tag == "input":
                    break
        except _DAMAGE:
            pass
    given = found.get("input", ET.Element("input"))
    free = (_text(given, "free_positions") or "").split()
    is_dynamics = _text(given, "control_variables/calculation") in ("md", "vc-md")
    return _Run(
        settings=parse_xml_settings(found),
        threshold_hartree=as_number(_text(given, "electron_control/conv_thr")),
        has_fixed="0" in free,
        n_dynamics=as_number(_text(given, "control_variables/nstep")) if is_dynamics else None,
    )


def _completed(step: ET.Element, output: ET.Element) -> ET.Element:
    """Add to the last step what only the end has, if its forces and cell are those of the step."""
    for path in (
        "forces",
        "atomic_structure/cell/a1",
        "atomic_structure/cell/a2",
        "atomic_structure/cell/a3",
    ):
        if _text(step, path) != _text(output, path):
            return step
    for name in ("stress", "magnetization"):
        found = output.find(name)
        if step.find(name) is None and found is not None:
            step.append(found)
    return step


def _step(
    source: Source, element: ET.Element, number: int, run: _Run, *, is_gap: bool = False
) -> Snapshot | RefusedStep:
    try:
        snapshot = _read(element, run)
    except Unusable as error:
        return RefusedStep(source, number, error.reason, error.fix)
    except MlffError as error:
        return RefusedStep(source, number, error.message, error.fix or _COPY)
    if is_gap:
        return RefusedStep(source, number, "lines are missing: the numbers of steps have a gap", _COPY)
    return replace(snapshot, provenance=run.settings.provenance(source, number))


def _read(element: ET.Element, run: _Run) -> Snapshot:
    _check_converged(element, run.threshold_hartree)
    structure = element.find("atomic_structure")
    if structure is None:
        raise Unusable("no structure", fix=_COPY)
    cell = np.array([_numbers(structure, f"cell/a{i}", 3) for i in (1, 2, 3)]) * BOHR_ANGSTROM
    atoms = structure.findall("atomic_positions/atom")
    if not atoms or str(len(atoms)) != structure.get("nat", "").strip():
        raise Unusable(f"positions of {len(atoms)} atoms, not of {structure.get('nat')}", fix=_COPY)
    positions = np.array([_numbers(atom, ".", 3) for atom in atoms]) * BOHR_ANGSTROM
    if element.find("forces") is None:
        raise Unusable("no forces", fix="set control.tprnfor to true")
    if run.has_fixed:
        raise Unusable(
            "some atoms are fixed, and their forces are zero in the XML",
            fix="give the text output, which has them",
        )
    forces = np.array(_numbers(element, "forces", 3 * len(atoms))).reshape(-1, 3)
    result = EngineResult(
        energy_ev=_numbers(element, "total_energy/etot", 1)[0] * HARTREE_EV,
        forces_ev_per_angstrom=forces * HARTREE_EV / BOHR_ANGSTROM,
        stress_ev_per_angstrom3=_stress(element),
        magnetic_state=_magnetic_state(element, len(atoms)),
    )
    return snapshot_of([atom.get("name", "") for atom in atoms], cell, positions, result)


def _check_converged(element: ET.Element, threshold: float | None) -> None:
    where = "convergence_info/scf_conv" if element.tag == "output" else "scf_conv"
    achieved, error = (_text(element, f"{where}/{name}") for name in ("convergence_achieved", "scf_error"))
    accuracy = as_number(error)
    if achieved is None and (accuracy is None or threshold is None):
        raise Unusable("it does not say whether the self-consistent cycle converged", fix=_COPY)
    if achieved not in (None, "true"):
        raise Unusable("the self-consistent cycle did not converge", fix=CONVERGE)
    if accuracy is not None and threshold is not None and accuracy > _STEP_UNIT * threshold:
        raise Unusable(
            f"the self-consistent cycle did not converge: accuracy {accuracy:.2g} Ha, "
            f"threshold {threshold:.2g} Ha",
            fix=CONVERGE,
        )


def _stress(element: ET.Element) -> np.ndarray | None:
    if element.find("stress") is None:
        return None
    tensor = -np.array(_numbers(element, "stress", 9)).reshape(3, 3) * HARTREE_EV / BOHR_ANGSTROM**3
    symmetric: np.ndarray = 0.5 * (tensor + tensor.T)
    return symmetric[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] if tensor.any() else None


def _magnetic_state(element: ET.Element, n_atoms: int) -> MagneticState | None:
    if _text(element, "magnetization/lsda") != "true":
        return None
    sites = element.findall("magnetization/Scalar_Site_Magnetic_Moments/SiteMagnetization")
    moments = np.array([_numbers(site, ".", 1)[0] for site in sites]) if len(sites) == n_atoms else None
    return MagneticState(
        moments=moments,
        total=_numbers(element, "magnetization/total", 1)[0],
        absolute=_numbers(element, "magnetization/absolute", 1)[0],
    )


def _text(element: ET.Element, path: str) -> str | None:
    found = element.findtext(path)
    return None if found is None else found.strip()


def _numbers(element: ET.Element, path: str, count: int) -> list[float]:
    values = [as_number(word) for word in (_text(element, path) or "").split()]
    found = [value for value in values if value is not None]
    if len(found) != count or len(values) != count:
        name = path.lstrip("./") or "an atom"
        raise Unusable(f"{name} has {len(found)} numbers instead of {count}", fix=_COPY)
    return found
