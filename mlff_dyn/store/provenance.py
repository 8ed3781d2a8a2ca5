"""Where a labelled frame comes from: a typed record of what a data set says besides numbers of atoms."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from mlff_dyn.store.json_file import check_plain_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

AGAIN = "-again"
"""End of the name of a calculation that is made once more."""

INITIAL = "initial structure"
"""Reason of a calculation that no dynamics asked for."""

ON_RAMP = " on a ramp"
"""End of the reason of a calculation that dynamics with a rising temperature asked for."""

RAMP: Literal["ramp"] = "ramp"

Where = float | Literal["ramp"] | None
"""What dynamics a frame is of: at a temperature (K), on a ramp, or None: of no own dynamics."""

_OLD_NAMES = {"temperature_k": "temperature_kelvin"}


@dataclass(frozen=True)
class Provenance:
    """Who labelled a frame and why, and how well its forces were predicted before.

    Attributes
    ----------
    calculation : str or None
        Name of its calculation in the run directory.
    reason : str or None
        Why it was calculated.
    engine, engine_kind : str or None
        Digest of the engine and its parameters, and its kind; of calculations of this run alone.
    label_engine, label_engine_kind : str or None
        The same of frames that were given to this run and that another one had calculated: for those of
        output files, a digest of the settings that results depend on.
    program : str or None
        Name and version of what calculated it, such as "VASP 6.4.1".
    pseudopotentials : str or None
        Their titles or files, separated by commas.
    file : str or None
        That it was read from.
    step : int or None
        In that file, counted from 1.
    date : str or None
        Of the calculation, ISO 8601.
    changes : str or None
        In its input, after attempts that failed.
    temperature_kelvin : float or None
        Of the dynamics that it was taken from; of a ramp, where it called.
    expected_force_error_ev_per_angstrom, found_force_error_ev_per_angstrom : float or None
        Root mean square over the components, before the frame was trained on.
    found_force_error_relative : float or None
        Over the root mean square force.
    score : float or None
        Found over expected error.
    set_aside, set_aside_because : str or None
        Label that is not trained on, ``forces`` (with all others) or ``energy``, and why; ``outgrown``: a
        first structure without which dynamics is predicted better.
    others : mapping
        Whatever else is in the file.

    Raises
    ------
    DataError
        If a value is of another type.

    Examples
    --------
    >>> found = Provenance.from_info({"engine": "6f1c", "temperature_k": 300.0, "note": "by hand"})
    >>> found.temperature_kelvin, found.is_calculation, found.others
    (300.0, True, {'note': 'by hand'})
    >>> found.as_given().to_info()
    {'label_engine': '6f1c', 'temperature_kelvin': 300.0}
    """

    calculation: str | None = None
    reason: str | None = None
    engine: str | None = None
    engine_kind: str | None = None
    label_engine: str | None = None
    label_engine_kind: str | None = None
    program: str | None = None
    pseudopotentials: str | None = None
    file: str | None = None
    step: int | None = None
    date: str | None = None
    changes: str | None = None
    temperature_kelvin: float | None = None
    expected_force_error_ev_per_angstrom: float | None = None
    found_force_error_ev_per_angstrom: float | None = None
    found_force_error_relative: float | None = None
    score: float | None = None
    set_aside: str | None = None
    set_aside_because: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_plain_fields(self)

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> Provenance:
        """Build a record from the info values of a frame."""
        named = dict(info)
        for old, new in _OLD_NAMES.items():
            if old in named:
                named.setdefault(new, named.pop(old))
        known = {key: named.pop(key) for key in _NAMES if named.get(key) is not None}
        return cls(**known, others=named)

    def to_info(self) -> dict[str, Any]:
        """Return what is known as info values of a frame, in their order in the file."""
        known = {name: getattr(self, name) for name in _NAMES}
        return {**{name: value for name, value in known.items() if value is not None}, **self.others}

    @property
    def is_of_dynamics(self) -> bool:
        """Whether a calculation of this run is of a frame of its exploring dynamics."""
        return self.is_calculation and not (self.reason or INITIAL).startswith(INITIAL)

    @property
    def is_of_ramp(self) -> bool:
        """Whether it is of dynamics whose temperature rose."""
        return (self.reason or "").endswith(ON_RAMP)

    def is_of(self, where: Where) -> bool:
        """Whether a frame is of some dynamics."""
        if where == RAMP or self.is_of_ramp:
            return where == RAMP and self.is_of_ramp
        return self.temperature_kelvin == where

    @property
    def is_rattled(self) -> bool:
        """Whether a calculation of this run is of a first structure without a temperature."""
        is_first = self.is_calculation and (self.reason or "").startswith(INITIAL)
        return is_first and self.temperature_kelvin is None

    @property
    def is_calculation(self) -> bool:
        """Whether an engine labelled the frame for this run."""
        return self.engine is not None

    @property
    def is_second(self) -> bool:
        """Whether it replaces a calculation that contradicted its prediction."""
        return self.calculation is not None and self.calculation.endswith(AGAIN)

    @property
    def labelled_by(self) -> str | None:
        """Digest of the engine that labelled the frame, in this run or another one; None if nobody said."""
        return self.engine or self.label_engine

    def as_given(self) -> Provenance:
        """Return what a run keeps of a frame that it has not calculated itself."""
        return Provenance(
            label_engine=self.labelled_by,
            label_engine_kind=self.engine_kind or self.label_engine_kind,
            program=self.program,
            pseudopotentials=self.pseudopotentials,
            file=self.file,
            step=self.step,
            date=self.date,
            changes=self.changes,
            temperature_kelvin=self.temperature_kelvin,
        )


_NAMES = tuple(item.name for item in fields(Provenance) if item.name != "others")
