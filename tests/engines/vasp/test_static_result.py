"""The result of one calculation, and what is none."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from mlff_dyn.engines.vasp.static_result import read_static
from mlff_dyn.errors import EngineError
from mlff_dyn.store.source import Source


def test_one_converged_calculation_is_a_result(shared_data: Path) -> None:
    source = Source(shared_data / "NaCl-vasp-harmonic" / "vasprun.xml-001")
    result = read_static(source)
    assert result.energy_ev == -216.82820693
    assert result.forces_ev_per_angstrom.shape == (64, 3)
    assert result.stress_ev_per_angstrom3 is not None
    assert result.origin == {
        "program": "VASP 4.6.35",
        "pseudopotentials": "PAW_PBE Na_pv 05Jan2001, PAW_PBE Cl 17Jan2003",
        "date": "2011-05-26T10:16:55",
    }
    assert result.magnetic_state is None


def test_moments_come_from_the_outcar(shared_data: Path) -> None:
    result = read_static(Source(shared_data / "vasp" / "OUTCAR_vasp_6.3.gz"))
    assert result.magnetic_state is not None
    assert result.magnetic_state.moments.shape == result.forces_ev_per_angstrom.shape[:1]
    assert result.magnetic_state.total == result.magnetic_state.moments.sum()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("vasp/vasprun.unconverged.xml.gz", "NELM = 100"),
        ("vasp/vasprun.bad.xml.gz", "ends after step 1"),
        ("vasp/vasprun.indirect.xml.gz", "ICHARG"),
        ("vasp/vasprun.md.xml.gz", "10 steps"),
        ("vasp/OUTCAR.stopped.gz", "NELM = 100"),
        ("vasp/PROVENANCE.md", "neither"),
    ],
)
def test_what_is_no_good_calculation_is_refused(shared_data: Path, path: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        read_static(Source(shared_data / path))


def test_a_missing_or_cut_file_is_refused(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="nothing-here"):
        read_static(Source(tmp_path / "nothing-here"))
    content = gzip.decompress((shared_data / "vasp" / "vasprun.LiF.xml.gz").read_bytes())
    for share in np.linspace(0.01, 0.99, 12):
        (tmp_path / "vasprun.xml").write_bytes(content[: int(share * len(content))])
        with pytest.raises(EngineError):
            read_static(Source(tmp_path / "vasprun.xml"))
