"""Lattice thermal conductivity after few calculations, independent trainings against finite differences.

All programs are fitted to the same thermal frames and give orders 2 and 3 of the training supercell to
phono3py; the finite differences are those of one step, as phono3py makes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from benchmarks.accuracy.finite_differences import FiniteDifferences
from benchmarks.accuracy.measures import on_expansion, rms
from benchmarks.accuracy.own_cells import own_cells
from benchmarks.accuracy.peers import HiphiveFit, SymfcFit
from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.model.expansion import Expansion, SupercellExpansion
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.local_expansion import local_basis
from mlff_dyn.observables.conductivity.error_bars import conductivity_errors
from mlff_dyn.observables.conductivity.meshes import coarse_mesh_of, slope_mesh_of
from mlff_dyn.observables.conductivity.parameter_slopes import conductivity_slopes
from mlff_dyn.observables.conductivity.solver import LEAST_LINEWIDTH_THZ, ThreePhonons, Transport
from mlff_dyn.training.proposed_expansion import propose_expansion
from mlff_dyn.training.proposed_local import propose_local
from mlff_dyn.workflows.conductivity.on_meshes import Phonons, mesh_for_slopes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from phono3py import Phono3py

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.local.basis import LocalSettings
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame

TRAINING_COUNTS = (1, 2, 4, 8)
N_FRAMES = {"Si Tersoff": 80, "c-BAs GFN1": 64, "NaCl GFN1": 48, "BAs SevenNet-0": 40}
N_TRAININGS = 10
N_TRAININGS_OF_WIDER = 5
N_SAMPLES = 8
HIPHIVE_METHODS = ("least-squares", "ardr")
MESH = (7, 7, 7)
KELVIN = 300.0
OWN = "mlff_dyn"
SMALL = 0.3
"""Of thermal displacements, in cells that tell order 2 at rest from what higher orders make of it."""
THERMAL = ""
HALF = ", half the displacements"
ONE_SMALL = ", one cell of small displacements"
OWN_CELLS = ", cells that a training chooses"
OF_OWN_CELLS = 4
"""Calculations of such a training; its first cells are those of a smaller budget."""
WIDER = "mlff_dyn, order 3 over the whole cell"


@dataclasses.dataclass(frozen=True)
class ConductivityPoint:
    """Conductivity over that of finite differences, kappa / truth, after a number of calculations.

    Attributes
    ----------
    system, program : str
    n_calculations : int            frames of each training
    n_trainings : int               that share no frame
    truth : float                   W/mK
    n_truth : int                   displaced cells of the finite differences
    median_ratio : float            of kappa and truth
    lowest_ratio, highest_ratio : float
    median_error : float            of |kappa / truth - 1|
    rms_log_error : float           of ln(kappa / truth)
    median_sd : float               predicted standard deviation of ln kappa; not a number for peers
    rms_z : float                   of error over predicted error
    fraction_within_one_sd : float
    rms_z_of_data : float           of error over the part of the data alone
    """

    system: str
    program: str
    n_calculations: int
    n_trainings: int
    truth: float
    n_truth: int
    median_ratio: float
    lowest_ratio: float
    highest_ratio: float
    median_error: float
    rms_log_error: float
    median_sd: float
    rms_z: float
    fraction_within_one_sd: float
    rms_z_of_data: float


@dataclasses.dataclass(frozen=True)
class _Found:
    """Conductivity (W/mK) with the relative standard deviations of all and of the data alone."""

    kappa: float
    sd: float = float("nan")
    sd_of_data: float = float("nan")


class _Program(Protocol):
    name: str

    def conductivity(self, frames: Sequence[LabelledFrame], seed: int) -> _Found: ...


def conductivities(laboratory: Laboratory, *, with_peers: bool) -> Iterator[ConductivityPoint]:
    """Conductivity after few calculations, this program and others on the same frames."""
    name = laboratory.system.name
    if name not in N_FRAMES:
        return
    laboratory = laboratory.sampled_by_a_force_field()
    phono3py, n_truth = FiniteDifferences(laboratory).third()
    truth = conductivity_of(phono3py, phono3py.fc2, phono3py.fc3)
    print(f"{name}: {truth:.4g} W/mK by finite differences of {n_truth} cells", file=sys.stderr)
    proposed = OwnConductivity(OWN, as_proposed(laboratory))
    wider = OwnConductivity(WIDER, as_proposed(laboratory, {3: "full"}))
    peers: list[_Program] = []
    if with_peers:
        fits = [*(HiphiveFit(laboratory, each) for each in HIPHIVE_METHODS), SymfcFit(laboratory, phono3py)]
        peers = [_Peer(fit, phono3py) for fit in fits]
    plans = [
        (THERMAL, proposed),
        *((THERMAL, each) for each in peers),
        (THERMAL, wider),
        (ONE_SMALL, proposed),
    ]
    plans += [(cells, each) for cells in (HALF, OWN_CELLS) for each in (proposed, *peers)]
    for cells, program in plans:
        for count in TRAINING_COUNTS:
            sets = cells_of_trainings(laboratory, cells, count)
            if program is wider:
                sets = sets[:N_TRAININGS_OF_WIDER]
            if not sets:
                continue
            found = [program.conductivity(each, number) for number, each in enumerate(sets)]
            named = {"system": name, "program": f"{program.name}{cells}", "n_calculations": count}
            yield ConductivityPoint(**named, n_truth=n_truth, **_summary(found, truth))


def cells_of_trainings(laboratory: Laboratory, cells: str, count: int) -> list[list[LabelledFrame]]:
    """Cells of each training: thermal ones as they are, halved or with a small one, or its own choice."""
    if cells == OWN_CELLS:
        seeds = range(1, N_TRAININGS + 1) if count <= OF_OWN_CELLS else ()
        return [own_cells(laboratory, OF_OWN_CELLS, seed)[:count] for seed in seeds]
    kelvin, n_frames = laboratory.system.temperatures_kelvin[0], N_FRAMES[laboratory.system.name]
    if cells == HALF:
        frames = laboratory.scaled_frames(kelvin, n_frames, 0.5)
    else:
        frames = laboratory.frames(kelvin, n_frames)
    small = laboratory.scaled_frames(kelvin, N_TRAININGS, SMALL) if cells == ONE_SMALL else []
    return [
        with_small(frames[number * count : (number + 1) * count], small[number : number + 1])
        for number in range(min(N_TRAININGS, n_frames // count))
    ]


def with_small(frames: list[LabelledFrame], small: list[LabelledFrame]) -> list[LabelledFrame]:
    """As many frames, the last of them replaced by a small one, if there is one."""
    return [*frames[: len(frames) - len(small)], *small]


def as_proposed(
    laboratory: Laboratory,
    cutoffs: Mapping[int, float | str] | None = None,
    settings: LocalSettings | None = None,
) -> SupercellExpansion:
    """The expansion that `init` proposes, or with other cutoffs of some orders or another local part."""
    proposed = propose_expansion(laboratory.torus)
    if settings is None:
        local = propose_local(laboratory.crystal)
        assert local is not None
        settings = local.chosen.settings
    orders = {2: proposed.cutoffs_angstrom[2], 3: proposed.cutoffs_angstrom[3]}
    basis = build_basis(laboratory.crystal, orders | dict(cutoffs or {}), laboratory.torus)
    own = Expansion(basis, local=local_basis(laboratory.crystal, settings))
    return own.on(laboratory.torus)


def _summary(found: Sequence[_Found], truth: float) -> dict[str, Any]:
    """Numbers of `ConductivityPoint` that are over all trainings."""
    kappa, sds, of_data = (
        np.array([getattr(each, name) for each in found]) for name in ("kappa", "sd", "sd_of_data")
    )
    errors = np.log(kappa / truth)
    within = np.abs(errors) < sds
    return {
        "n_trainings": len(found),
        "truth": truth,
        "median_ratio": float(np.median(kappa / truth)),
        "lowest_ratio": float(kappa.min() / truth),
        "highest_ratio": float(kappa.max() / truth),
        "median_error": float(np.median(np.abs(kappa / truth - 1.0))),
        "rms_log_error": rms(errors),
        "median_sd": float(np.median(sds)),
        "rms_z": rms(errors / sds),
        "fraction_within_one_sd": float(within.mean()) if np.isfinite(sds).all() else float("nan"),
        "rms_z_of_data": rms(errors / of_data),
    }


class OwnConductivity:
    """A training as that of `train --static`, and what `conductivity` makes of it."""

    def __init__(self, name: str, supercell: SupercellExpansion) -> None:
        self.name = name
        self._supercell = supercell

    def conductivity(self, frames: Sequence[LabelledFrame], seed: int) -> _Found:
        """Of a training on some frames, with its error bar."""
        supercell = self._supercell
        force_field = fit_force_field(supercell.basis, FitData(on_expansion(supercell, frames)))
        phonons, transport = ThreePhonons(force_field, supercell.torus), Transport((KELVIN,))
        coarse = (slope_mesh_of(supercell.torus, MESH), coarse_mesh_of(MESH))
        mesh = mesh_for_slopes([Phonons(phonons, transport)], (*coarse, MESH))
        slopes = conductivity_slopes(phonons, transport, mesh, n_samples=N_SAMPLES, seed=seed)
        errors = conductivity_errors(phonons, slopes)
        of_slopes = float(slopes.kappa[0, :3].mean())
        phonons.prepare(phonons.constants(2), phonons.constants(3), MESH)
        return _Found(
            float(phonons.solve(transport).mean[0]),
            float(np.hypot(errors.mean_data[0], errors.mean_truncation[0])) / of_slopes,
            float(errors.mean_data[0]) / of_slopes,
        )


class _Peer:
    """Another program."""

    def __init__(self, fit: HiphiveFit | SymfcFit, phono3py: Phono3py) -> None:
        self.name = fit.name
        self._fit, self._phono3py = fit, phono3py

    def conductivity(self, frames: Sequence[LabelledFrame], seed: int) -> _Found:  # noqa: ARG002
        """Of a fit to some frames."""
        return _Found(conductivity_of(self._phono3py, *self._fit.force_constants(frames, self._phono3py)))


def conductivity_of(phono3py: Phono3py, second: np.ndarray, third: np.ndarray) -> float:
    """Mean of the three axes, W/mK; modes that decay into nothing on the mesh are left out."""
    phono3py.fc2, phono3py.fc3 = second, third
    phono3py.mesh_numbers = list(MESH)
    with contextlib.redirect_stdout(io.StringIO()):
        phono3py.init_phph_interaction()
        phono3py.run_thermal_conductivity(temperatures=[KELVIN])
    found = phono3py.thermal_conductivity
    decays = np.asarray(found.gamma[0, 0]) > LEAST_LINEWIDTH_THZ
    return float(np.asarray(found.mode_kappa[0, 0])[decays, :3].sum() / (3 * np.prod(MESH)))
