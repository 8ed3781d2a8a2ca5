"""A cheap engine that is too soft by a known factor, and counts its runs."""

from ase import Atoms

from tests.workflows.counting_calculator import CountingEMT

SOFTNESS = 0.8


class SoftEMT(CountingEMT):
    """EMT with energies and forces of four fifths."""

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
        """Calculate and scale."""
        super().calculate(atoms, properties, system_changes)
        for name in ("energy", "free_energy", "forces"):
            self.results[name] = SOFTNESS * self.results[name]
