"""The force field inside LAMMPS: fix external calls it in every step, from LAMMPS run by Python."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers

from mlff_dyn.errors import MlffError, UsageError
from mlff_dyn.formats.dynamics_codes.start import largest_displacement
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.followed_atoms import FollowedAtoms
from mlff_dyn.store.model_file import read_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

_FIX = "mlff"


@contextmanager
def lammps_forces(
    program: Any,  # noqa: ANN401 (a class of the package lammps)
    model: str | Path,
    *,
    elements: Sequence[str],
    supercell: ArrayLike,
    displacement_limit_angstrom: float | None = None,
    n_threads: int | None = 1,
) -> Iterator[FollowedAtoms]:
    """Give LAMMPS the energy, forces and pressure of a force field while the block lasts.

    A fix named ``mlff`` adds them to all atoms; energies and pressure contain it. Atoms are known by their
    numbers, in any order and rigidly shifted, the cell turned in any way.

    Parameters
    ----------
    program : lammps.lammps
        In units metal, with a box that is the supercell and its atoms in it; one process.
    model : str or Path
        ``model.h5``.
    elements : sequence of str
        Of each atom type.
    supercell : array_like of int, shape (3, 3)
        Vectors of the box (rows) in those of the primitive cell; ``export --format lammps`` writes them.
    displacement_limit_angstrom : float, optional
        An atom farther from its site ends the run; by default see `largest_displacement`.
    n_threads : int or None
        Threads of the kernel; None: as many as pay.

    Yields
    ------
    FollowedAtoms
        With the largest displacement and the number of evaluations so far.

    Raises
    ------
    UsageError
        If LAMMPS runs in several processes, or in other units.
    DataError
        If its atoms are no displaced supercell of the crystal.
    SimulationError
        If an atom or the cell left the trusted region.
    """
    _check(program, elements)
    force_field, _ = read_model(Path(model))
    torus = Torus(force_field.basis.crystal, np.asarray(supercell, np.int64))
    numbers = _numbers(program, elements)
    limit = largest_displacement(force_field, displacement_limit_angstrom)
    followed = FollowedAtoms(force_field, torus, numbers, limit, n_threads=n_threads)
    callback = _Callback(program, followed)
    program.command(f"fix {_FIX} all external pf/callback 1 1")
    program.command(f"fix_modify {_FIX} energy yes virial yes")
    program.set_fix_external_callback(_FIX, callback, program)
    try:
        yield followed
    finally:
        program.command(f"unfix {_FIX}")
        callback.raise_error()


class _Callback:
    """What fix external calls; an error ends the run, since none may pass through LAMMPS."""

    def __init__(self, program: Any, followed: FollowedAtoms) -> None:  # noqa: ANN401
        self._program = program
        self._followed = followed
        self._error: BaseException | None = None

    def raise_error(self) -> None:
        """Raise the error that ended a run, if one did, and let LAMMPS run again."""
        if self._error is not None:
            self._program.command("timer timeout off")
            raise self._error

    def __call__(
        self,
        _: object,
        step: int,
        n_atoms: int,
        ids: NDArray[np.int32],
        positions: NDArray[np.float64],
        forces: NDArray[np.float64],
    ) -> None:
        forces[:] = 0.0
        try:
            rows = np.asarray(ids).ravel()[:n_atoms] - 1
            in_order = np.empty_like(positions)
            in_order[rows] = positions
            is_wanted = _wants_virial(self._program, step)
            found = self._followed.evaluate(_box(self._program), in_order, stress=is_wanted)
            forces[:] = found.forces[rows]
            self._program.fix_external_set_energy_global(_FIX, found.energy)
            if is_wanted:
                virial = found.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
                self._program.fix_external_set_virial_global(_FIX, virial.tolist())
        except MlffError as error:
            self._error = type(error)(f"LAMMPS, step {step}: {error.message}", fix=error.fix)
            self._program.force_timeout()
        except BaseException as error:  # noqa: BLE001 (raised again where LAMMPS has returned)
            self._error = error
            self._program.force_timeout()


def _check(program: Any, elements: Sequence[str]) -> None:  # noqa: ANN401
    n_processes = program.extract_setting("world_size")
    if n_processes != 1:
        raise UsageError(
            f"LAMMPS runs in {n_processes} processes", fix="run it in one, with n_threads for the force field"
        )
    units = program.extract_global("units")
    if units != "metal":
        raise UsageError(f"LAMMPS works in units {units}", fix="write 'units metal' into its input")
    unknown = [name for name in elements if name not in atomic_numbers]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no element", fix="name the element of each atom type")
    if not program.extract_setting("box_exist"):
        raise UsageError("LAMMPS has no box", fix="read the data file first")


def _numbers(program: Any, elements: Sequence[str]) -> NDArray[np.int64]:  # noqa: ANN401
    """Atomic numbers by atom id."""
    n_types = program.extract_setting("ntypes")
    if n_types != len(elements):
        raise UsageError(
            f"LAMMPS has {n_types} atom types, and elements are {', '.join(elements)}",
            fix="name the element of each atom type",
        )
    n_atoms = program.get_natoms()
    ids = np.array(program.numpy.extract_atom("id"))[:n_atoms]
    types = np.array(program.numpy.extract_atom("type"))[:n_atoms]
    if len(ids) != n_atoms or set(ids.tolist()) != set(range(1, n_atoms + 1)):
        raise UsageError(
            "atom ids of LAMMPS are not 1 to the number of atoms", fix="use the exported data file"
        )
    numbers = np.empty(n_atoms, np.int64)
    numbers[ids - 1] = [atomic_numbers[elements[kind - 1]] for kind in types.ravel().tolist()]
    return numbers


def _wants_virial(program: Any, step: int) -> bool:  # noqa: ANN401
    """Whether LAMMPS uses the pressure of this step; versions that do not tell get it in every step."""
    if program.extract_global_datatype("vflag_global") < 0:
        return True
    return bool(program.extract_global("vflag_global") == step)


def _box(program: Any) -> NDArray[np.float64]:  # noqa: ANN401
    """Cell vectors, rows, Å."""
    low, high, xy, yz, xz, *_ = program.extract_box()
    xx, yy, zz = np.subtract(high, low).tolist()
    return np.array([[xx, 0.0, 0.0], [xy, yy, 0.0], [xz, yz, zz]])
