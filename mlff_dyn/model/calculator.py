"""The force field as an ASE calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from mlff_dyn.lattice.deformation import from_voigt, to_voigt
from mlff_dyn.lattice.magnetism import collinear_moments
from mlff_dyn.lattice.matching import match_structure

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from mlff_dyn.lattice.torus import Torus
    from mlff_dyn.model.force_field import ForceField, SupercellForceField


class ForceFieldCalculator(Calculator):  # type: ignore[misc]
    """ASE calculator of a trained force field.

    Any supercell of the crystal, atoms in any order, its cell strained or turned by up to 10 %. ``force_sd``
    is the predictive standard deviation of every force component (eV/Å); it and the stress are computed when
    they are asked for. The stress is measured from that of the unstrained crystal at rest, which no force
    tells.

    Parameters
    ----------
    force_field : ForceField
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress", "force_sd"]

    def __init__(self, force_field: ForceField) -> None:
        super().__init__()
        self.force_field = force_field
        self._supercells: dict[bytes, SupercellForceField] = {}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy and forces, and stress and ``force_sd`` on demand.

        Raises
        ------
        DataError
            If the atoms are not a displaced supercell of the crystal.
        """
        super().calculate(atoms, properties, system_changes)
        current: Any = self.atoms
        moments = current.get_initial_magnetic_moments() if current.has("initial_magmoms") else None
        match = match_structure(
            self.force_field.basis.crystal,
            current.cell.array,
            current.positions,
            current.numbers,
            None if moments is None or not moments.any() else collinear_moments(moments),
        )
        supercell = self._on(match.torus, match.strain)
        turn = match.rotation.T
        energy, forces = supercell.energy_forces(match.displacements)
        back = np.argsort(match.atoms)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces[back] @ turn}
        if properties and "stress" in properties:
            stress = from_voigt(supercell.stress(match.displacements)) / match.stress_factor
            self.results["stress"] = to_voigt(turn.T @ stress @ turn)
        if properties and "force_sd" in properties:
            self.results["force_sd"] = supercell.force_errors(match.displacements).predictive[back]

    def _on(self, torus: Torus, strain: NDArray[np.float64]) -> SupercellForceField:
        key = torus.matrix.tobytes()
        if key not in self._supercells:
            self._supercells[key] = self.force_field.on(torus)
        plain = self._supercells[key]
        return plain.strained(strain) if strain.any() else plain
