"""What an engine is: three verbs on one directory, and what it returns.

An engine knows nothing of queues, names or other calculations. Physics (``parameters``) is kept apart from
the machine (``profile``). Units and atom order are converted by the reader, once.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from mlff_dyn.engines.magnetic_state import MagneticState
from mlff_dyn.errors import ConfigError, EngineError, check_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ase import Atoms


@dataclass(frozen=True, eq=False)
class EngineResult:
    """Energy and its derivatives of one structure, atoms in the order of the input.

    Parameters
    ----------
    energy_ev : float
        The energy that the forces are derivatives of (with smearing, the free energy).
    forces_ev_per_angstrom : ndarray, shape (n_atoms, 3)
    stress_ev_per_angstrom3 : ndarray, shape (6,), or None
        Voigt order xx, yy, zz, yz, xz, xy; positive under tension, as in ASE.
    magnetic_state : MagneticState, optional
        Of a calculation with spins.
    origin : mapping of str to str
        ``program`` (name and version), ``pseudopotentials`` and ``date`` as in
        `mlff_dyn.store.provenance.Provenance`, as far as the output tells them.

    Raises
    ------
    DataError
        If a shape is wrong.
    EngineError
        If a number is not finite.
    """

    energy_ev: float
    forces_ev_per_angstrom: np.ndarray
    stress_ev_per_angstrom3: np.ndarray | None
    magnetic_state: MagneticState | None = None
    origin: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("forces", self.forces_ev_per_angstrom, (None, 3))
        if self.stress_ev_per_angstrom3 is not None:
            check_shape("stress", self.stress_ev_per_angstrom3, (6,))
        named: dict[str, float | np.ndarray] = {
            "energy": self.energy_ev,
            "forces": self.forces_ev_per_angstrom,
            "stress": 0.0 if self.stress_ev_per_angstrom3 is None else self.stress_ev_per_angstrom3,
        }
        for name, values in named.items():
            if not np.all(np.isfinite(values)):
                raise EngineError(
                    f"{name} is not finite",
                    fix="look into the output of the engine, and check engine.parameters and the structure",
                )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> EngineResult:
        """Build a result from the JSON values of ``to_json``."""
        stress = content["stress_ev_per_angstrom3"]
        return cls(
            energy_ev=float(content["energy_ev"]),
            forces_ev_per_angstrom=np.array(content["forces_ev_per_angstrom"], dtype=float),
            stress_ev_per_angstrom3=None if stress is None else np.array(stress, dtype=float),
            magnetic_state=MagneticState.from_json(content["magnetic_state"])
            if "magnetic_state" in content
            else None,
            origin={str(name): str(text) for name, text in content.get("origin", {}).items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the values by the names of the attributes; magnetic state and origin only where known."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        state, origin = values.pop("magnetic_state"), values.pop("origin")
        if state is not None:
            values["magnetic_state"] = state.to_json()
        return {**values, "origin": dict(origin)} if origin else values


class Engine(Protocol):
    """A reference code.

    ``kind`` and ``parameters`` say what is calculated, whatever the machine; results of engines that agree in
    both may be mixed.
    """

    @property
    def kind(self) -> str:
        """Name in the configuration."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Physics, as configured."""

    def write_input(self, directory: Path, atoms: Atoms) -> None:
        """Write all that ``run`` needs into an existing directory, and check that it can run at all.

        Raises
        ------
        ConfigError, EngineError
            If the parameters do not fit the structure, or a program or a file is missing.
        """

    def read_input(self, directory: Path) -> Atoms:
        """Read the structure of an input back."""

    def check(self, directory: Path) -> Mapping[str, str]:
        """Say, without calculating, with what ``run`` would work on the input that is there.

        Returns
        -------
        mapping of str to str
            Such as the path of the program; for people.

        Raises
        ------
        ConfigError, EngineError
            If something is missing or does not fit.
        """

    def run(self, directory: Path) -> None:
        """Calculate, and return when it is done.

        Raises
        ------
        EngineError
            If the calculation fails; the message has the file, the reason and the next step.
        """

    def read_result(self, directory: Path) -> EngineResult:
        """Read a finished calculation.

        Raises
        ------
        EngineError
            If the output is missing, cut, not converged or damaged; the message has the file and the reason.
        """

    def amend_input(self, directory: Path, attempt: int) -> str | None:
        """Change the input after a failed attempt so that the calculation converges to the same result.

        Parameters
        ----------
        directory : Path
            With the input and the output of the attempt that failed.
        attempt : int
            Number of attempts that have failed, from 1.

        Returns
        -------
        str or None
            What was changed, for people; None if there is nothing left to try.
        """

    def settle(self, directory: Path) -> None:
        """Wait for what an earlier, killed command may have left running in the directory."""

    def stop(self) -> None:
        """End whatever this engine runs now, from another thread; it will not be used again."""


@runtime_checkable
class RunsProgram(Protocol):
    """An engine whose calculation is one program, which can be run by hand."""

    def command_line(self) -> str:
        """Return what ``run`` does as a line for a shell in the directory of the calculation."""


def engine_identity(engine: Engine) -> str:
    """Return a digest of what an engine calculates: its kind and its parameters, not its machine."""
    return identity_of(engine.kind, engine.parameters)


def identity_of(kind: str, physics: Mapping[str, Any]) -> str:
    """Return the digest of an engine of this kind with these parameters, those without physics left out."""
    content = json.dumps([kind, physics], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


@runtime_checkable
class TellsSettings(Protocol):
    """An engine whose results have the settings that readers of its output files find there."""

    def settings_identity(self, atoms: Atoms) -> str:
        """Return the ``label_engine`` of a file with the result of these atoms."""


def label_identities(engine: Engine, atoms: Atoms) -> frozenset[str]:
    """Return what may have labelled frames that go together with those of an engine.

    Parameters
    ----------
    engine : Engine
    atoms : Atoms
        One structure of the training.
    """
    own = {engine_identity(engine)}
    if isinstance(engine, TellsSettings):
        own.add(engine.settings_identity(atoms))
    return frozenset(own)


def check_keys(where: str, given: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Refuse unknown keys of a section of the configuration.

    Parameters
    ----------
    where : str
        Dotted path of the section.
    given : mapping
    allowed : iterable of str

    Raises
    ------
    ConfigError
        With the nearest allowed name, or all of them.
    """
    names = sorted(allowed)
    for key in given:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(names) or 'none'}"
            raise ConfigError(f"{where}.{key}: unknown key; {hint}", fix="rename or remove it")
