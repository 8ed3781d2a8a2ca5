"""Conductivities on meshes, in parts that are kept: at all temperatures together, or one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlff_dyn.errors import DataError
from mlff_dyn.observables.conductivity.parameter_slopes import (
    ConductivitySlopes,
    conductivity_slopes,
    slopes_at_temperatures,
)
from mlff_dyn.observables.conductivity.solver import LBTE, RTA, Conductivity, at_temperatures, joined
from mlff_dyn.report.numbers import format_mesh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlff_dyn.observables.conductivity.solver import Mesh, ThreePhonons, Transport
    from mlff_dyn.report.progress import Progress
    from mlff_dyn.workflows.results.kept_parts import KeptParts

_POINTS_OF_A_PART = 4
_LOWEST_THZ = -0.1


@dataclass(frozen=True, eq=False)
class Phonons:
    """Phonons that some temperatures have in common.

    Attributes
    ----------
    phonons : ThreePhonons
    transport : Transport      at these temperatures
    name : str                 of its parts
    """

    phonons: ThreePhonons
    transport: Transport
    name: str = ""


def on_mesh(
    every: Sequence[Phonons], mesh: Mesh, reference: int, kept: KeptParts, progress: Progress
) -> Conductivity:
    """Conductivity on one mesh at all temperatures.

    Parameters
    ----------
    every : sequence of Phonons
        For all temperatures together, or for each of them.
    mesh : tuple of int
    reference : int
        Number of the temperature whose modes are kept.
    kept : KeptParts
    progress : Progress

    Raises
    ------
    DataError
        If there are imaginary modes on the mesh.
    """
    found = [_of_phonons(each, mesh, kept, progress) for each in every]
    return found[0] if len(found) == 1 else at_temperatures(found, reference)


def _of_phonons(each: Phonons, mesh: Mesh, kept: KeptParts, progress: Progress) -> Conductivity:
    phonons, transport = each.phonons, each.transport
    phonons.prepare(phonons.constants(2), phonons.constants(3), mesh)
    lowest = phonons.lowest_thz()
    if lowest < _LOWEST_THZ:
        raise DataError(
            f"order 2 has imaginary modes on a mesh of {format_mesh(mesh)}, the lowest of {lowest:.3g} THz: "
            "there is no conductivity of a crystal that is not stable",
            fix="take order 2 at a temperature at which it is: --effective self-consistent, or dynamics",
        )
    name = each.name + "x".join(map(str, mesh))
    points = phonons.grid_points()
    progress.start(len(points), f"conductivity, q-mesh {format_mesh(mesh)}")
    if transport.method == LBTE:
        found = _part(kept, name, lambda: phonons.solve(transport))
        progress.update(len(points))
        return found
    parts = []
    for start in range(0, len(points), _POINTS_OF_A_PART):
        mine = points[start : start + _POINTS_OF_A_PART]
        parts.append(_part(kept, f"{name}-{start}", lambda mine=mine: phonons.solve(transport, mine)))  # type: ignore[misc]
        progress.update(start + len(mine))
    return joined(parts)


def _part(kept: KeptParts, name: str, solve: Callable[[], Conductivity]) -> Conductivity:
    known = kept.get(name, [], lambda: vars(solve()))
    return Conductivity(**{**known, "mesh": tuple(known["mesh"])})


def mesh_for_slopes(every: Sequence[Phonons], meshes: Sequence[Mesh]) -> Mesh:
    """First of some meshes on which all modes decay, or the last one.

    Parameters
    ----------
    every : sequence of Phonons
    meshes : sequence of Mesh
        From coarse to fine.
    """
    return next((mesh for mesh in meshes[:-1] if all(_decay(each, mesh) for each in every)), meshes[-1])


def _decay(each: Phonons, mesh: Mesh) -> bool:
    phonons = each.phonons
    phonons.prepare(phonons.constants(2), phonons.constants(3), mesh)
    return phonons.solve(replace(each.transport, method=RTA)).n_without_decay == 0


def slopes_on_mesh(
    every: Sequence[Phonons],
    mesh: Mesh,
    reference: int,
    *,
    n_samples: int,
    seed: int,
    kept: KeptParts,
    progress: Progress,
) -> ConductivitySlopes:
    """Slopes on one mesh, in the relaxation time approximation, at all temperatures.

    Parameters
    ----------
    every : sequence of Phonons
    mesh : tuple of int
    reference : int
        Number of the temperature whose slopes by force constants are kept.
    n_samples : int
        Of order 2.
    seed : int
    kept : KeptParts
    progress : Progress
    """
    found = []
    for each in every:
        progress.start(n_samples + 3, "error bar of the conductivity")
        transport = replace(each.transport, method=RTA, wigner=False)

        def make(phonons: ThreePhonons = each.phonons, transport: Transport = transport) -> dict[str, Any]:
            return vars(
                conductivity_slopes(
                    phonons, transport, mesh, n_samples=n_samples, seed=seed, tell=progress.update
                )
            )

        known = kept.get(f"{each.name}slopes", [mesh, n_samples, seed], make)
        found.append(ConductivitySlopes(**{**known, "mesh": tuple(known["mesh"])}))
    return found[0] if len(found) == 1 else slopes_at_temperatures(found, reference)
