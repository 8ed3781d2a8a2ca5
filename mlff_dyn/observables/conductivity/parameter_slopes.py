"""Slopes of the conductivity by the parameters of a force field.

Order 3 enters through the linewidths alone: its slopes are exact, `third_order_slopes`. Order 2 changes
frequencies, patterns, velocities and which decays conserve energy, on a mesh not smoothly: its slopes are
those of least norm that explain what samples of the posterior do, there and back, times the factor that gives
the mean square of these changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlff_dyn.errors import DataError
from mlff_dyn.observables.conductivity.slopes import third_order_slopes
from mlff_dyn.observables.truncation import truncation_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mlff_dyn.observables.conductivity.solver import Conductivity, Mesh, ThreePhonons, Transport


@dataclass(frozen=True)
class SlopeLimits:
    """Numbers that decide slopes.

    Attributes
    ----------
    least_relative : float
        Directions of order 2 with changes smaller than so many times the largest one count as none.
    least_component : float
        Components of the tensor smaller than so many times the largest one vanish by symmetry, and those
        that differ by less are the same.
    """

    least_relative: float = 1e-3
    least_component: float = 1e-7


_LIMITS = SlopeLimits()
ROOM_KELVIN = 300.0


@dataclass(frozen=True, eq=False)
class ConductivitySlopes:
    """Conductivity in the relaxation time approximation on one mesh, and its slopes by the parameters.

    Attributes
    ----------
    mesh : tuple of int
    kappa : ndarray, shape (n_temperatures, 6), W/mK
    second, third : ndarray, shape (n_temperatures, 6, n_parameters)
        By the parameters through order 2, and through order 3.
    by_constants : ndarray, shape (n_sites, n_atoms, n_atoms, 3, 3, 3)
        Slopes of the mean of the three axes, at the temperature `reference_of`, by each element of order 3 in
        the atoms of the torus.
    of_scale : ndarray, shape (n_temperatures, 6)
        Slope by a factor on all of order 3.
    by_truncation : ndarray, shape (n_temperatures, 6, n_changes), W/mK
        What each of the changes of parameters of `truncation_changes` does.
    by_sampling : ndarray, shape (n_temperatures, 6), W/mK
        Standard deviation by the statistical error of an average that order 2 is; zero at rest.
    """

    mesh: Mesh
    kappa: NDArray[np.float64]
    second: NDArray[np.float64]
    third: NDArray[np.float64]
    by_constants: NDArray[np.float64]
    of_scale: NDArray[np.float64]
    by_truncation: NDArray[np.float64]
    by_sampling: NDArray[np.float64]


def conductivity_slopes(
    phonons: ThreePhonons,
    transport: Transport,
    mesh: Mesh,
    *,
    n_samples: int,
    seed: int,
    tell: Callable[[int], None] = lambda _: None,
) -> ConductivitySlopes:
    """Conductivity and its slopes at the posterior mean.

    Parameters
    ----------
    phonons : ThreePhonons
    transport : Transport
        In the relaxation time approximation.
    mesh : tuple of int
    n_samples : int
        Of the posterior, for order 2.
    seed : int
        Of the samples.
    tell : callable, optional
        Called with the number of solutions that are done, ``n_samples`` + 3 in the end.
    """
    second, third = phonons.constants(2), phonons.constants(3)
    phonons.prepare(second, third, mesh)
    found = phonons.solve(transport)
    tell(1)
    components, mapping = _components(found)
    of_third, of_scale, reference = [], [], reference_of(transport)
    for number, kelvin in enumerate(transport.temperatures_kelvin):
        slopes = third_order_slopes(phonons, found, number, float(kelvin), components)[0]
        of_third.append([phonons.slopes(each) for each in slopes])
        of_scale.append(np.einsum("cpijxyz,pijxyz->c", slopes, third))
        if number == reference:
            by_constants = phonons.in_torus(_mean_of_axes(slopes, components, mapping))
    tell(2)
    truncated = truncation_changes(phonons.force_field)
    steps = [phonons.change_of_order_2(each) for each in truncated.T]
    by_truncation = np.stack([_change(phonons, found.mesh, transport, step) for step in steps], axis=-1)
    tell(3)
    steps = phonons.steps_of_order_2(n_samples, np.random.default_rng(seed))
    changes = []
    for step in steps:
        changes.append(_change(phonons, found.mesh, transport, step)[:, list(components)])
        tell(3 + len(changes))
    of_second = _slopes_by_steps(phonons, steps, np.array(changes))
    sampled = [_change(phonons, mesh, transport, step) for step in phonons.sampling_steps(n_samples)]
    by_sampling = np.sqrt(np.mean(np.square(sampled), axis=0)) if sampled else np.zeros_like(found.relaxation)
    spread_third = _spread(np.array(of_third), components, mapping)
    return ConductivitySlopes(
        mesh=mesh,
        kappa=found.relaxation,
        second=_spread(of_second, components, mapping),
        third=spread_third,
        by_constants=by_constants,
        of_scale=_spread(np.array(of_scale), components, mapping),
        by_truncation=by_truncation + spread_third @ truncated,
        by_sampling=by_sampling,
    )


def slopes_at_temperatures(parts: Sequence[ConductivitySlopes], reference: int) -> ConductivitySlopes:
    """Slopes on one mesh at one temperature each; those by force constants are of one of them."""
    names = ("kappa", "second", "third", "of_scale", "by_truncation", "by_sampling")
    joined: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in parts]) for name in names}
    return replace(parts[reference], **joined)


def reference_of(transport: Transport) -> int:
    """Number of the temperature nearest to room temperature."""
    return int(np.argmin(np.abs(np.array(transport.temperatures_kelvin) - ROOM_KELVIN)))


def _mean_of_axes(
    arrays: NDArray[np.float64], components: tuple[int, ...], mapping: list[int | None]
) -> NDArray[np.float64]:
    """Mean of the components xx, yy, zz."""
    found = np.zeros_like(arrays[0])
    for which in mapping[:3]:
        if which is not None:
            found += arrays[components.index(which)] / 3.0
    return np.asarray(found)


def _components(found: Conductivity) -> tuple[tuple[int, ...], list[int | None]]:
    """Different components of the tensor, and which of them each of the six is; None: it vanishes."""
    kappa = found.relaxation
    mapping: list[int | None] = []
    size = _LIMITS.least_component * np.abs(kappa).max(axis=1)
    chosen: list[int] = []
    for k in range(6):
        same = [c for c in chosen if (np.abs(kappa[:, k] - kappa[:, c]) <= size).all()]
        if (np.abs(kappa[:, k]) <= size).all():
            mapping.append(None)
        elif same:
            mapping.append(same[0])
        else:
            chosen.append(k)
            mapping.append(k)
    if not chosen:
        raise DataError(f"no mode decays on a q-mesh of {found.mesh}", fix="give a finer conductivity.q_mesh")
    return tuple(chosen), mapping


def _spread(
    values: NDArray[np.float64], components: tuple[int, ...], mapping: list[int | None]
) -> NDArray[np.float64]:
    """All six components from the different ones, (n_temperatures, n_components, ...)."""
    result = np.zeros((values.shape[0], 6, *values.shape[2:]))
    for k, which in enumerate(mapping):
        if which is not None:
            result[:, k] = values[:, components.index(which)]
    return result


def _change(
    phonons: ThreePhonons, mesh: Mesh, transport: Transport, step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Half of what a change of the compact force constants of order 2 does there and back."""
    second, third = phonons.constants(2), phonons.constants(3)
    found = []
    for sign in (1.0, -1.0):
        phonons.prepare(second + sign * step, third, mesh)
        found.append(phonons.solve(transport).relaxation)
    return np.asarray(0.5 * (found[0] - found[1]))


def _slopes_by_steps(
    phonons: ThreePhonons, steps: Sequence[NDArray[np.float64]], changes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Slopes by the parameters through order 2, (n_temperatures, n_components, n_parameters).

    Parameters
    ----------
    phonons : ThreePhonons
    steps : sequence of ndarray
        Of the compact force constants of order 2.
    changes : ndarray, shape (n_steps, n_temperatures, n_components)
        What each step does.
    """
    matrix = np.array([step.ravel() for step in steps])
    wanted = changes.reshape(len(steps), -1)
    solved = np.linalg.lstsq(matrix, wanted, rcond=_LIMITS.least_relative)[0]
    found = np.array([phonons.slopes(each.reshape(steps[0].shape)) for each in solved.T])
    covered = np.linalg.norm(found @ phonons.force_field.posterior.covariance_factor, axis=1)
    rms = np.sqrt(np.mean(wanted**2, axis=0))
    found *= np.divide(rms, covered, out=np.zeros_like(covered), where=covered > 0.0)[:, None]
    return found.reshape(*changes.shape[1:], -1)
