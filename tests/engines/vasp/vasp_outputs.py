"""The real outputs of VASP beside the repository, and what a right reader finds in them."""

from dataclasses import dataclass
from pathlib import Path

from mlff_dyn.engines.vasp.outcar import OUTCAR
from mlff_dyn.engines.vasp.vasprun import VASPRUN
from mlff_dyn.store.calculated_steps import LabelFormat, ReadOptions, RefusedStep
from mlff_dyn.store.dataset import Snapshot
from mlff_dyn.store.source import Source


@dataclass(frozen=True)
class RealOutput:
    """A file, the number of steps to read, and a piece of each reason to refuse something."""

    path: str
    kind: LabelFormat
    program: str
    n_steps: int
    refused: tuple[str, ...] = ()


GIVEN_DENSITY = "ICHARG of 10 or more"
NELM = "all NELM = 100 electronic steps were made"

REAL_OUTPUTS = (
    RealOutput("vasp/vasprun.LiF.xml.gz", VASPRUN, "VASP 5.4.4", 1),
    RealOutput("vasp/vasprun.bad.xml.gz", VASPRUN, "VASP 5.2.2", 1, ("the file ends after step 1",)),
    RealOutput("vasp/vasprun.charged.xml.gz", VASPRUN, "VASP 5.4.1", 5),
    RealOutput("vasp/vasprun.etest2.xml.gz", VASPRUN, "VASP 6.2.1", 8),
    RealOutput("vasp/vasprun.indirect.xml.gz", VASPRUN, "VASP 5.2.2", 0, (GIVEN_DENSITY,)),
    RealOutput("vasp/vasprun.md.xml.gz", VASPRUN, "VASP 6.3.2", 10),
    RealOutput("vasp/vasprun.ml_md.xml.gz", VASPRUN, "VASP 6.3.0", 20, ("80 steps were predicted",)),
    RealOutput("vasp/vasprun.pbesol.xml.gz", VASPRUN, "VASP 6.1.1", 5),
    RealOutput("vasp/vasprun.unconverged.xml.gz", VASPRUN, "VASP 5.2.11", 0, (NELM,) * 5),
    RealOutput("vasp/vasprun.xml.gz", VASPRUN, "VASP 5.2.2", 29),
    RealOutput("vasp/vasprun_Si_bands.xml.gz", VASPRUN, "VASP 5.2.11", 0, (GIVEN_DENSITY,)),
    RealOutput("Cu-vasp-aimd/vasprun.xml", VASPRUN, "VASP 5.4.4", 66),
    RealOutput("NaCl-vasp-harmonic/vasprun.xml-001", VASPRUN, "VASP 4.6.35", 1),
    RealOutput("NaCl-vasp-harmonic/vasprun.xml-002", VASPRUN, "VASP 4.6.35", 1),
    RealOutput("Si-PBEsol-vasp/vasprun_xml_fc2/disp-fc2-00001/vasprun.xml", VASPRUN, "VASP 6.3.2", 1),
    RealOutput("vasp/OUTCAR.Al", OUTCAR, "VASP 5.2.2", 1),
    RealOutput("vasp/OUTCAR.BaTiO3.polar", OUTCAR, "VASP 5.3.5", 1),
    RealOutput("vasp/OUTCAR.etest1.gz", OUTCAR, "VASP 5.4.1", 8),
    RealOutput("vasp/OUTCAR.gz", OUTCAR, "VASP 5.2.11", 5),
    RealOutput("vasp/OUTCAR.stopped.gz", OUTCAR, "VASP 5.2.11", 0, (NELM,)),
    RealOutput("vasp/OUTCAR_merged_numbers", OUTCAR, "VASP 5.4.4", 1),
    RealOutput("vasp/OUTCAR_vasp_6.3.gz", OUTCAR, "VASP 6.3.0", 1),
)

ARCHIVES = {
    "Si-PBEsol-vasp/vasprun_xmls.tar.lzma": 111,
    "NaCl-vasp/vasprun_xmls.tar.xz": 102,
    "BaTiO3-vasp/vasprun_xmls.tar.xz": 80,
}
"""Archives of static calculations, and how many they hold."""

OPTIONS = ReadOptions()


def read_all(kind: LabelFormat, path: Path | Source) -> tuple[list[Snapshot], list[RefusedStep]]:
    source = path if isinstance(path, Source) else Source(path)
    steps = list(kind.read(source, OPTIONS))
    refused = [step for step in steps if isinstance(step, RefusedStep)]
    return [step for step in steps if isinstance(step, Snapshot)], refused
