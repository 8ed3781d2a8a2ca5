"""What a run has learnt: its snapshots and the force field fitted to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.growing_orders import OrderChoice, fit_growing_orders
from mlff_dyn.model.fitting.labelled_frame import FitOptions
from mlff_dyn.model.force_field import errors_of_rows
from mlff_dyn.regression.errors.outliers import OUTLIER_LIMITS
from mlff_dyn.store.model_file import write_model
from mlff_dyn.training.frame_choice import can_judge_truncation
from mlff_dyn.training.limits import LIMITS
from mlff_dyn.workflows.training.atom_checks import check_atoms
from mlff_dyn.workflows.training.data import OUTGROWN, TrainingData
from mlff_dyn.workflows.training.data_checks import check_fit
from mlff_dyn.workflows.training.label_checks import (
    check_labels,
    energy_supports_forces,
    misfit_has_its_energy,
)
from mlff_dyn.workflows.training.outgrown import first_and_moving, fit_without_outgrown, tell_untested_rest
from mlff_dyn.workflows.training.outliers import (
    Contradiction,
    describe_misfit,
    find_outliers,
    prediction_misfit,
    refuse_many,
)
from mlff_dyn.workflows.training.train_report import describe_fit
from mlff_dyn.workflows.training.training_journal import LABELLED, ORDERS, TrainingJournal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame
    from mlff_dyn.model.fitting.prior_guess import PriorGuess
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.store.dataset import Snapshot
    from mlff_dyn.store.provenance import Provenance, Where
    from mlff_dyn.workflows.setup.workspace import Workspace

_OUTGROWN_BECAUSE = "frames of thermal motion are predicted better without such small displacements"


class Learner:
    """Snapshots, force field and journal of a run directory, kept in step on disk.

    The force field is a function of the data set alone, so a resumed run goes on as if never interrupted.

    Parameters
    ----------
    workspace : Workspace
    grows : bool
        Whether snapshots will be added, see `FitData`.

    Attributes
    ----------
    guess : PriorGuess or None
        What the source of `training.prior` suggests; to be set before the first fit.
    orders : OrderChoice or None
        Orders in use of the present force field, where `training.fit.growing_orders` lets data choose them.

    Raises
    ------
    DataError
        If the data set is damaged or belongs to another crystal.
    """

    def __init__(self, workspace: Workspace, *, grows: bool = True) -> None:
        self.workspace = workspace
        fit = workspace.config.training.fit
        options = FitOptions(energies=fit.energies, stress=fit.stress)
        self.data = TrainingData(workspace.dataset_path, workspace.expansion, options)
        self.journal = TrainingJournal(workspace.journal_path, workspace.basis_identity)
        self.guess: PriorGuess | None = None
        self.orders: OrderChoice | None = None
        self._force_field: ForceField | None = None
        self._half: ForceField | None = None
        self._checked: list[tuple[int, float | None, float]] = []
        self._fit_data = FitData((), options, grows=grows)
        self._record_labels()

    @property
    def n_calculations(self) -> int:
        """Snapshots that an engine labelled for this run."""
        return self.data.n_calculations

    @property
    def scores(self) -> list[float]:
        """True over expected error of every calculation, before it was trained on."""
        scores = (snapshot.provenance.score for snapshot in self.data.snapshots)
        return [score for score in scores if score is not None]

    def force_field(self) -> ForceField:
        """Force field of the present data; fitted on demand.

        Raises
        ------
        FitError
            If there are no data, or they cannot be described.
        """
        if self._force_field is None:
            fitted = self._fit()
            if self.n_calculations == 0 and self._set_outliers_aside(fitted):
                fitted = self._fit()
            fitted = self._outgrown(fitted)
            check_fit(self.workspace.dataset_path, fitted)
            self._check_atoms(fitted)
            self.journal.append("refit", n_snapshots=len(self.data), **describe_fit(fitted))
            if fitted.prior_guess is not None:
                self.journal.append("prior", n_snapshots=len(self.data), **fitted.prior_guess.to_json())
            if self.orders is not None:
                self.journal.append(ORDERS, n_snapshots=len(self.data), **self.orders.to_json())
            self._force_field = fitted
        return self._force_field

    @property
    def fit_data(self) -> FitData:
        """Data of the present force field, for the orders that it has."""
        return self._data_of(self.force_field())

    def _data_of(self, force_field: ForceField) -> FitData:
        return self._fit_data.up_to(max(force_field.basis.orders))

    def note_checked(self, data: FitData) -> None:
        """Remember frames whose labels were compared, so that a fit to just these does not do it again."""
        self._checked = _labels_of(data.frames)
        self._fit_data = data.with_options(self._fit_data.options, grows=self._fit_data.grows)

    def _fit(self) -> ForceField:
        rows, basis = self.data.fit_rows(), self.workspace.expansion.basis
        self._fit_data = self._fit_data.updated(rows)
        if self._checked != _labels_of(rows):
            uses_stress = self.data.options.stress
            check_labels(self.workspace.dataset_path, self._fit_data, basis, uses_stress=uses_stress)
            self._checked = _labels_of(rows)
        fitted, self.orders = self._fitted_to(self._fit_data)
        return fitted

    def _fitted_to(self, data: FitData) -> tuple[ForceField, OrderChoice | None]:
        if not self.workspace.config.training.fit.growing_orders:
            return fit_force_field(self.workspace.expansion.basis, data, guess=self.guess), None
        found = fit_growing_orders(data, guess=self.guess)
        return found.force_field, found

    def _set_outliers_aside(self, force_field: ForceField) -> bool:
        """Mark given labels that contradict all others; whether there are any."""
        found = find_outliers(force_field, self._data_of(force_field), guess=self.guess)
        refuse_many(self.workspace.dataset_path, found, len(self._fit_data))
        marks = {}
        for outlier in found:
            index = self.data.fitted[outlier.frame]
            text = outlier.describe(self.data.snapshots[index], force_field.basis.crystal)
            marks[index] = (outlier.label, text)
        if marks:
            self.data.set_aside(marks)
        return bool(marks)

    def _outgrown(self, force_field: ForceField) -> ForceField:
        """Mark small displacements that are not to be trained on any more; the fit without them.

        Criteria for comparison train on all that they have called for, and observables are known best near
        rest. Where dynamics has left the trusted region they stay: they hold the crystal at its sites, and
        the error bars of what leaves it.
        """
        if self.workspace.config.training.criterion.kind != "trajectory":
            return force_field
        labels = [self.data.snapshots[index].provenance for index in self.data.fitted]
        if any(label.is_after_explosion for label in labels):
            return force_field
        amplitudes = [frame.amplitude_angstrom for frame in self._fit_data.frames]
        first, moving = first_and_moving(labels, amplitudes)
        data = self._data_of(force_field)
        found = fit_without_outgrown(force_field, data, first, moving, guess=self.guess)
        if found is None:
            return force_field
        self.data.set_aside({self.data.fitted[k]: (OUTGROWN, _OUTGROWN_BECAUSE) for k in first})
        self.journal.append("outgrown", n_snapshots=len(self.data), n_first=len(first))
        if self.orders is not None or not found.is_of(self.data.fit_rows()):
            return self._fit()
        self._fit_data = found.data
        return found.force_field

    def _near_rest(self) -> ForceField | None:
        """Fit to small displacements that are outgrown as well, if there are any.

        Its search begins anew, so that it depends on the data alone.
        """
        snapshots = self.data.snapshots
        outgrown = [
            row
            for row, snapshot in zip(self.data.rows, snapshots, strict=True)
            if snapshot.provenance.set_aside == OUTGROWN
        ]
        if not outgrown:
            return None
        force_field = self.force_field()
        data = self._fit_data.with_options(self._fit_data.options).extended(outgrown)
        return fit_force_field(force_field.basis, data.up_to(max(force_field.basis.orders)), guess=self.guess)

    def _check_atoms(self, force_field: ForceField) -> list[str]:
        used = [self.data.snapshots[k] for k in self.data.fitted]
        return check_atoms(self.workspace.dataset_path, force_field, self._data_of(force_field), used)

    def contradictions(self, snapshots: Sequence[Snapshot]) -> dict[int, Contradiction]:
        """New snapshots, by number, whose forces cannot be noise about their prediction.

        Cells larger than those of all data move in ways of which the data know nothing.
        """
        if not len(self.data) or len(self.fit_data) < OUTLIER_LIMITS.fewest - 1:
            return {}
        force_field, first = self.force_field(), len(self._fit_data)
        data = self._fit_data.extended(self.data.frames_of(snapshots)).up_to(max(force_field.basis.orders))
        amplitude = max(frame.amplitude_angstrom for frame in self._fit_data.frames)
        largest = max(frame.n_atoms for frame in self._fit_data.frames)
        found = {}
        for k, (frame, snapshot) in enumerate(zip(data.frames[first:], snapshots, strict=True)):
            if frame.n_atoms > largest:
                continue
            rows = data.force_rows(first + k)
            misfit = prediction_misfit(force_field, frame, rows, amplitude)
            if misfit.contradicts(force_field.training.force_rms_ev_per_angstrom):
                text = describe_misfit(misfit, snapshot, force_field.basis.crystal)
                is_supported = misfit_has_its_energy(force_field, frame, rows, data.energy_row(first + k))
                if not misfit.is_local:
                    is_supported = is_supported or energy_supports_forces(force_field, frame)
                found[k] = Contradiction(text, is_supported)
        return found

    def write_model(self) -> None:
        """Write the force field of the present data."""
        metadata = {
            "identity": self.workspace.basis_identity,
            "n_snapshots": len(self.data),
            "supercell": np.asarray(self.workspace.config.structure.supercell).tolist(),
        }
        force_field = replace(self.force_field(), near_rest=self._near_rest())
        write_model(self.workspace.model_path, force_field, metadata)

    def warnings(self) -> list[str]:
        """What is suspicious about the data and the fit, one line each."""
        findings = self.data.findings()
        known = [snapshot.provenance for snapshot in self.data.snapshots]
        again = [f"calculation {label.calculation}: {label.reason}" for label in known if label.is_second]
        fitted = self.force_field()
        of_fit = [*check_fit(self.workspace.dataset_path, fitted), *self._check_atoms(fitted)]
        amplitudes = [row.amplitude_angstrom for row in self.data.rows]
        of_rest = tell_untested_rest(amplitudes, fitted.basis.orders)
        return [*findings.warnings, *again, *of_fit, *of_rest]

    def learn(self, snapshots: Sequence[Snapshot]) -> None:
        """Predict new snapshots, record both errors, then train on all of them.

        They enter the data set together: where a run is killed, either all are there or none, and the next
        call does not depend on the moment.
        """
        frames = self.data.frames_of(snapshots)
        known = [snapshot.provenance for snapshot in snapshots]
        labels = self._compare(frames, known) if len(self.data) else known
        pairs = zip(snapshots, labels, strict=True)
        self.data.append([replace(snapshot, provenance=label) for snapshot, label in pairs], frames)
        self._force_field = self._half = None
        self._record_labels()
        self.force_field()

    def _record_labels(self) -> None:
        """Enter calculations that the journal does not have, as after a kill between file and journal."""
        for number, snapshot in enumerate(self.data.snapshots, start=1):
            if snapshot.provenance.is_calculation:
                self.journal.append(LABELLED, n_snapshots=number, **snapshot.provenance.to_info())

    def is_tested(self, where: Where, n_last: int = 1, *, by_dynamics: bool = False) -> bool:
        """Whether the last calculations of some dynamics were predicted within their error bars.

        Those that run have not been; first structures count unless it is to be ``by_dynamics``: they follow
        from order 2 alone.
        """
        tests = self._tests(where, by_dynamics=by_dynamics)[-n_last:]
        return len(tests) >= n_last and all(map(_is_predicted, tests))

    def tested_error(self, where: Where) -> float:
        """Error that the last calculation of some dynamics found before it was trained on, over its force.

        It is infinite where there is none, or where more was found than expected.
        """
        tests = self._tests(where, by_dynamics=where is None)
        found = tests[-1].found_force_error_relative if tests else None
        return found if found is not None and _is_predicted(tests[-1]) else np.inf

    def _tests(self, where: Where, *, by_dynamics: bool) -> list[Provenance]:
        known = [snapshot.provenance for snapshot in self.data.snapshots]
        return [
            label
            for label in known
            if label.is_of(where) and label.score is not None and (label.is_of_dynamics or not by_dynamics)
        ]

    def has_settled(self, where: Where) -> bool:
        """Whether the first half of the data tells the orders and the truncation there that all data tell."""
        force_field, data = self.force_field(), self._fit_data
        labels = [self.data.snapshots[index].provenance for index in self.data.fitted]
        of_dynamics = [
            frame
            for frame, label in zip(data.frames, labels, strict=True)
            if label.is_of_dynamics and label.is_of(where)
        ]
        if not of_dynamics:
            return False
        if self._half is None:
            self._half, _ = self._fitted_to(data.first((len(data) + 1) // 2))
        conditions, half = of_dynamics[-1].conditions, self._half
        variances = [
            float(np.mean(each.posterior.noise.truncation_variance(conditions.amplitudes, conditions.ratios)))
            for each in (half, force_field)
        ]
        is_same = max(variances) <= LIMITS.largest_change**2 * min(variances)
        is_same = is_same and half.basis.orders == force_field.basis.orders
        return is_same and can_judge_truncation(half)

    def _compare(self, frames: Sequence[LabelledFrame], labels: Sequence[Provenance]) -> list[Provenance]:
        """Enter expected and true error of frames that the force field does not know yet."""
        force_field = self.force_field()
        first = len(self._fit_data)
        self._fit_data = self._fit_data.extended(frames)
        data = self._data_of(force_field)
        return [
            _compared(force_field, frame, data.force_rows(first + k), label)
            for k, (frame, label) in enumerate(zip(data.frames[first:], labels, strict=True))
        ]


def _compared(
    force_field: ForceField, frame: LabelledFrame, force_rows: NDArray[np.float64], label: Provenance
) -> Provenance:
    errors = errors_of_rows(force_field, force_rows, frame.conditions)
    expected = float(np.sqrt(np.mean(errors.predictive**2)))
    rest = frame.targets.forces - force_rows @ force_field.posterior.mean
    found = float(np.sqrt(np.mean(rest**2)))
    static = force_field.static_forces_on(frame.supercell.torus).ravel()
    size = max(float(np.sqrt(np.mean((frame.forces - static) ** 2))), 1e-12)
    return replace(
        label,
        expected_force_error_ev_per_angstrom=expected,
        found_force_error_ev_per_angstrom=found,
        found_force_error_relative=found / size,
        score=found / max(expected, 1e-12),
    )


def _is_predicted(label: Provenance) -> bool:
    """Whether a calculation was predicted within its error bar."""
    return label.score is not None and label.score < LIMITS.accepted_score


def _labels_of(rows: Sequence[LabelledFrame]) -> list[tuple[int, float | None, float]]:
    """What tells the frames of one training apart."""
    return [(frame.origin, frame.energy_ev, float(frame.forces @ frame.forces)) for frame in rows]
