"""Small force fields whose files tests of several formats read."""

import numpy as np
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.basis import build_basis
from mlff_dyn.lattice.torus import Torus, input_supercell
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.force_field import ForceField
from tests.models import (
    crystal_of,
    fitted_to_harmonic,
    random_force_field,
    spring_hessian,
    with_local_part,
)

ZINCBLENDE = bulk("ZnS", "zincblende", a=5.4, cubic=True)
WURTZITE = bulk("ZnS", "wurtzite", a=3.8, c=6.2)


def force_fields() -> dict[str, tuple[ForceField, Torus]]:
    cubic = random_force_field(ZINCBLENDE, (1, 1, 1), {2: "full", 3: 2.5, 4: 2.5})
    hexagonal = random_force_field(WURTZITE, (2, 2, 1), {2: "full", 3: 2.5, 4: 2.4})
    local, torus = random_force_field(WURTZITE, (2, 2, 1), {2: "full", 3: 2.5})
    return {
        "zincblende": cubic,
        "wurtzite": hexagonal,
        "local": (with_local_part(local, LocalSettings(3.2, 2, 1)), torus),
    }


def harmonic_springs(repeats: tuple[int, int, int] = (1, 1, 1)) -> tuple[ForceField, Torus]:
    """Stable harmonic zincblende, and a supercell of it."""
    torus = input_supercell(crystal_of(ZINCBLENDE), (1, 1, 1))
    length = torus.crystal.nearest_neighbor_distance
    hessian = spring_hessian(torus, {length: (6.0, 0.0), np.sqrt(8 / 3) * length: (2.0, 0.0)})
    force_field = fitted_to_harmonic(build_basis(torus.crystal, {2: "full"}, torus), torus, hessian)
    return force_field, input_supercell(torus.crystal, repeats)


def random_displacements(torus: Torus) -> NDArray[np.float64]:
    return 0.05 * np.random.default_rng(4).standard_normal((torus.n_atoms, 3))
