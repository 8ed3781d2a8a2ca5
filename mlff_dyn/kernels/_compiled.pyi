import numpy as np
from numpy.typing import NDArray

def instruction_sets() -> list[str]: ...
def gaussians(isa: str, key: int, count: int) -> list[float]: ...

class ForceEvaluator64:
    def __init__(self, n_sites: int, n_cells: int, n_replicas: int, isa: str, n_threads: int) -> None: ...
    def set_grid(self, d1: int, d2: int, d3: int, /) -> None: ...
    def add_program(
        self,
        slot_atoms: NDArray[np.int32],
        n_lifted_slots: int,
        n_lifted: int,
        lifts: NDArray[np.int32],
        tiles: NDArray[np.int32],
        columns: NDArray[np.int32],
        coefficients: NDArray[np.float64],
        /,
    ) -> None: ...
    def add_site_group(
        self,
        home: NDArray[np.int32],
        columns: NDArray[np.int32],
        coefficients: NDArray[np.float64],
        bias: NDArray[np.float64],
        /,
    ) -> None: ...
    def set_harmonic(
        self,
        n_sites: int,
        n_cells: int,
        isa: str,
        n_packed: int,
        stages: NDArray[np.int32],
        twiddles: NDArray[np.float64],
        pairs: NDArray[np.int32],
        products: NDArray[np.float64],
        /,
    ) -> None: ...
    def set_local(
        self,
        isa: str,
        l_max: int,
        cutoff: float,
        energy_at_rest: float,
        kinds: NDArray[np.int32],
        starts: NDArray[np.int32],
        kinds_of_neighbors: NDArray[np.int32],
        neighbor_atoms: NDArray[np.int32],
        vectors: NDArray[np.float64],
        radial: NDArray[np.float64],
        pair: NDArray[np.float64],
        triple: NDArray[np.float64],
        cubic_kinds: NDArray[np.int32],
        cubic_pairs: NDArray[np.int32],
        cubic_starts: NDArray[np.int32],
        cubic_thirds: NDArray[np.int32],
        cubic: NDArray[np.float64],
        /,
    ) -> None: ...
    def local_virial(self, displacements: NDArray[np.float64], virial: NDArray[np.float64], /) -> None: ...
    def energy_forces(self, displacements: NDArray[np.float64], forces: NDArray[np.float64], /) -> float: ...
    def run(
        self,
        displacements: NDArray[np.float64],
        velocities: NDArray[np.float64],
        rng: NDArray[np.uint64],
        inertias: NDArray[np.float64],
        velocity_kicks: NDArray[np.float64],
        scalars: NDArray[np.float64],
        thermostats: NDArray[np.int32],
        n_steps: int,
        sample_every: int,
        sampled_displacements: NDArray[np.float64],
        sampled_velocities: NDArray[np.float64],
        potential_energies: NDArray[np.float64],
        kinetic_energies: NDArray[np.float64],
        /,
    ) -> list[tuple[int, int, int]]: ...

class ForceEvaluator32(ForceEvaluator64): ...

class DesignPlan:
    def __init__(self, isa: str, n_parameters: int) -> None: ...
    def add_chunk(
        self,
        site: int,
        slots: NDArray[np.int32],
        node_parents: NDArray[np.int32],
        node_variables: NDArray[np.int32],
        output_axes: NDArray[np.int32],
        output_parameters: NDArray[np.int32],
        output_starts: NDArray[np.int32],
        entry_nodes: NDArray[np.int32],
        entry_factors: NDArray[np.float64],
        /,
    ) -> None: ...
    def fill_reduced(
        self,
        slot_atoms: NDArray[np.int32],
        displacements: NDArray[np.float64],
        moves: NDArray[np.float64],
        widths: NDArray[np.int32],
        starts: NDArray[np.int32],
        rows: NDArray[np.int32],
        weights: NDArray[np.float64],
        reduced: NDArray[np.float64],
        /,
    ) -> None: ...
    def fill_variances(
        self,
        slot_atoms: NDArray[np.int32],
        displacements: NDArray[np.float64],
        moves: NDArray[np.float64],
        site: int,
        widths: NDArray[np.int32],
        starts: NDArray[np.int32],
        rows: NDArray[np.int32],
        weights: NDArray[np.float64],
        factor: NDArray[np.float64],
        first_rows: NDArray[np.int32],
        last_rows: NDArray[np.int32],
        further: NDArray[np.float64],
        variances: NDArray[np.float64],
        /,
    ) -> None: ...
    def add_stress(
        self,
        slot_atoms: NDArray[np.int32],
        displacements: NDArray[np.float64],
        moves: NDArray[np.float64],
        directions: NDArray[np.float64],
        rows: NDArray[np.float64],
        /,
    ) -> None: ...

class LocalPlan:
    def __init__(
        self,
        isa: str,
        l_max: int,
        n_functions: int,
        cutoff: float,
        radial: NDArray[np.float64],
        kinds: NDArray[np.int32],
        starts: NDArray[np.int32],
        neighbor_kinds: NDArray[np.int32],
        vectors: NDArray[np.float64],
        functions: NDArray[np.int32],
        weights: NDArray[np.float64],
        quadruple_starts: NDArray[np.int32],
        quadruples: NDArray[np.int32],
        couplings: NDArray[np.int32],
        orders: NDArray[np.int32],
        coupling_weights: NDArray[np.float64],
        /,
    ) -> None: ...
    def add_rows(
        self,
        neighbor_atoms: NDArray[np.int32],
        grid: tuple[int, int, int],
        vectors: NDArray[np.float64],
        displacements: NDArray[np.float64],
        atoms: NDArray[np.int32],
        rows: NDArray[np.float64],
        totals: NDArray[np.float64],
        /,
    ) -> None: ...
