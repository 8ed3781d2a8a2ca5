"""Schema of the configuration: names, types, defaults, and the one home of what each key means.

Units are part of the names. Only ``structure`` and ``expansion`` are required. After validation all
values are plain: supercells are 3x3 tuples of integers, cutoffs are ``{order: Å | "full" | {n_bodies: Å}}``.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mlff_dyn.config.conductivity_section import ConductivityConfig
from mlff_dyn.config.convergence_section import ConvergenceConfig
from mlff_dyn.config.exploration_section import ExplorationConfig
from mlff_dyn.config.fields import EngineKind, Integer, OrderCutoffs, Real, Stored, Supercell, Temperatures
from mlff_dyn.config.initial_section import InitialConfig
from mlff_dyn.config.phonons_section import PhononsConfig
from mlff_dyn.config.section import Section, came_later
from mlff_dyn.config.thermodynamics_section import ThermodynamicsConfig
from mlff_dyn.errors import ConfigError


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
        json_schema_extra=came_later(3),
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
        description="Born charges and dielectric tensor of the cell in `structure.file`: BORN file of "
        "phonopy, or YAML file of phonopy or phono3py that has them; relative to the configuration file. "
        "The dipole-dipole interaction is then taken out of the forces "
        "before the fit, and added on any supercell, strained or not.",
    )


class EngineConfig(Section):
    """The program that computes reference energies and forces."""

    kind: EngineKind = Field(
        description="`espresso`: pw.x of Quantum ESPRESSO; `vasp`: VASP; `cp2k`: CP2K; `ase`: any ASE "
        "calculator, by its import path."
    )
    parameters: dict[str, Any] = Field(
        default={},
        description="The physics. `espresso`: `input_data` (namelists), `pseudopotentials` (file per "
        "element), `kpoints` (`gamma` or 3 integers). `vasp`: `incar` (tags, at least ENCUT; those with a "
        "value for each species by element: `LDAUU: {Ni: 6.0}`), `kpoints` (`gamma`, 3 integers, `{grid, "
        "shift}` or `{spacing_per_angstrom}`), `pseudopotentials` (POTCAR of each element: `{Sn: Sn_d}`), "
        "`potcar_folder` (in the library, `potpaw_PBE`). `cp2k`: `input` (sections as mappings, `_` for the "
        "parameter of a section, lists for several of one name). `ase`: `calculator` "
        "(`package.module:Class`), `arguments` (its keyword arguments).",
    )
    profile: dict[str, Any] = Field(
        default={},
        description="The machine. `espresso`: `command`, `pseudo_dir` (relative to the configuration file), "
        "`environment`, `timeout_minutes`. `vasp`: the same; `{program}` in `command` is the vasp_std, "
        "vasp_gam or vasp_ncl that fits, `pseudo_dir` the library of POTCARs or a folder with one POTCAR "
        "(else VASP_PP_PATH), `reuse: charge-density` starts from that of an earlier calculation. `cp2k`: "
        "as `espresso`, with `data_dir` (basis sets, potentials) for `pseudo_dir`. `ase`: `arguments` of the "
        "calculator without physics (verbosity, threads, command), `environment`, `timeout_minutes`.",
    )


class ExecutionConfig(Section):
    """Where the reference calculations run."""

    kind: Literal["local", "external", "parsl"] = Field(
        default="local",
        description="`local`: processes on this machine; `external`: inputs are written, the command ends "
        "with exit code 75, and the same command later collects what was calculated elsewhere and goes on; "
        "`parsl`: blocks of a batch system, which the command submits and waits for "
        "(`pip install 'mlff-dyn[parsl]'`).",
    )
    max_parallel: Integer = Field(
        default=1,
        ge=1,
        description="Calculations that run at the same time. From 2 on, the next are chosen while they run, "
        "so `external` has up to twice as many inputs ready.",
    )
    max_retries: Integer = Field(
        default=1,
        ge=0,
        description="Further attempts at a calculation that fails, each with its input changed by the engine "
        "so that it converges to the same result (mixing, steps); what was changed is said and kept.",
    )
    submit_script: Path | None = Field(
        default=None,
        description="For `external`: file with which `calculations/submit.sh` begins, such as the lines of a "
        "scheduler and of modules; `{n}` in it becomes the number of calculations that wait, as in "
        "`--array=1-{n}`.",
    )
    provider: Literal["local", "slurm", "pbs", "lsf", "sge"] = Field(
        default="local",
        description="For `parsl`, as all that follows: the batch system; `sge` is Grid Engine, `local` this "
        "machine.",
    )
    partition: str | None = Field(default=None, description="Partition or queue.")
    account: str | None = Field(default=None, description="Account or project that pays.")
    walltime: str = Field(default="24:00:00", description="Time of a block, HH:MM:SS.")
    nodes_per_block: Integer = Field(default=1, ge=1, description="Nodes of a block.")
    cores_per_node: Integer | None = Field(default=None, ge=1, description="Cores asked for on each node.")
    workers_per_block: Integer = Field(
        default=1,
        ge=1,
        description="Calculations at the same time in a block; MPI is started by `engine.profile.command`.",
    )
    max_blocks: Integer = Field(default=1, ge=1, description="Blocks at the same time.")
    scheduler_options: str = Field(
        default="", description="Further lines of the batch script, as its scheduler reads them."
    )
    worker_init: str = Field(
        default="", description="Lines of shell before calculations start in a block, such as modules."
    )
    launcher: Literal["simple", "srun"] = Field(
        default="simple",
        description="`simple`: workers on the first node of a block, whose calculations may use all nodes; "
        "`srun`: workers on each node.",
    )
    address: str | None = Field(
        default=None,
        description="Of this machine as blocks see it; by default all of its addresses are tried.",
    )
    heartbeat_seconds: Integer = Field(
        default=30, ge=1, description="A block that is silent for four times as long is given up."
    )

    @model_validator(mode="after")
    def _named_kind(self) -> "ExecutionConfig":
        given = self.model_fields_set
        unused = sorted(given - {"kind", "max_parallel", "max_retries"})
        if unused and "kind" not in given:
            kind = "external" if unused == ["submit_script"] else "parsl"
            raise ValueError(f"has {unused[0]} but no kind; add kind: {kind}")
        return self


class PaperConfig(Section):
    """The published criterion: variance of the worst force component at every step; null: its defaults."""

    variance_limit_ev2_per_angstrom2: Real = Field(
        default=0.02, gt=0.0, description="Variance above which the engine is called."
    )
    factor: Real = Field(
        default=3.0, gt=1.0, description="It is also called above so many times the mean of the window."
    )
    window_steps: Integer = Field(
        default=1000, ge=1, le=1000, description="Steps of that mean, whatever the refits between them."
    )
    gap_steps: Integer = Field(default=10, ge=0, description="Steps after a refit without a call.")


class PerStepConfig(Section):
    """On-the-fly training as in VASP: standard deviation of the worst force component at every step."""

    threshold_ev_per_angstrom: Real = Field(
        default=0.002, gt=0.0, description="First threshold (ML_CTIFOR); then the mean error after refits."
    )
    double_factor: Real = Field(
        default=2.0, ge=1.0, description="Threshold of a call at once, over the threshold (ML_CDOUB)."
    )
    n_candidates: Integer = Field(
        default=5, ge=1, description="Frames above the threshold that are learnt together (ML_MCONF_NEW)."
    )
    gap_steps: Integer = Field(default=10, ge=0, description="Fewest steps between two of them (ML_NMDINT).")
    n_history: Integer = Field(
        default=10, ge=1, description="Refits whose errors make the threshold (ML_MHIS)."
    )
    largest_spread: Real = Field(
        default=0.4, gt=0.0, description="Relative spread of these errors that moves the threshold (ML_CSIG)."
    )
    margin: Real = Field(
        default=0.0, gt=-1.0, description="Threshold over the mean of these errors, minus 1 (ML_CX)."
    )


class FixedConfig(Section):
    """A call at fixed intervals."""

    interval_steps: Integer = Field(default=1000, ge=1, description="Steps between two calls.")


class RandomConfig(Section):
    """Calls at random times."""

    mean_interval_steps: Integer = Field(default=1000, ge=1, description="Mean of the steps between calls.")


class CriterionConfig(Section):
    """When molecular dynamics stops to call the engine."""

    kind: Literal["trajectory", "observable", "paper", "per-step", "fixed", "random"] = Field(
        default="trajectory",
        description="`trajectory`: the expected force error, averaged over the trajectory; no call where the "
        "expansion, not the data, is the limit. `observable`: the expected error of what follows from the "
        "force field; each frame is that which lowers it most. The others are for comparison, each with "
        "a section of its name (null: its defaults): one trajectory of `training.n_steps` at each "
        "temperature goes on through all calls.",
    )
    force_error_limit_relative: Real = Field(
        default=0.05, gt=0.0, description="Limit of that error, relative to the root mean square force."
    )
    observable: Literal["conductivity"] = Field(
        default="conductivity",
        description="Of the kind `observable`: the thermal conductivity near 300 K, as section "
        "`conductivity` says; its `error_limit_relative` is the limit.",
    )
    paper: PaperConfig | None = Field(default=None, description=PaperConfig.__doc__)
    per_step: PerStepConfig | None = Field(default=None, description=PerStepConfig.__doc__)
    fixed: FixedConfig | None = Field(default=None, description=FixedConfig.__doc__)
    random: RandomConfig | None = Field(default=None, description=RandomConfig.__doc__)


class SelectionConfig(Section):
    """Which frame of the exploring dynamics is calculated at a call."""

    kind: Literal["i-optimal", "d-optimal", "max-sd", "last"] | None = Field(
        default=None,
        description="`i-optimal`: lowers the expected errors most; `d-optimal`: tells most about all "
        "parameters together; `max-sd`: has the largest expected error; `last`: the frame at which the "
        "criterion calls. null: `last`, or `i-optimal` where several calculations run at the same time: then "
        "from the frames of all temperatures, and no more than are expected to be needed.",
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
    growing_orders: bool = Field(
        default=False,
        json_schema_extra=came_later(False),  # noqa: FBT003
        description="Use as many orders of `expansion.cutoffs_angstrom`, from 2 on, as the evidence of "
        "the data supports, found again after each calculation; the model has no others. It may help where "
        "orders go up to 5 or 6 and data are few. false: all.",
    )


class TrainingConfig(Section):
    """Dynamic training."""

    temperatures_kelvin: Temperatures = Field(
        default=(300.0,), description="Temperatures that are explored, in turn."
    )
    criterion: CriterionConfig = Field(default=CriterionConfig(), description=CriterionConfig.__doc__)
    initial: InitialConfig = Field(default=InitialConfig(), description=InitialConfig.__doc__)
    selection: SelectionConfig = Field(default=SelectionConfig(), description=SelectionConfig.__doc__)
    exploration: ExplorationConfig = Field(default=ExplorationConfig(), description=ExplorationConfig.__doc__)
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

    @property
    def first_structures(self) -> InitialConfig:
        """Section `initial` with kind and number."""
        return self.initial.resolved(is_observed=self.criterion.kind == "observable")

    def _without_later(self, values: dict[str, Any]) -> dict[str, Any]:
        kept = super()._without_later(values)
        return {**kept, "initial": self.first_structures.model_dump()}


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
    timestep_femtoseconds: Real = Field(default=1.0, ge=0.005, description="Time step.")
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
    phonons: PhononsConfig = Field(default=PhononsConfig(), description=PhononsConfig.__doc__)
    conductivity: ConductivityConfig = Field(
        default=ConductivityConfig(), description=ConductivityConfig.__doc__
    )
    thermodynamics: ThermodynamicsConfig = Field(
        default=ThermodynamicsConfig(), description=ThermodynamicsConfig.__doc__
    )
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
