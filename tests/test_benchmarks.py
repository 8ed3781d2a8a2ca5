"""Benchmarks refuse to take the numpy kernels for the compiled ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = """
import runpy, sys
sys.modules["mlff_dyn.kernels._compiled"] = None
module, *sys.argv[1:] = sys.argv[1:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def run_without_compiled_kernels(tmp_path: Path, *arguments: str, **environment: str):
    kept = {name: value for name, value in os.environ.items() if name != "MLFF_DYN_KERNELS"}
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments, "-o", str(tmp_path / "results")],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ["benchmarks", "benchmarks.accuracy"])
def test_without_compiled_kernels_nothing_is_measured(tmp_path, module):
    result = run_without_compiled_kernels(tmp_path, module)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert "no compiled kernels" in line
    assert "pip install --editable ." in line
    assert "MLFF_DYN_KERNELS=reference" in line
    assert not (tmp_path / "results").exists()


def test_compiled_kernels_that_are_forced_and_missing_are_one_line_too(tmp_path):
    result = run_without_compiled_kernels(tmp_path, "benchmarks", MLFF_DYN_KERNELS="compiled")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


def test_numpy_kernels_are_measured_where_they_are_asked_for(tmp_path):
    arguments = ("benchmarks", "--only", "nothing")
    result = run_without_compiled_kernels(tmp_path, *arguments, MLFF_DYN_KERNELS="reference")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "results" / "benchmarks.json").exists()
