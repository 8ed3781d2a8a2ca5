"""Schema of the configuration: names, types, defaults, and the one home of what each key means.

Units are part of the names. Only ``structure`` and ``expansion`` are required. After validation all
values are plain: supercells are 3x3 tuples of integers, cutoffs are ``{order: Å | "full" | {n_bodies: Å}}``.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlff_dyn.config.fields import Integer, OrderCutoffs, Real, Stored, Supercell, Temperatures
from mlff_dyn.errors import ConfigError


class Section(BaseModel):
    """A mapping in the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class StructureConfig(Section):
    """Reference structure and the supercell of the reference calculations."""

    file: Path = Field(
        description="Reference structure, in any format of ASE; relative to the configuration file."
    )
    supercell: Supercell = Field(
        description="Training cell: 3 integers, or the rows of a 3x3 matrix of integers, in vectors of the "
        "cell in `file`."
    )
    symprec_angstrom: Real = Field(
        default=1.0e-5, gt=0.0, description="How far coordinates may be off the ideal crystal."
    )
    magnetic_moments: dict[str, Real] | tuple[Real, ...] | None = Field(
        default=None,
        description="Collinear magnetic moments, Bohr magnetons: `{Ni: 2.0}` by element, or one number for "
        "each atom of `file`; null: those in `file`. Their order is part of the crystal; engines start from "
        "it, and a calculation that ends in another one is refused.",
    )
    masses_amu: dict[str, Annotated[Real, Field(gt=0.0)]] = Field(
        default={},
        description="Masses of elements, like `{B: 11.009}` for an isotope, instead of those in `file` or of "
        "the natural ones.",
    )
    periodic: tuple[bool, bool, bool] | None = Field(
        default=None,
        description="Axes of the cell that are periodic; null: as in `file`. `[true, true, false]` is a "
        "sheet with vacuum along the third axis, across which nothing sees its images: one cell in every "
        "supercell, one k-point, a barostat in the plane. For pw.x set `assume_isolated: 2D` in "
        "`engine.parameters.input_data.system`, the vacuum being along z.",
    )


class LocalConfig(Section):
    """Functions of distances and angles around each atom beside the Taylor expansion; null: none."""

    cutoff_angstrom: Real = Field(
        default=5.0, gt=0.0, le=12.0, description="Distance at which atoms no longer count for each other."
    )
    n_radial: Integer = Field(
        default=5, ge=1, le=12, description="Radial functions for each species of neighbors."
    )
    l_max: Integer = Field(default=3, ge=0, le=6, description="Largest degree of the angular functions.")
    kinds: Literal["species", "sites"] = Field(
        default="species",
        description="Whose functions are the same: those of atoms of a `species`, or only of `sites` that "
        "symmetry maps onto each other.",
    )
    n_bodies: Literal[3, 4] = Field(
        default=4,
        description="3: functions of one and of two neighbors of each atom; 4: also of three near ones.",
    )


class ExpansionConfig(Section):
    """Taylor expansion of the energy in displacements, and what it cannot say."""

    cutoffs_angstrom: OrderCutoffs = Field(
        description="Largest distance within a cluster, per order (2, 3, ... up to 6, no gap) or per order "
        "and number of bodies, like `{2: full, 3: 4.0, 4: {2: 4.0, 3: 3.4, 4: 3.4}}`. `full` "
        "(orders 2 and 3) takes every pair or triple in the training cell. A number of bodies that is left "
        "out has no clusters."
    )
    local: LocalConfig | None = Field(default=None, description=LocalConfig.__doc__)
    rotational_sum_rules: tuple[Literal["huang", "born-huang"], ...] | None = Field(
        default=None,
        description="Rules of order 2 for a crystal without forces and stress at rest: `huang` (symmetric "
        "elastic constants), `born-huang` (no forces in a rotated crystal). They matter for flexural modes; "
        "null: both for a sheet or a wire (`structure.periodic`), none for a crystal.",
    )
    born_file: Path | None = Field(
        default=None,
        description="BORN file of phonopy (Born charges, dielectric tensor) of the cell in `structure.file`; "
        "relative to the configuration file. The dipole-dipole interaction is then taken out of the forces "
        "before the fit, and added on any supercell, strained or not.",
    )


class EngineConfig(Section):
    """The program that computes reference energies and forces."""

    kind: Literal["espresso", "ase"] = Field(
        description="`espresso`: pw.x of Quantum ESPRESSO; `ase`: any ASE calculator, by its import path."
    )
    parameters: dict[str, Any] = Field(
        default={},
        description="The physics. `espresso`: `input_data` (namelists), `pseudopotentials` (file per "
        "element), `kpoints` (`gamma` or 3 integers). `ase`: `calculator` (`package.module:Class`), "
        "`arguments` (its keyword arguments).",
    )
    profile: dict[str, Any] = Field(
        default={},
        description="The machine. `espresso`: `command`, `pseudo_dir` (relative to the configuration file), "
        "`environment`, `timeout_minutes`. `ase`: `arguments` of the calculator without physics (verbosity, "
        "threads, command), `environment`, `timeout_minutes`.",
    )


