"""A force field while calculations run: its errors are those of afterwards, its forces those of before."""

import numpy as np
from ase.build import bulk

from mlff_dyn.model.fitting.fit import fit_force_field
from mlff_dyn.model.fitting.fit_data import FitData
from mlff_dyn.model.fitting.labelled_frame import labelled_frame
from mlff_dyn.training.initial import rattled_displacements
from mlff_dyn.training.running import with_running
from tests.models import random_force_field


def test_errors_shrink_and_forces_stay() -> None:
    """Smaller everywhere, most at the structures that run."""
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    truth, torus = random_force_field(atoms, (2, 2, 2), {2: "full", 3: 3.0})
    supercell = truth.expansion.on(torus)
    moved = [rattled_displacements(torus.n_atoms, 0.05, (1, i)) for i in range(5)]
    rows = [
        labelled_frame(supercell, u, (supercell.rows(u)[0] @ truth.posterior.mean).reshape(-1, 3), None)
        for u in moved
    ]
    before = fit_force_field(truth.basis, FitData(rows[:3]))
    running = with_running(before, [(supercell, u) for u in moved[3:]])
    test = rattled_displacements(torus.n_atoms, 0.05, (2,))
    known, expected = before.on(torus), running.on(torus)
    np.testing.assert_array_equal(known.energy_forces(test)[1], expected.energy_forces(test)[1])
    ratios = [
        np.mean(expected.force_errors(u).epistemic) / np.mean(known.force_errors(u).epistemic)
        for u in (moved[3], test)
    ]
    assert ratios[0] < ratios[1] < 1.0
    assert (expected.force_errors(test).epistemic < known.force_errors(test).epistemic).all()
