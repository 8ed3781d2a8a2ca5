"""Labels check each other: what forces do along displacements is what energies and stresses must say.

Along the ray from the sites, forces do the work -1/2 F u where the crystal is harmonic. Where energies do not
follow that within bounds, a fit to the forces alone predicts energies and stresses; the slope of the labels
against them is 1 unless a sign or a unit is wrong, and its value names the unit. A fit that leaves much of
the forces, as about a saddle point between wells, knows no energies, and nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.labelled_frame import FitOptions
from mlff_dyn.units import BOHR_ANGSTROM, EV_PER_ANGSTROM3_GPA, HARTREE_EV, RYDBERG_EV

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlff_dyn.lattice.basis import ForceConstantBasis
    from mlff_dyn.model.fitting.fit_data import FitData
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.force_field import ForceField


@dataclass(frozen=True)
class LabelLimits:
    """From where on labels contradict each other.

    The slopes of sound data (six crystals, ab initio and EMT, up to 1300 K, fits that leave up to 30 % of
    the forces) were 0.7 to 1.2 wherever six frames or more told them, and 0.6 to 1.6 for stresses.

    Attributes
    ----------
    lowest_slope, highest_slope : float     of energies against the work of forces
    n_sd : float                            by which a slope must be beyond its bounds
    enough_frames : int                     whose scatter tells the error of a slope
    clear_correlation : float               of energies and -1/2 F u that needs no fit
    clear_joint_correlation : float         of energies that seem to have several zeros, if they have one
    most_left : float                       of the forces by a fit whose energies are compared
    stress_factor : float                   largest ratio of stresses, or its inverse
    stress_sign : float                     least negative correlation, over its standard deviation
    unit_tolerance : float                  by which a ratio may differ from a unit that is named
    strain : float                          largest strain of frames whose energies are compared
    least_work, most_work : float
        Share of -Σ F u, of errors of predicted forces F and displacements u, that the energy is off by: one
        over the order of what the prediction leaves out.
    """

    lowest_slope: float = 0.7
    highest_slope: float = 1.4
    n_sd: float = 3.0
    enough_frames: int = 6
    clear_correlation: float = 0.9
    clear_joint_correlation: float = 0.98
    most_left: float = 0.3
    stress_factor: float = 6.0
    stress_sign: float = 2.0
    unit_tolerance: float = 0.15
    strain: float = 1e-3
    least_work: float = 0.125
    most_work: float = 0.75


LABEL_LIMITS = LabelLimits()

_PER_KCAL, _PER_KJ = 23.0605, 96.4853
_FORCE_UNITS = {
    "Ry/bohr": BOHR_ANGSTROM / RYDBERG_EV,
    "hartree/bohr": BOHR_ANGSTROM / HARTREE_EV,
    "meV/Å": 1000.0,
    "kcal/mol/Å": _PER_KCAL,
    "kJ/mol/Å": _PER_KJ,
}
"""Numbers of a force in other units over that in eV/Å."""


@dataclass(frozen=True)
class _Slope:
    """Slope of labels against predictions, its standard deviation, and their correlation."""

    value: float
    sd: float
    correlation: float

    @property
    def is_clear(self) -> bool:
        """Whether labels agree beyond doubt."""
        limits = LABEL_LIMITS
        is_inside = limits.lowest_slope < self.value < limits.highest_slope
        return is_inside and self.correlation > limits.clear_correlation

    @property
    def is_wrong(self) -> bool:
        """Whether labels contradict each other beyond doubt."""
        reach = LABEL_LIMITS.n_sd * self.sd
        is_low = self.value + reach < LABEL_LIMITS.lowest_slope
        return is_low or self.value - reach > LABEL_LIMITS.highest_slope


def check_labels(
    path: Path,
    data: FitData,
    basis: ForceConstantBasis,
    *,
    uses_stress: bool = False,
    knows_direction: bool = False,
) -> None:
    """Compare energies and stresses of frames with their forces.

    Parameters
    ----------
    path : Path
        File of the frames, for the messages.
    data : FitData
    basis : ForceConstantBasis
    uses_stress : bool
        Whether stresses are fitted.
    knows_direction : bool
        Whether a model tells the sign of forces, see `check_forces`; else stability does.

    Raises
    ------
    DataError
        If a label has another sign or unit.
    """
    rows = data.frames
    groups = _groups(rows)
    together = _groups([replace(frame, origin=0) for frame in rows])
    works = np.array([_work(frame) for frame in rows])
    quick = _slope(groups, rows, works, None)
    n_compared = sum(map(len, groups)) - len(groups)
    stresses = [frame.stress_ev_per_angstrom3 for frame in rows]
    has_stress = uses_stress and sum(stress is not None for stress in stresses) > 1
    is_sure = quick is not None and quick.is_clear and n_compared >= LABEL_LIMITS.enough_frames
    if not together and not has_stress:
        if not knows_direction:
            _check_direction(path, works)
        return
    if is_sure and not has_stress:
        return
    data = data.with_options(FitOptions(energies=False))
    fitted = fit_force_field(basis, data)
    slope = quick if is_sure else None
    if slope is None and _left(fitted, data) <= LABEL_LIMITS.most_left:
        predicted = predicted_energies(fitted, data)
        slope, joint = (_slope(each, rows, *predicted) for each in (groups, together))
        is_joint = joint is not None and abs(joint.correlation) > LABEL_LIMITS.clear_joint_correlation
        slope = joint if is_joint and (slope is None or not slope.is_clear) else slope
    if slope is not None and slope.is_wrong:
        _refuse_energies(path, slope.value, works, rows[0].n_atoms)
    if not knows_direction and (slope is None or not (slope.value - slope.sd > 0.0)):
        _check_direction(path, works)
    if has_stress:
        _check_stress(path, fitted, data)


def _groups(rows: Sequence[LabelledFrame]) -> list[list[int]]:
    """Frames whose energies can be compared: of one supercell and one zero; two at least."""
    found: dict[tuple[int, int], list[int]] = {}
    for k, frame in enumerate(rows):
        supercell = frame.supercell
        if frame.energy_ev is not None and np.abs(supercell.strain).max() < LABEL_LIMITS.strain:
            found.setdefault((supercell.torus.n_cells, frame.origin), []).append(k)
    return [group for group in found.values() if len(group) > 1]


def check_forces(path: Path, forces: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
    """Compare sign and unit of forces with those of a model.

    Raises
    ------
    DataError
        If they differ beyond doubt.
    """
    found = other_unit(forces, predicted)
    if found is not None:
        raise DataError(
            f"{path}: forces are {found}",
            fix="convert to eV/Å, or name another column with --columns forces=NAME",
        )


def check_stresses(
    path: Path, stresses: NDArray[np.float64], predicted: NDArray[np.float64], volume: float
) -> None:
    """Compare sign and unit of changes of the stress with those of a model, shape (n_frames, n_components).

    Raises
    ------
    DataError
        If they differ beyond doubt.
    """
    changes, expected = ((each - each.mean(axis=0)).ravel() for each in (stresses, predicted))
    found = other_unit(changes, expected, _stress_units(volume))
    if found is not None:
        raise DataError(f"{path}: stresses change by {found}", fix="convert to eV/Å³, positive under tension")


def other_unit(
    labels: NDArray[np.float64], predicted: NDArray[np.float64], units: Mapping[str, float] = _FORCE_UNITS
) -> str | None:
    """Say that labels are those of a model in another unit or of the other sign; None if not beyond doubt."""
    spread = float(np.sqrt((labels @ labels) * (predicted @ predicted)))
    correlation = float(labels @ predicted) / spread if spread > 0.0 else 0.0
    if abs(correlation) < LABEL_LIMITS.clear_correlation:
        return None
    ratio = float(labels @ predicted) / float(predicted @ predicted)
    unit = _name_unit(ratio, units, "") if ratio > 0.0 else ""
    what = f"they look like {unit}" if unit else "the sign looks reversed"
    return f"{ratio:.3g} times those of the model; {what}" if unit or ratio < 0.0 else None


def energy_supports_forces(force_field: ForceField, frame: LabelledFrame) -> bool:
    """Whether the energy of a frame above that at rest is the work of its forces; False if unknown."""
    if force_field.energy is None or frame.energy_ev is None or frame.supercell.strain.any():
        return False
    raised = frame.energy_ev - frame.n_atoms * float(force_field.energy.zero[0])
    work = _work(frame)
    return work > 0.0 and LABEL_LIMITS.lowest_slope < raised / work < LABEL_LIMITS.highest_slope


def misfit_has_its_energy(
    force_field: ForceField,
    frame: LabelledFrame,
    force_rows: NDArray[np.float64],
    energy_row: NDArray[np.float64],
) -> bool:
    """Whether the energy is off its prediction by the work of what the forces are off; False if unknown.

    A force that is wrong has no energy, one that the prediction leaves out has.
    """
    if force_field.energy is None or frame.targets.energy_ev is None or frame.supercell.strain.any():
        return False
    posterior, zero = force_field.posterior, frame.n_atoms * float(force_field.energy.zero[0])
    gap = frame.targets.energy_ev - zero - float(energy_row @ posterior.mean)
    rest = frame.targets.forces - force_rows @ posterior.mean
    work = -float(rest @ frame.displacements.ravel())
    sd = force_field.calibration * float(np.sqrt(posterior.variance(energy_row[None])[0]))
    limits = LABEL_LIMITS
    return bool(abs(gap) > limits.n_sd * sd and limits.least_work < gap / work < limits.most_work)


def _work(frame: LabelledFrame) -> float:
    """Harmonic work -1/2 F u without that of static forces, eV."""
    n_cells = frame.n_cells
    u, f = (
        each - each.mean(axis=1, keepdims=True)
        for each in (a.reshape(-1, n_cells, 3) for a in (frame.displacements, frame.forces))
    )
    return -0.5 * float(np.sum(u * f))


def _left(force_field: ForceField, data: FitData) -> float:
    """What a fit leaves of the forces, over the forces."""
    forces = np.concatenate([frame.targets.forces for frame in data.frames])
    found = [data.force_rows(k) @ force_field.posterior.mean for k in range(len(data.frames))]
    size = float(np.linalg.norm(forces))
    return float(np.linalg.norm(forces - np.concatenate(found))) / size if size > 0.0 else 0.0


def predicted_energies(
    force_field: ForceField, data: FitData
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies of a fit and their standard deviations, eV.

    What the fit leaves of the forces may have any sign along the path of an atom.
    """
    posterior = force_field.posterior
    energies, variances = [], []
    for k, frame in enumerate(data.frames):
        row = data.energy_row(k)
        rest = frame.targets.forces - data.force_rows(k) @ posterior.mean
        label, target = frame.energy_ev or 0.0, frame.targets.energy_ev or 0.0
        energies.append(float(row @ posterior.mean) + label - target)
        variance = force_field.calibration**2 * float(posterior.variance(row[None])[0])
        variances.append(variance + 0.25 * float(np.sum((rest * frame.displacements.ravel()) ** 2)))
    return np.array(energies), np.sqrt(variances)


