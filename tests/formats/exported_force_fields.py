"""Small force fields whose files tests of several formats read."""

import numpy as np
from ase.build import bulk
from numpy.typing import NDArray

from mlff_dyn.lattice.torus import Torus
from mlff_dyn.local.basis import LocalSettings
from mlff_dyn.model.force_field import ForceField
from tests.models import random_force_field, with_local_part

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


def random_displacements(torus: Torus) -> NDArray[np.float64]:
    return 0.05 * np.random.default_rng(4).standard_normal((torus.n_atoms, 3))