class ExecutionConfig(Section):
    """Where the reference calculations run."""

    kind: Literal["local"] = Field(default="local", description="`local`: processes on this machine.")
    max_parallel: Integer = Field(default=1, ge=1, description="Calculations that run at the same time.")


class CriterionConfig(Section):
    """When molecular dynamics stops to call the engine."""

    kind: Literal["trajectory"] = Field(
        default="trajectory",
        description="`trajectory`: the expected force error, averaged over the trajectory; no call where the "
        "expansion, not the data, is the limit.",
    )
    force_error_limit_relative: Real = Field(
        default=0.05, gt=0.0, description="Limit of that error, relative to the root mean square force."
    )


class InitialConfig(Section):
    """The first structures that are labelled, before any molecular dynamics."""

    kind: Literal["rattle"] = Field(
        default="rattle", description="`rattle`: independent normal displacements."
    )
    n: Integer = Field(default=3, ge=1, description="Number of structures.")
    sd_angstrom: Real = Field(
        default=0.02, gt=0.0, description="Standard deviation of a displacement component."
    )


class SelectionConfig(Section):
    """Which frame of the exploring dynamics is calculated at a call."""

    kind: Literal["i-optimal", "d-optimal", "max-sd", "last"] = Field(
        default="last",
        description="`i-optimal`: lowers the expected error of the trajectory most; `d-optimal`: tells most "
        "about all parameters together; `max-sd`: has the largest expected error; `last`: the frame at which "
        "the criterion calls.",
    )
    n_pool: Integer = Field(
        default=50, ge=1, description="Frames to choose from; the dynamics goes on until there are so many."
    )