def _slope(
    groups: Sequence[Sequence[int]],
    rows: Sequence[LabelledFrame],
    predicted: NDArray[np.float64],
    sds: NDArray[np.float64] | None,
) -> _Slope | None:
    """Slope of energies against predicted ones, each group about its mean; None where nothing is told."""
    if not groups:
        return None
    x = np.concatenate([predicted[group] - predicted[group].mean() for group in groups])
    energies = [np.array([rows[k].energy_ev for k in group], float) for group in groups]
    y = np.concatenate([each - each.mean() for each in energies])
    size = float(x @ x)
    if size == 0.0:
        return None
    value = float(x @ y) / size
    free = len(x) - len(groups) - 1
    scatter = float(np.sqrt(np.sum((y - value * x) ** 2) / free)) if free > 0 else 0.0
    if sds is not None and free + 2 < LABEL_LIMITS.enough_frames:
        each = np.sqrt(np.mean(np.concatenate([sds[group] for group in groups]) ** 2))
        scatter = max(scatter, float(each) * max(1.0, abs(value)))
    spread = float(np.sqrt(size * (y @ y)))
    return _Slope(value, scatter / np.sqrt(size), float(x @ y) / spread if spread > 0.0 else 0.0)


def _refuse_energies(path: Path, slope: float, works: NDArray[np.float64], n_atoms: int) -> None:
    """Name the sign or the unit that explains the slope of energies against the work of forces."""
    found = f"{path}: energies change by {slope:.3g} times the work of the forces along the displacements"
    if slope < 0.0:
        key = "forces" if works.sum() < 0.0 else "energy"
        what = f"{key}: the sign looks reversed"
    else:
        what = _name_unit(
            slope,
            {
                **{
                    f"forces look like {unit}: ratio {1.0 / slope:.3g}": 1.0 / factor
                    for unit, factor in _FORCE_UNITS.items()
                },
                f"energies look like Ry: ratio {slope:.3g}": 1.0 / RYDBERG_EV,
                f"energies look like hartree: ratio {slope:.3g}": 1.0 / HARTREE_EV,
                f"energies look like kJ/mol: ratio {slope:.3g}": _PER_KJ,
                f"energies look like kcal/mol: ratio {slope:.3g}": _PER_KCAL,
                f"energies look like meV: ratio {slope:.3g}": 1000.0,
                f"energies look like energies per atom: ratio {slope:.3g}": 1.0 / n_atoms,
                "energies and forces look like atomic units, Ry and Ry/bohr or hartree and hartree/bohr": 1.0
                / BOHR_ANGSTROM,
            },
            "energy and forces are of different calculations or units",
        )
    raise DataError(f"{found}; {what}", fix="convert to eV and eV/Å, or name other columns with --columns")


