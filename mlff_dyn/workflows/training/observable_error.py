"""Error of the observable that a training is for, from its slopes by the parameters, found once per refit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.errors import ConfigError
from mlff_dyn.observables.conductivity.error_bars import conductivity_errors
from mlff_dyn.observables.conductivity.meshes import slope_mesh_of
from mlff_dyn.observables.conductivity.parameter_slopes import ROOM_KELVIN, conductivity_slopes
from mlff_dyn.observables.conductivity.solver import ThreePhonons, Transport
from mlff_dyn.workflows.stability import stability_warnings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField
    from mlff_dyn.workflows.setup.workspace import Workspace

_LARGE_MESH = (1000, 1000, 1000)


@dataclass(frozen=True, eq=False)
class ObservableSlopes:
    """What a refit knows of an observable.

    Attributes
    ----------
    slopes : ndarray, shape (n_parameters,), or None
        Over the size of the observable; None where it does not exist, since the crystal is not stable yet.
    truncation_relative : float
    """

    slopes: NDArray[np.float64] | None
    truncation_relative: float

    def epistemic_relative(self, force_field: ForceField) -> float:
        """Standard deviation over the size of the observable, with the posterior of a force field."""
        if self.slopes is None:
            return np.inf
        along = self.slopes @ force_field.posterior.covariance_factor
        return force_field.calibration * float(np.linalg.norm(along))


@dataclass(frozen=True)
class RelativeError:
    """Error of an observable over its size.

    Attributes
    ----------
    error_limit_relative : float
    epistemic_relative, truncation_relative : float
        Standard deviations that more data remove and do not remove; infinite where it does not exist yet.
    """

    error_limit_relative: float
    epistemic_relative: float
    truncation_relative: float

    @property
    def relative(self) -> float:
        """Both parts together."""
        return float(np.hypot(self.epistemic_relative, self.truncation_relative))

    def to_json(self) -> dict[str, float | None]:
        """Return plain values; None where the observable does not exist yet."""
        parts = {**asdict(self), "error_relative": self.relative}
        return {name: value if np.isfinite(value) else None for name, value in parts.items()}


class ObservableError:
    """Slopes of the observable of a training.

    Parameters
    ----------
    workspace : Workspace

    Raises
    ------
    ConfigError
        If the data might leave out an order that the observable needs.
    """

    def __init__(self, workspace: Workspace) -> None:
        if workspace.config.training.fit.growing_orders:
            raise ConfigError(
                "training.fit.growing_orders does not go with training.criterion.kind observable: the "
                "conductivity needs order 3 whatever the data support",
                fix="leave out training.fit.growing_orders",
            )
        self._settings, self._seed = workspace.config.conductivity, workspace.config.seed
        given = self._settings
        self._torus: Torus = workspace.supercell(given.supercell)
        self._harmonic = None if given.supercell_2 is None else workspace.supercell(given.supercell_2)
        self._known: tuple[NDArray[np.float64], ObservableSlopes] | None = None

    def errors(self, refitted: ForceField, running: ForceField) -> RelativeError:
        """Present error and its limit.

        Parameters
        ----------
        refitted : ForceField
            That the slopes are of.
        running : ForceField
            The same with the errors after all calculations that run.
        """
        found = self.of(refitted)
        return RelativeError(
            error_limit_relative=self._settings.error_limit_relative,
            epistemic_relative=found.epistemic_relative(running),
            truncation_relative=found.truncation_relative,
        )

    def of(self, force_field: ForceField) -> ObservableSlopes:
        """Slopes at the posterior mean of a force field."""
        mean = force_field.posterior.mean
        if self._known is None or not np.array_equal(self._known[0], mean):
            self._known = (mean, self._found(force_field))
        return self._known[1]

    def _found(self, force_field: ForceField) -> ObservableSlopes:
        if stability_warnings(force_field, self._harmonic or self._torus):
            return ObservableSlopes(None, 0.0)
        given = self._settings
        kelvin = min(given.temperatures_kelvin, key=lambda each: abs(each - ROOM_KELVIN))
        transport = Transport(
            (kelvin,), isotopes=given.isotopes, boundary_micrometer=given.boundary_micrometer
        )
        phonons = ThreePhonons(force_field, self._torus, self._harmonic)
        mesh = slope_mesh_of(self._torus, _LARGE_MESH if given.q_mesh == "auto" else given.q_mesh)
        slopes = conductivity_slopes(phonons, transport, mesh, n_samples=given.n_samples, seed=self._seed)
        size = float(slopes.kappa[0, :3].mean())
        errors = conductivity_errors(phonons, slopes)
        of_mean = (slopes.second + slopes.third)[0, :3].mean(axis=0)
        return ObservableSlopes(of_mean / size, float(errors.mean_truncation[0]) / size)
