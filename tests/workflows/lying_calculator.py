"""A calculator whose forces are wrong in some of its runs."""

import json
import os
from pathlib import Path

import numpy as np
from ase import Atoms

from tests.workflows.counting_calculator import CountingEMT


def lying(how: str, first: int, last: int, noise: float = 0.3) -> str:
    """Override of the configuration that makes it the engine."""
    arguments = {"how": how, "first": first, "last": last, "noise": noise}
    parameters = {"calculator": "tests.workflows.lying_calculator:LyingEMT", "arguments": arguments}
    return f"engine.parameters={json.dumps(parameters)}"


class LyingEMT(CountingEMT):
    """EMT; forces of the runs ``first`` to ``last``, counted from 1, are changed as ``how`` says."""

    def __init__(self, how: str = "scaled", first: int = 1, last: int = 10**6, noise: float = 0.3) -> None:
        super().__init__()
        self.how, self.first, self.last, self.noise = how, first, last, noise

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
        """Calculate, then lie."""
        super().calculate(atoms, properties, system_changes)
        run = len(Path(os.environ["RUNS"]).read_text(encoding="utf-8").split())
        if not self.first <= run <= self.last:
            return
        forces = self.results["forces"].copy()
        if self.how == "scaled":
            forces *= 1.9
        elif self.how == "zero":
            forces *= 0.0
        elif self.how == "swapped":
            forces[[3, 20]] = forces[[20, 3]]
        elif self.how == "noisy":
            forces += self.noise * np.random.default_rng(run).standard_normal(forces.shape)
        self.results["forces"] = forces - forces.mean(axis=0)