def _name_unit(ratio: float, units: Mapping[str, float], otherwise: str) -> str:
    """Return the name of the unit that is nearest to a ratio, if one is near."""
    gaps = {name: abs(float(np.log(abs(ratio) / factor))) for name, factor in units.items()}
    name = min(gaps, key=lambda each: gaps[each])
    return name if gaps[name] < LABEL_LIMITS.unit_tolerance else otherwise


def _check_direction(path: Path, works: NDArray[np.float64]) -> None:
    """Refuse forces that push the atoms away from their sites in every frame."""
    if len(works) and works.max() < 0.0:
        raise DataError(
            f"{path}: forces push the atoms away from their sites in every frame; forces: the sign looks "
            "reversed",
            fix="reverse it, or check that structure.file is the crystal that these frames vibrate about",
        )


def _check_stress(path: Path, force_field: ForceField, data: FitData) -> None:
    """Compare changes of the stress with those that a fit to the forces predicts."""
    known = [k for k, frame in enumerate(data.frames) if frame.stress_ev_per_angstrom3 is not None]
    told = data.stress_components
    x = np.array([data.stress_rows(k)[told] @ force_field.posterior.mean for k in known])
    y = np.array([data.frames[k].targets.stress_ev_per_angstrom3 for k in known])[:, told]
    x, y = ((each - each.mean(axis=0)).ravel() for each in (x, y))
    sizes = float(np.sqrt(x @ x)), float(np.sqrt(y @ y))
    if min(sizes) == 0.0:
        return
    ratio, correlation = sizes[1] / sizes[0], float(x @ y) / (sizes[0] * sizes[1])
    is_reversed = correlation * np.sqrt(len(x) - len(told)) < -LABEL_LIMITS.stress_sign
    if not is_reversed and 1.0 / LABEL_LIMITS.stress_factor < ratio < LABEL_LIMITS.stress_factor:
        return
    found = f"{path}: stresses change by {ratio:.3g} times what the forces predict"
    volume = data.frames[0].supercell.torus.volume
    unit = _name_unit(
        ratio,
        {
            "stress: only the sign looks wrong (it is positive under tension)": 1.0,
            **{f"stress looks like {name}": factor for name, factor in _stress_units(volume).items()},
        },
        "stress is of another calculation or unit" if not is_reversed else "stress: the sign looks reversed",
    )
    sign = " of reversed sign" if is_reversed and "sign" not in unit else ""
    raise DataError(
        f"{found}; {unit}{sign}", fix="convert to eV/Å³, positive under tension, or set fit.stress to false"
    )


def _stress_units(volume: float) -> dict[str, float]:
    """Numbers of a stress in other units over that in eV/Å³."""
    per_bohr3 = BOHR_ANGSTROM**3
    return {
        "GPa": EV_PER_ANGSTROM3_GPA,
        "kbar": 10.0 * EV_PER_ANGSTROM3_GPA,
        "Ry/bohr³": per_bohr3 / RYDBERG_EV,
        "hartree/bohr³": per_bohr3 / HARTREE_EV,
        "a virial (stress times volume)": volume,
    }
