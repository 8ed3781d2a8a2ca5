"""EMT with moments: those it starts from, or all parallel where the atoms are displaced far."""

from ase import Atoms
from ase.calculators.emt import EMT


class SpinEMT(EMT):
    """EMT that says it has moments; ``flips`` makes them parallel."""

    def __init__(self, *, flips: bool = False) -> None:
        super().__init__()
        self.flips = flips

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
        """Calculate, with moments of 80 %."""
        super().calculate(atoms, properties, system_changes)
        moments = 0.8 * atoms.get_initial_magnetic_moments()
        self.results["magmoms"] = abs(moments) if self.flips else moments
        self.results["magmom"] = float(self.results["magmoms"].sum())
