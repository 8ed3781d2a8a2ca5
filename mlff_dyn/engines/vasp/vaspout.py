"""Read vaspout.h5 of VASP 6.2 and later: every calculated step that is known to be converged.

Before 6.5 the file does not tell whether the electrons converged, and never which steps a machine-learned
force field predicted; then a vasprun.xml or an OUTCAR beside it says which steps are good.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from mlff_dyn.engines.vasp.convergence import AGAIN_FIX, ElectronicLimits
from mlff_dyn.engines.vasp.numbers import DAMAGED_FIX, stress_of_kilobar
from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.engines.vasp.settings import RunOrigin, is_true, settings_digest
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from mlff_dyn.engines.vasp.vasprun_head import atomic_number
from mlff_dyn.errors import DataError
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep
from mlff_dyn.store.dataset import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlff_dyn.store.source import Source

_MAGIC = b"\x89HDF\r\n\x1a\n"
_STEPS = "intermediate/ion_dynamics"
_UNREADABLE = (OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError, AttributeError)
_TITLE = re.compile(r"TITEL\s*=\s*(.*)")
_CUTOFF = re.compile(r"ENMAX\s*=\s*([0-9.]+)")
_SAME_ENERGY_EV = 2.0e-6
_UNKNOWN_FIX = "give vasprun.xml or OUTCAR of the same run, or put one beside it"


@dataclass(frozen=True, eq=False)
class _Run:
    numbers: np.ndarray
    origin: RunOrigin
    limits: ElectronicLimits
    is_learning: bool
    energy_column: int


def read_vaspout(source: Source, options: ReadOptions) -> Iterator[Snapshot | RefusedStep]:
    """Yield the chosen steps.

    Raises
    ------
    DataError
        If nothing in the file can be read; the message has its name.
    """
    with _opened(source) as file:
        try:
            run = _run(file)
            n_steps = max(len(file[f"{_STEPS}/{name}"]) for name in ("position_ions", "forces", "energies"))
            flags = _flags(source, file, run)
        except _UNREADABLE as error:
            raise DataError(f"{source} is no complete vaspout.h5: {error}", fix=DAMAGED_FIX) from error
        if n_steps == 0:
            raise DataError(f"{source}: there is no step in it", fix="calculate it again")
        if flags is None:
            yield RefusedStep(
                source, None, "it does not tell which steps are calculated and converged", _UNKNOWN_FIX
            )
            return
        for number in options.steps.of(range(1, n_steps + 1)):
            yield _step(source, file, run, number, is_good=flags.get(number))


def _step(
    source: Source, file: h5py.File, run: _Run, number: int, *, is_good: bool | None
) -> Snapshot | RefusedStep:
    try:
        run.limits.check_run()
        if not is_good:
            reason = "not converged" if is_good is False else "nothing says that it is converged"
            raise DataError(reason, fix=AGAIN_FIX)  # noqa: TRY301 (as the check before it)
        return _snapshot(source, file, run, number)
    except DataError as error:
        return RefusedStep(source, number, error.message, fix=error.fix or DAMAGED_FIX)
    except _UNREADABLE as error:
        return RefusedStep(source, number, f"not complete: {error}", fix=DAMAGED_FIX)


def _snapshot(source: Source, file: h5py.File, run: _Run, number: int) -> Snapshot:
    steps = file[_STEPS]

    def of_step(name: str) -> np.ndarray:
        return np.array(steps[name][number - 1], dtype=float)

    cell = of_step("lattice_vectors") * (float(steps["scale"][()]) if "scale" in steps else 1.0)
    stress = stress_of_kilobar(of_step("stress")) if "stress" in steps else None
    return Snapshot(
        numbers=run.numbers,
        positions=of_step("position_ions") @ cell,
        cell=cell,
        energy_ev=float(of_step("energies")[run.energy_column]),
        forces_ev_per_angstrom=of_step("forces"),
        stress_ev_per_angstrom3=stress,
        provenance=run.origin.provenance(source, number),
    )


def _flags(source: Source, file: h5py.File, run: _Run) -> dict[int, bool] | None:
    """Say of steps whether they are good, counted from 1; None where nothing tells."""
    name = f"{_STEPS}/electronic_step_converged"
    if name in file and not run.is_learning:
        values = np.array(file[name]).ravel()
        return {number: bool(value == 0) for number, value in enumerate(values, start=1)}
    for kind, beside in ((VASPRUN, source.sibling("vasprun.xml")), (OUTCAR, source.sibling("OUTCAR"))):
        if beside is None:
            continue
        found: dict[int, bool] = {}
        energies = np.array(file[f"{_STEPS}/energies"])[:, run.energy_column]
        for step in kind.read(beside, ReadOptions()):
            if isinstance(step, Snapshot) and step.provenance.step is not None:
                number = step.provenance.step
                found[number] = _is_same(step.energy_ev, energies[number - 1 : number])
            elif isinstance(step, RefusedStep) and step.step is not None:
                found[step.step] = False
        return found
    return None


def _is_same(energy_ev: float | None, stated: np.ndarray) -> bool:
    """Whether a step is that of the same run."""
    return energy_ev is not None and len(stated) == 1 and bool(abs(stated[0] - energy_ev) < _SAME_ENERGY_EV)


def _run(file: h5py.File) -> _Run:
    positions = file["results/positions"]
    symbols = [_text(symbol) for symbol in positions["ion_types"][()]]
    counts = [int(count) for count in positions["number_ion_types"][()]]
    tags = {name.upper(): _text(value[()]) for name, value in file.get("input/incar", {}).items()}
    content = _text(file["input/potcar/content"][()]) if "input/potcar/content" in file else ""
    titles = tuple(" ".join(title.split()) for title in _TITLE.findall(content))
    if "ENCUT" not in tags and content:
        tags["ENCUT"] = str(max((float(each) for each in _CUTOFF.findall(content)), default=0.0))
    n_points = _n_kpoints(file)
    labels = [" ".join(_text(label).split()) for label in file[f"{_STEPS}/energies_tags"][()]]
    column = next((i for i, label in enumerate(labels) if label == "free energy TOTEN"), None)
    if column is None:
        raise KeyError("there is no free energy among " + ", ".join(labels))
    version = file.get("version", {})
    parts = [str(int(version[name][()])) for name in ("major", "minor", "patch") if name in version]
    kinds = np.array([atomic_number(symbol.split("_")[0], "") for symbol in symbols], dtype=np.int64)
    return _Run(
        numbers=np.repeat(kinds, counts),
        origin=RunOrigin(
            program="VASP " + ".".join(parts) if parts else "VASP",
            titles=titles,
            digest=settings_digest(
                tags,
                titles,
                kpoints_times_atoms=None if n_points is None else n_points * sum(counts),
                charge=None,
            )
            if tags
            else None,
        ),
        limits=ElectronicLimits.of_tags(tags),
        is_learning=is_true(tags.get("ML_LMLFF", "F")),
        energy_column=column,
    )


def _n_kpoints(file: h5py.File) -> int | None:
    given = file.get("input/kpoints", {})
    divisions = [int(given[name][()]) for name in ("nkpx", "nkpy", "nkpz") if name in given]
    if len(divisions) == 3 and min(divisions) > 0:
        return int(np.prod(divisions))
    weights = "results/electron_eigenvalues/kpoints_symmetry_weight"
    return len(file[weights]) if weights in file else None


def _text(value: Any) -> str:  # noqa: ANN401 (whatever a data set holds)
    if isinstance(value, np.ndarray):
        return " ".join(_text(each) for each in value.ravel())
    if isinstance(value, bytes):
        return value.decode("latin-1").strip()
    return str(value).strip()


@contextmanager
def _opened(source: Source) -> Iterator[h5py.File]:
    """Open what need not lie on the disk as it is: compressed files and members of archives are unpacked."""
    with tempfile.TemporaryFile() as unpacked:
        with source.open() as file:
            shutil.copyfileobj(file, unpacked)
        unpacked.seek(0)
        try:
            opened = h5py.File(unpacked, "r")
        except _UNREADABLE as error:
            raise DataError(f"{source} is cut or damaged: {error}", fix=DAMAGED_FIX) from error
        with opened:
            yield opened


def _recognizes(source: Source, head: bytes) -> bool:
    if not head.startswith(_MAGIC):
        return False
    try:
        with _opened(source) as file:
            return _STEPS in file
    except DataError:
        return "vaspout" in source.name


VASPOUT_H5 = LabelFormat(name="VASP vaspout.h5", recognizes=_recognizes, read=read_vaspout)
"""Files called ``vaspout.h5`` by VASP, whatever their name is now."""
