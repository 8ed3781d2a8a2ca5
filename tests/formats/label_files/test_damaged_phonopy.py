"""Files of phonopy that do not fit together are named, wherever the damage is."""

from pathlib import Path

import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.formats.label_files.phonopy_sets import PHONOPY
from mlff_dyn.store.calculated_steps import ReadOptions
from mlff_dyn.store.source import Source


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("phonopy_disp.yaml", "- [   0,   0,   2 ]\n", ""),
        ("phonopy_disp.yaml", "supercell_matrix:\n- [   2,", "supercell_matrix:\n- [   2, 2,"),
        ("FORCE_SETS", "\n1\n", "\n0\n"),
        ("FORCE_SETS", "\n1\n", "\n65\n"),
    ],
)
def test_damage_is_one_error(shared_data: Path, tmp_path: Path, name: str, old: str, new: str) -> None:
    for each in ("phonopy_disp.yaml", "FORCE_SETS"):
        text = (shared_data / "NaCl-vasp-harmonic" / each).read_text()
        if each == name:
            assert old in text
            text = text.replace(old, new, 1)
            if each.endswith("yaml"):
                text = text.partition("\nsupercell:")[0] + "\n"
        (tmp_path / each).write_text(text)
    with pytest.raises(DataError, match=str(tmp_path)):
        list(PHONOPY.read(Source(tmp_path / "phonopy_disp.yaml"), ReadOptions()))
