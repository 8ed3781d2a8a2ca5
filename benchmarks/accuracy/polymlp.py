"""pypolymlp, a general potential, on the same frames: features, regularization and fit are its own."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame

_LINEAR = {"model_type": 1, "max_p": 1}
SIZES: tuple[dict[str, Any], ...] = (
    {"cutoff": 5.0, "gtinv_order": 2, "gtinv_maxl": (3,), "gaussian_params2": (0.0, 5.0, 5)} | _LINEAR,
    {"cutoff": 7.0, "gtinv_order": 3, "gtinv_maxl": (4, 2), "gaussian_params2": (0.0, 6.0, 7)} | _LINEAR,
    {
        "cutoff": 7.0,
        "gtinv_order": 3,
        "gtinv_maxl": (4, 4),
        "gaussian_params2": (0.0, 6.0, 7),
        "model_type": 3,
        "max_p": 2,
    },
)
"""Three-body functions of the size of the local part's; three- and four-body ones of larger reach, more."""
_MOST_FEATURES = 2500
LOG_REGULARIZATIONS = (-6.0, 2.0, 9)


class PolymlpStructures:
    """Frames of a supercell as pypolymlp has them, atoms sorted by species.

    Parameters
    ----------
    torus : Torus
    """

    def __init__(self, torus: Torus) -> None:
        self._torus = torus
        self.elements = [chemical_symbols[number] for number in np.unique(torus.numbers)]
        self.order = np.argsort(torus.numbers, kind="stable")

    @cached_property
    def _species(self) -> tuple[list[str], list[int], list[int]]:
        names = [chemical_symbols[number] for number in self._torus.numbers[self.order]]
        types = [self.elements.index(name) for name in names]
        return names, types, [types.count(kind) for kind in range(len(self.elements))]

    def structure(self, displacements: np.ndarray) -> Any:  # noqa: ANN401 (pypolymlp is imported on use)
        """One displaced supercell."""
        from pypolymlp.core.data_format import PolymlpStructure

        names, types, counts = self._species
        axis = self._torus.lattice.T
        positions = (self._torus.positions + displacements)[self.order].T
        return PolymlpStructure(
            axis=axis,
            positions=np.linalg.solve(axis, positions),
            n_atoms=counts,
            elements=names,
            types=types,
        )

    def arguments(self, frames: Sequence[LabelledFrame]) -> tuple[list[Any], np.ndarray, list[np.ndarray]]:
        """Structures, energies (eV) and forces (3, n_atoms) (eV/Å)."""
        return (
            [self.structure(frame.displacements) for frame in frames],
            np.array([frame.energy_ev for frame in frames]),
            [frame.forces.reshape(-1, 3)[self.order].T for frame in frames],
        )


class PolymlpFit:
    """Ridge regression of energies and forces.

    Size and regularization are those of the smallest error on the last training frame, which is then added.
    """

    name = "pypolymlp"

    def errors(self, training: Sequence[LabelledFrame], test: Sequence[LabelledFrame]) -> np.ndarray:
        """Force errors on the test frames, eV/Å."""
        structures = PolymlpStructures(training[0].supercell.torus)
        sizes = [size for size in SIZES if new_model(structures.elements, size).n_features <= _MOST_FEATURES]
        trials = [_fit(structures, size, LOG_REGULARIZATIONS, training[:-1], training[-1:]) for size in sizes]
        size, best = min(zip(sizes, trials, strict=True), key=lambda trial: trial[1].summary.rmse_test)
        exponent = float(np.log10(best.summary.alpha))
        fitted = _fit(structures, size, (exponent, exponent, 1), training, training[-1:])
        places, _, forces = structures.arguments(test)
        found = potential(fitted).eval_multiple(places)[1]
        return np.concatenate([(np.array(f) - g).ravel() for f, g in zip(found, forces, strict=True)])


def _fit(
    structures: PolymlpStructures,
    size: dict[str, Any],
    regularizations: tuple[float, float, int],
    training: Sequence[LabelledFrame],
    held_out: Sequence[LabelledFrame],
) -> Any:  # noqa: ANN401 (pypolymlp is imported on use)
    energy = float(np.mean([frame.energy_ev / frame.n_atoms for frame in training]))
    model = new_model(structures.elements, size, regularizations, energy)
    known, other = structures.arguments(training), structures.arguments(held_out)
    pairs = [each for pair in zip(known, other, strict=True) for each in pair]
    return model.set_datasets_structures(*pairs).fit()


def new_model(
    elements: Sequence[str],
    size: dict[str, Any],
    regularizations: tuple[float, float, int] = (0.0, 0.0, 1),
    energy_per_atom_ev: float = 0.0,
) -> Any:  # noqa: ANN401 (pypolymlp is imported on use)
    """A model without coefficients; energies are measured from that of every atom."""
    from pypolymlp.mlp_dev.pypolymlp import Pypolymlp

    return Pypolymlp().set_params(
        elements=list(elements),
        include_stress=False,
        reg_alpha_params=regularizations,
        atomic_energy=[energy_per_atom_ev] * len(elements),
        **size,
    )


def potential(model: Any) -> Any:  # noqa: ANN401 (pypolymlp is imported on use)
    """What evaluates a fitted model."""
    from pypolymlp.calculator.properties_single import PropertiesSingle

    return PropertiesSingle(params=model.summary.params[0], coeffs=model.coeffs)
