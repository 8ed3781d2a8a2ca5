"""A calculator that counts its runs in a file and can kill its command at a chosen moment.

Environment: ``RUNS`` names the file; ``KILL_IN_RUN`` is the number of the run to die in the middle of, over
all processes, and ``PAUSE_IN_RUN`` that of the run to stay in.
"""

import hashlib
import os
import signal
import time
from pathlib import Path

from ase import Atoms
from ase.calculators.emt import EMT


class CountingEMT(EMT):
    """EMT that notes each structure before it is calculated; any argument only changes its identity."""

    def __init__(self, note: str = "") -> None:
        super().__init__()
        self.note = note

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
        """Note the structure, perhaps die, calculate."""
        runs = Path(os.environ["RUNS"])
        with runs.open("a", encoding="utf-8") as file:
            file.write(hashlib.sha256(atoms.positions.tobytes()).hexdigest()[:12] + "\n")
        if len(runs.read_text(encoding="utf-8").split()) == int(os.environ.get("KILL_IN_RUN", "0")):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        if len(runs.read_text(encoding="utf-8").split()) == int(os.environ.get("PAUSE_IN_RUN", "0")):
            time.sleep(60)
        super().calculate(atoms, properties, system_changes)


class FailingEMT(CountingEMT):
    """Fails in the run whose number is in the file ``RUNS`` + ``.fail``."""

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
        """Calculate, or raise."""
        super().calculate(atoms, properties, system_changes)
        runs = Path(os.environ["RUNS"])
        fail = runs.with_suffix(".fail")
        if fail.exists() and len(runs.read_text(encoding="utf-8").split()) >= int(fail.read_text()):
            raise RuntimeError("out of memory")
