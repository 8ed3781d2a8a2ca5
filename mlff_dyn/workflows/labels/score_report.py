"""What `label score` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlff_dyn.report.answer import Report
from mlff_dyn.report.numbers import format_error, format_remedy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MOST_NAMED = 5


@dataclass(frozen=True)
class FrameScore:
    """What to expect of a force field in one frame; None where that is not known.

    Attributes
    ----------
    frame : int                                       in the file, counted from 1
    predictive_ev_per_angstrom : float or None        expected force error, root mean square
    epistemic_ev_per_angstrom, truncation_ev_per_angstrom : float or None
        Its parts: what more data, and what only a larger expansion removes.
    force_rms_ev_per_angstrom : float or None         predicted
    displacement_rms_angstrom : float or None         of a component
    largest_displacement_angstrom : float or None
    is_candidate : bool                               it may be chosen: known, and not at rest
    is_labelled : bool                                the model was trained on it
    outside : str or None                             how it lies outside the trusted region
    """

    frame: int
    predictive_ev_per_angstrom: float | None = None
    epistemic_ev_per_angstrom: float | None = None
    truncation_ev_per_angstrom: float | None = None
    force_rms_ev_per_angstrom: float | None = None
    displacement_rms_angstrom: float | None = None
    largest_displacement_angstrom: float | None = None
    is_candidate: bool = False
    is_labelled: bool = False
    outside: str | None = None


@dataclass(frozen=True)
class ScoreReport(Report):
    """Expected errors of frames, and which to calculate.

    Attributes
    ----------
    file : Path
    frames : tuple of FrameScore
    next : tuple of int
        Frames to calculate, most useful first.
    expected_epistemic_ev_per_angstrom : tuple of float
        What more data remove of the error of all frames: now, and after each of those calculations.
    directories : tuple of Path
        Inputs of the engine, in the same order.
    warnings : tuple of str
    """

    verb = "label score"
    file: Path
    frames: tuple[FrameScore, ...]
    next: tuple[int, ...]
    expected_epistemic_ev_per_angstrom: tuple[float, ...]
    directories: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    def values(self) -> dict[str, object]:
        """Return the JSON values, with means over the frames."""
        known = self._known()
        return {
            "file": self.file,
            "n_frames": len(self.frames),
            "n_labelled": sum(each.is_labelled for each in self.frames),
            "n_outside": sum(each.outside is not None for each in self.frames),
            **{f"force_sd_{name}_ev_per_angstrom": value for name, value in self._sds().items()},
            "force_sd_relative": self._relative(),
            "worst_frame": max(known, key=_error).frame if known else None,
            "next": self.next,
            "expected_epistemic_ev_per_angstrom": self.expected_epistemic_ev_per_angstrom,
            "directories": self.directories,
            "warnings": self.warnings,
            "frames": [_known_values(each) for each in self.frames],
        }

    def why_null(self) -> Mapping[str, str]:
        """Say why values are None."""
        outside = "all frames lie outside the trusted region"
        at_rest = "all atoms are at their sites, without forces"
        return dict.fromkeys(self.values(), outside) | (
            {"force_sd_relative": at_rest} if self._known() else {}
        )

    def _known(self) -> list[FrameScore]:
        return [each for each in self.frames if each.predictive_ev_per_angstrom is not None]

    def _sds(self) -> dict[str, float | None]:
        known = self._known()
        return {
            name: float(np.sqrt(np.mean([getattr(each, f"{name}_ev_per_angstrom") ** 2 for each in known])))
            if known
            else None
            for name in ("predictive", "epistemic", "truncation")
        }

    def _relative(self) -> float | None:
        size = np.sum([(each.force_rms_ev_per_angstrom or 0.0) ** 2 for each in self._known()])
        total = np.sum([_error(each) ** 2 for each in self._known()])
        return float(np.sqrt(total / size)) if size > 0.0 else None

    def _outside_rows(self) -> list[tuple[str, str]]:
        """A row for each reason, with the frames that it holds for."""
        reasons: dict[str, list[int]] = {}
        for each in self.frames:
            if each.outside is not None:
                reasons.setdefault(each.outside, []).append(each.frame)
        lines = [
            f"frame{'s' if len(numbers) > 1 else ''} {_ranges(numbers)}: {reason}"
            for reason, numbers in reasons.items()
        ]
        rest = len(lines) - _MOST_NAMED
        more = [f"and {rest} other frames; all are in --json"] if rest > 0 else []
        return [("outside" if k == 0 else "", line) for k, line in enumerate([*lines[:_MOST_NAMED], *more])]

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        known = self._known()
        rows = [("frames", f"{len(self.frames)} of {self.file}")]
        if known:
            sds = {name: value or 0.0 for name, value in self._sds().items()}
            worst = max(known, key=_error)
            rows += [
                ("expected force error", format_error(sds["predictive"], self._relative())),
                ("  largest", f"{format_error(_error(worst))}, in frame {worst.frame}"),
                ("to lower it", format_remedy(sds)),
            ]
        known_before = [each.frame for each in self.frames if each.is_labelled]
        if known_before:
            rows.append(("trained on", f"frames {_ranges(known_before)}"))
        rows += self._outside_rows()
        by_number = {each.frame: each for each in self.frames}
        for place, number in enumerate(self.next, start=1):
            after = self.expected_epistemic_ev_per_angstrom[place]
            text = f"frame {number}, expected {format_error(_error(by_number[number]))}"
            text = f"{text}; after it, data remove at most {after:#.2g} eV/Å"
            rows.append(("calculate next" if place == 1 else "  then", text))
        rows += [("written", str(path)) for path in self.directories]
        return rows + [("warning", line) for line in self.warnings]


def _ranges(numbers: list[int]) -> str:
    """Write numbers that follow each other as ranges, the first of them.

    Examples
    --------
    >>> _ranges([1, 2, 3, 7])
    '1-3, 7'
    """
    ends = [k for k, number in enumerate(numbers) if numbers[k + 1 : k + 2] != [number + 1]]
    starts = [0, *(end + 1 for end in ends[:-1])]
    parts = [
        f"{numbers[start]}-{numbers[end]}" if end > start else f"{numbers[start]}"
        for start, end in zip(starts, ends, strict=True)
    ]
    return ", ".join(parts[:_MOST_NAMED]) + (", ..." if len(parts) > _MOST_NAMED else "")


def _known_values(frame: FrameScore) -> dict[str, object]:
    return {name: value for name, value in vars(frame).items() if value is not None}


def _error(frame: FrameScore) -> float:
    return frame.predictive_ev_per_angstrom or 0.0
