"""What others make of the same frames: hiPhive and symfc with cutoffs, scikit-learn on our design matrix."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from mlff_dyn.lattice.wigner_seitz import largest_safe_cutoff
from mlff_dyn.workflows.snapshots import displaced_atoms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phono3py import Phono3py
    from phonopy.structure.atoms import PhonopyAtoms

    from benchmarks.accuracy.laboratory import Laboratory
    from mlff_dyn.model.fitting.labelled_frame import LabelledFrame


_HIGHEST_ORDER = 4


class HiphiveFit:
    """Spherical cutoffs, the second order's as large as the supercell allows; one of hiPhive's optimizers.

    Parameters
    ----------
    laboratory : Laboratory
    method : str
        Name of the fit method of hiPhive, such as ``least-squares`` or ``ardr``.
    """

    def __init__(self, laboratory: Laboratory, method: str) -> None:
        self.name = f"hiPhive {method}"
        self._laboratory = laboratory
        self._method = method
        self._matrices: dict[int, np.ndarray] = {}

    @cached_property
    def _space(self):  # noqa: ANN202 (hiPhive is imported on use)
        from hiphive import ClusterSpace

        logging.getLogger("hiphive").setLevel(logging.ERROR)
        safe = largest_safe_cutoff(self._laboratory.torus)
        cutoffs = [
            safe if cutoff == "full" else min(float(cutoff), safe)
            for order, cutoff in self._laboratory.system.cutoffs.items()
            if order <= _HIGHEST_ORDER
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            return ClusterSpace(self._laboratory.atoms, cutoffs)

    def _matrix(self, rows: LabelledFrame) -> np.ndarray:
        from hiphive import StructureContainer

        if id(rows) not in self._matrices:
            structure = displaced_atoms(rows.supercell.torus, np.zeros_like(rows.displacements))
            structure.new_array("displacements", rows.displacements)
            structure.new_array("forces", rows.forces.reshape(-1, 3))
            structure.calc = SinglePointCalculator(structure)
            container = StructureContainer(self._space)
            container.add_structure(structure)
            self._matrices[id(rows)] = container.get_fit_data()[0]
        return self._matrices[id(rows)]

    def errors(self, training: Sequence[LabelledFrame], test: Sequence[LabelledFrame]) -> np.ndarray:
        """Force errors on the test frames, eV/Å."""
        matrix = np.concatenate([self._matrix(rows) for rows in test])
        return matrix @ self._parameters(training) - np.concatenate([rows.forces for rows in test])

    def force_constants(
        self, training: Sequence[LabelledFrame], phono3py: Phono3py
    ) -> tuple[np.ndarray, np.ndarray]:
        """Orders 2 and 3, compact, in the atoms of phono3py."""
        from hiphive import ForceConstantPotential

        atoms = _ase_atoms(phono3py.supercell)
        with contextlib.redirect_stdout(io.StringIO()):
            potential = ForceConstantPotential(self._space, self._parameters(training))
            found = potential.get_force_constants(atoms)
        firsts = np.array(phono3py.primitive.p2s_map)
        second, third = (found.get_fc_array(order)[firsts] for order in (2, 3))
        return np.ascontiguousarray(second), np.ascontiguousarray(third)

    def _parameters(self, training: Sequence[LabelledFrame]) -> np.ndarray:
        from trainstation import Optimizer

        data = (
            np.concatenate([self._matrix(rows) for rows in training]),
            np.concatenate([rows.forces for rows in training]),
        )
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            optimizer = Optimizer(data, fit_method=self._method, train_size=1.0)
            optimizer.train()
        return optimizer.parameters


class SymfcFit:
    """Order 2 over the whole cell and order 3 within a cutoff, as phono3py has symfc fit them.

    Parameters
    ----------
    laboratory : Laboratory
    phono3py : Phono3py
        Of the training supercell.
    """

    name = "symfc, orders 2-3"

    def __init__(self, laboratory: Laboratory, phono3py: Phono3py) -> None:
        self._laboratory, self._phono3py = laboratory, phono3py

    @cached_property
    def _symfc(self):  # noqa: ANN202 (symfc is imported on use)
        from symfc import Symfc
        from symfc.utils.utils import SymfcAtoms

        cell = self._phono3py.supercell
        atoms = SymfcAtoms(cell=cell.cell, scaled_positions=cell.scaled_positions, numbers=cell.numbers)
        found = Symfc(atoms, cutoff={3: float(self._laboratory.system.cutoffs[3])})
        found.compute_basis_set(max_order=3)
        return found

    def force_constants(
        self, training: Sequence[LabelledFrame], phono3py: Phono3py
    ) -> tuple[np.ndarray, np.ndarray]:
        """Orders 2 and 3, compact, in the atoms of phono3py."""
        places = self._laboratory.torus.match(phono3py.supercell.positions)[0]
        symfc = self._symfc
        symfc.displacements = np.array([rows.displacements[places] for rows in training])
        symfc.forces = np.array([rows.forces.reshape(-1, 3)[places] for rows in training])
        symfc.solve(max_order=3, is_compact_fc=False)
        firsts = np.array(phono3py.primitive.p2s_map)
        second, third = (symfc.force_constants[order][firsts] for order in (2, 3))
        return np.ascontiguousarray(second), np.ascontiguousarray(third)


def _ase_atoms(cell: PhonopyAtoms) -> Atoms:
    return Atoms(cell.symbols, scaled_positions=cell.scaled_positions, cell=cell.cell, pbc=True)


class BayesianRidgeFit:
    """One prior for all parameters, on this program's basis with the second order over the whole cell."""

    name = "BayesianRidge, same basis"

    def errors(self, training: Sequence[LabelledFrame], test: Sequence[LabelledFrame]) -> np.ndarray:
        """Force errors on the test frames, eV/Å."""
        from sklearn.linear_model import BayesianRidge

        rows = np.concatenate([each.supercell.rows(each.displacements)[0] for each in training])
        sizes = np.sqrt((rows**2).mean(axis=0)) + 1e-300
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = BayesianRidge(fit_intercept=False).fit(
                rows / sizes, np.concatenate([each.forces for each in training])
            )
        found = np.concatenate([each.supercell.rows(each.displacements)[0] for each in test]) @ (
            fit.coef_ / sizes
        )
        return found - np.concatenate([each.forces for each in test])
