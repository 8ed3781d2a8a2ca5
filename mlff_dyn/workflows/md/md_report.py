"""What `run-md` reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

DONE, DRY_RUN = "done", "dry run"


@dataclass(frozen=True)
class TrajectorySummary:
    """One finished trajectory; the names are those of the JSON object.

    Averages leave out the first 0.5 ps; at constant volume, of a run shorter than 1 ps the first half.

    Attributes
    ----------
    directory : str                          relative to the run directory
    temperature_k : float                    that was asked for
    mean_temperature_k : float or None       of the atoms
    seed : int
    ensemble : str
    n_atoms, n_steps, n_frames : int
    timestep_fs : float
    steps_per_second : float
    force_sd_mean, force_sd_max : float or None
        Predictive error of the forces, eV/Å: root mean square over the components of a frame, mean and
        largest over some evenly spaced frames; None without frames.
    force_rms_ev_per_angstrom : float or None
    sigma_a : float or None                  anharmonicity, see `mlff_dyn.md.anharmonicity`
    largest_displacement_angstrom : float or None
    displacement_limit_angstrom : float
    pressure_gigapascal, pressure_error_gigapascal : float or None
        Mean over these frames, measured from the reference structure at rest, and its statistical error.
    volume_angstrom3, volume_error_angstrom3 : float or None
        Mean volume of the supercell and its statistical error.
    strain : list or None
        Mean strain of the cell, components xx, yy, zz, yz, xz, xy.
    cell_lengths_angstrom, cell_angles_degree : list or None
        Of the mean supercell.
    target_pressure_gigapascal : float or None
        That was asked for, at constant pressure.
    """

    directory: str
    temperature_k: float
    mean_temperature_k: float | None
    seed: int
    ensemble: str
    n_atoms: int
    n_steps: int
    n_frames: int
    timestep_fs: float
    steps_per_second: float
    force_sd_mean: float | None
    force_sd_max: float | None
    force_rms_ev_per_angstrom: float | None
    sigma_a: float | None
    largest_displacement_angstrom: float | None
    displacement_limit_angstrom: float
    pressure_gigapascal: float | None = None
    pressure_error_gigapascal: float | None = None
    volume_angstrom3: float | None = None
    volume_error_angstrom3: float | None = None
    strain: list[float] | None = None
    cell_lengths_angstrom: list[float] | None = None
    cell_angles_degree: list[float] | None = None
    target_pressure_gigapascal: float | None = None

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        picoseconds = self.n_steps * self.timestep_fs / 1000.0
        label = f"{self.temperature_k:g} K"
        return [
            (label, f"{self.directory}/trajectory.h5"),
            ("  length", f"{self.n_steps} steps, {picoseconds:g} ps, {self.n_atoms} atoms, {self.ensemble}"),
            ("  mean temperature", _quantity(self.mean_temperature_k, ".1f", "K")),
            ("  speed", f"{self.steps_per_second:.0f} steps/s"),
            ("  expected force error", self._error()),
            ("  anharmonicity", _quantity(self.sigma_a, ".3f", "")),
            ("  pressure", _with_error(self.pressure_gigapascal, self.pressure_error_gigapascal, "GPa")),
            *self._cell(),
        ]

    def _cell(self) -> list[tuple[str, str]]:
        if self.target_pressure_gigapascal is None or self.cell_lengths_angstrom is None:
            return []
        lengths = ", ".join(f"{length:.4f}" for length in self.cell_lengths_angstrom)
        return [
            ("  pressure asked for", f"{self.target_pressure_gigapascal:g} GPa"),
            ("  mean volume", _with_error(self.volume_angstrom3, self.volume_error_angstrom3, "Å³")),
            ("  mean cell lengths", f"{lengths} Å"),
        ]

    def _error(self) -> str:
        if self.force_sd_mean is None or self.force_sd_max is None or not self.force_rms_ev_per_angstrom:
            return "not computed"
        relative = 100.0 * self.force_sd_mean / self.force_rms_ev_per_angstrom
        return f"{self.force_sd_mean:#.2g} eV/Å ({relative:.2f} %), at most {self.force_sd_max:#.2g} eV/Å"


@dataclass(frozen=True)
class MdReport:
    """Result of `run-md`.

    Attributes
    ----------
    status : str
    trajectories : tuple of TrajectorySummary     one for each temperature
    plan : dict                                   of a dry run: sizes
    up_to_date : bool                             nothing had to be done
    """

    status: str
    trajectories: tuple[TrajectorySummary, ...] = ()
    plan: dict[str, object] = field(default_factory=dict)
    up_to_date: bool = False

    exit_code = 0

    def to_json(self) -> dict[str, object]:
        """Return the JSON object; with one temperature its values are also at the top."""
        described = [asdict(summary) for summary in self.trajectories]
        top = described[0] if len(described) == 1 else {}
        report: dict[str, object] = {"schema": "mlff-dyn run-md 1", "status": self.status, **self.plan, **top}
        return report if self.status == DRY_RUN else {**report, "trajectories": described}

    def table(self) -> list[tuple[str, str]]:
        """Return the rows for people."""
        rows = [("status", self.status + (" (up to date)" if self.up_to_date else ""))]
        rows += [(name.replace("_", " "), str(value)) for name, value in self.plan.items()]
        for summary in self.trajectories:
            rows += summary.rows()
        return rows


def _quantity(value: float | None, form: str, unit: str) -> str:
    return "not computed" if value is None else f"{value:{form}} {unit}".rstrip()


def _with_error(value: float | None, error: float | None, unit: str) -> str:
    return "not computed" if value is None or error is None else f"{value:.3f} ± {error:.3f} {unit}"
