"""Workflows replaced by recorders, so that a command is tested for what it hands over and what it prints."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

CONFIG = """\
structure: {file: Si.vasp, supercell: [2, 2, 2]}
expansion: {cutoffs_angstrom: {2: full, 3: 4.0}}
engine: {kind: ase, parameters: {calculator: "a.b:C"}}
"""


@dataclass(frozen=True)
class FakeReport:
    """Report of a replaced workflow."""

    exit_code: int = 0
    files: tuple[str, ...] = ()
    status: str = "done"

    def to_json(self) -> dict[str, object]:
        return {
            "schema": "mlff-dyn/fake/1",
            "status": "done",
            "rmse_force_ev_per_angstrom": np.float64(0.25),
            "forces_ev_per_angstrom": np.eye(2),
            "statistical_error": float("nan"),
            "file": Path("model.h5"),
        }

    def table(self) -> list[tuple[str, str]]:
        return [("rmse of the forces", "0.25 eV/Å"), ("status", "done")]


@dataclass
class Workflow:
    """What the replaced workflow answers, and the calls it got."""

    answer: Callable[..., FakeReport] = lambda *_args, **_options: FakeReport()
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)

    def __call__(self, *args: object, **options: object) -> FakeReport:
        self.calls.append((args, options))
        return self.answer(*args, **options)


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """One recorder in the place of every workflow function."""
    recorder = Workflow()
    for place in (
        "setup.initialise",
        "training.train",
        "md.run_md",
        "convergence.check_convergence",
        "export",
        "validation.validate",
    ):
        module = ModuleType(f"mlff_dyn.workflows.{place}")
        setattr(module, place.rpartition(".")[2], recorder)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return recorder


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valid configuration in a fresh working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "CONFIG.yaml"
    path.write_text(CONFIG)
    return path