class PriorConfig(Section):
    """What a cheaper source knows: one of `engine`, `model`, or `phonopy` and `phono3py` (either or both)."""

    engine: EngineConfig | None = Field(
        default=None,
        description="A cheap engine (classical, tight-binding, a universal potential), as in `engine`.",
    )
    n_frames: Integer = Field(default=100, ge=1, description="Frames that the cheap engine calculates.")
    model: Path | None = Field(
        default=None,
        description="A `model.h5` of the same crystal or one of the same structure type (other lattice "
        "constants, other elements), whatever its expansion and supercell.",
    )
    phonopy: Path | None = Field(
        default=None,
        description="Harmonic force constants: `phonopy_params.yaml` or the like, with the force constants "
        "or forces in it or in phonopy's own files beside it.",
    )
    phono3py: Path | None = Field(
        default=None,
        description="Cubic force constants: `phono3py_params.yaml` or the like, with `fc3.hdf5` and, if "
        "there is one, `fc2.hdf5` beside it.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "PriorConfig":
        files = self.phonopy is not None or self.phono3py is not None
        if (self.engine is not None) + (self.model is not None) + files != 1:
            raise ValueError("should name one source: engine, model, or phonopy and phono3py")
        return self


class FitConfig(Section):
    """What is fitted besides forces, each kind of label with its own noise."""

    energies: bool = Field(
        default=True, description="Fit energies, their zero being unknown; frames without energy stay out."
    )
    stress: bool = Field(
        default=False, description="Fit stresses, the stress at rest being unknown; all six components."
    )


class TrainingConfig(Section):
    """Dynamic training."""

    temperatures_kelvin: Temperatures = Field(
        default=(300.0,), description="Temperatures that are explored, in turn."
    )
    criterion: CriterionConfig = Field(default=CriterionConfig(), description=CriterionConfig.__doc__)
    initial: InitialConfig = Field(default=InitialConfig(), description=InitialConfig.__doc__)
    selection: SelectionConfig = Field(default=SelectionConfig(), description=SelectionConfig.__doc__)
    prior: PriorConfig | None = Field(default=None, description=PriorConfig.__doc__)
    fit: FitConfig = Field(default=FitConfig(), description=FitConfig.__doc__)
    max_calculations: Integer = Field(
        default=40, ge=1, description="Budget of reference calculations, the first ones included."
    )
    md_supercell: Supercell | None = Field(
        default=None,
        description="Cell of the exploring dynamics, as `structure.supercell`; null: the training cell.",
    )
    n_steps: Integer = Field(
        default=20000,
        ge=1,
        description="Steps at a temperature without a call before that temperature counts as done.",
    )


class MdConfig(Section):
    """Molecular dynamics on the force field."""

    ensemble: Literal["nve", "nvt", "npt"] = Field(
        default="nvt", description="`nve`: energy kept; `nvt`: thermostat; `npt`: thermostat and barostat."
    )
    thermostat: Literal["langevin", "bussi"] = Field(
        default="langevin",
        description="Thermostat of `nvt` and `npt`; `bussi` rescales velocities, which disturbs the motion "
        "less.",
    )
    friction_per_picosecond: Real = Field(
        default=1.0, gt=0.0, description="Friction of the Langevin thermostat."
    )
    thermostat_time_femtoseconds: Real = Field(
        default=100.0,
        gt=0.0,
        description="Time in which the `bussi` thermostat lets the kinetic energy relax to its mean.",
    )
    pressure_gigapascal: Real = Field(
        default=0.0,
        description="Pressure of `npt`, measured from that of the reference structure at rest, which should "
        "be relaxed.",
    )
    barostat_shape: Literal["isotropic", "orthorhombic", "full"] = Field(
        default="isotropic",
        description="How the cell may change: `isotropic`, all directions alike; `orthorhombic`, along x, y "
        "and z; `full`, any strain.",
    )
    barostat_interval_steps: Integer = Field(
        default=25, ge=1, description="Steps between two Monte Carlo moves of the cell."
    )
    strain_limit: Real = Field(
        default=0.05, gt=0.0, lt=0.3, description="A strain of the cell above it stops the dynamics."
    )
    temperatures_kelvin: Temperatures = Field(default=(300.0,), description="One trajectory for each.")
    supercell: Supercell | None = Field(
        default=None, description="Cell of the dynamics, as `structure.supercell`; null: the training cell."
    )
    timestep_femtoseconds: Real = Field(default=1.0, gt=0.0, description="Time step.")
    n_steps: Integer = Field(default=100000, ge=1, description="Length of a trajectory.")
    sample_every: Integer = Field(default=10, ge=1, description="Steps between two stored frames.")
    store: Stored = Field(
        default=("positions", "velocities"),
        description="What is stored of a frame; without velocities the file is half as large.",
    )
    store_precision: Literal["double", "single"] = Field(
        default="double",
        description="Numbers of the stored frames; `single` is good to 1e-7 of displacements and velocities, "
        "in half the size, and the dynamics are the same.",
    )
    displacement_limit_angstrom: Real | None = Field(
        default=None,
        gt=0.0,
        description="A displacement above it stops the dynamics, also while training; null: what order 2 "
        "and the data make plausible at the temperature.",
    )
    precision: Literal["double", "single"] = Field(
        default="double",
        description="Arithmetic of the forces; `single` is faster and good to about 1e-6 of their size.",
    )
    n_threads: Integer | None = Field(
        default=None,
        ge=1,
        description="Threads that share the atoms of a large cell; in `check-convergence`, the trajectories. "
        "null: as many of the cores as pay, one for a trajectory of a small cell.",
    )


class ConvergenceConfig(Section):
    """The check on independent trajectories, without reference calculations."""

    force_error_limit_relative: Real = Field(
        default=0.05,
        gt=0.0,
        description="Limit of the predicted force error, relative to the root mean square force.",
    )
    n_replicas: Integer = Field(default=4, ge=1, description="Independent trajectories per temperature.")
    n_steps: Integer = Field(default=20000, ge=1, description="Steps of each trajectory.")
    temperatures_kelvin: Temperatures | None = Field(
        default=None, description="Temperatures that are checked; null: those of `md`."
    )


class Config(Section):
    """A whole configuration; paths are absolute once it is loaded."""

    run_dir: Path = Field(
        default=Path("run"), description="Directory of all results; relative to the configuration file."
    )
    structure: StructureConfig = Field(description=StructureConfig.__doc__)
    expansion: ExpansionConfig = Field(description=ExpansionConfig.__doc__)
    engine: EngineConfig | None = Field(default=None, description=EngineConfig.__doc__)
    execution: ExecutionConfig = Field(default=ExecutionConfig(), description=ExecutionConfig.__doc__)
    training: TrainingConfig = Field(default=TrainingConfig(), description=TrainingConfig.__doc__)
    md: MdConfig = Field(default=MdConfig(), description=MdConfig.__doc__)
    convergence: ConvergenceConfig = Field(default=ConvergenceConfig(), description=ConvergenceConfig.__doc__)
    seed: Integer = Field(default=1, ge=0, lt=2**63, description="Seed of every random number.")

    @property
    def convergence_temperatures(self) -> tuple[float, ...]:
        """Temperatures that the convergence check runs at, K."""
        return self.convergence.temperatures_kelvin or self.md.temperatures_kelvin

    def require_engine(self) -> EngineConfig:
        """Return the engine section.

        Raises
        ------
        ConfigError
            If the configuration has none.
        """
        if self.engine is None:
            raise ConfigError(
                "the configuration has no section engine, so nothing can be calculated",
                fix="add it (kind espresso or ase), or fit labelled frames: train --dataset FILE --static",
            )
        return self.engine
