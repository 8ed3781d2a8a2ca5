"""POTCAR: found in libraries of several layouts, read, checked."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest

from mlff_dyn.engines.vasp.potcar import find_potentials, library_folder, parse_potentials
from mlff_dyn.errors import ConfigError, DataError, EngineError
from tests.engines.vasp.vasp_library import POTENTIALS, potcar, write_library

NAMES = {"Sn": "Sn_d", "O": "O"}


def test_what_a_data_set_says():
    (found,) = parse_potentials(potcar("Sn_d"), "POTCAR")
    assert (found.title, found.name, found.element) == ("PAW_PBE Sn_d 06Sep2000", "Sn_d", "Sn")
    assert (found.functional, found.enmax_ev, found.enmin_ev, found.n_valence) == (
        "PE",
        241.083,
        180.812,
        14.0,
    )


def test_a_folder_an_element_as_vasp_gives_it(tmp_path):
    library = write_library(tmp_path)
    found = find_potentials(library, "potpaw_PBE", NAMES)
    assert [found[element].title for element in NAMES] == ["PAW_PBE Sn_d 06Sep2000", "PAW_PBE O 08Apr2002"]
    assert find_potentials(library / "potpaw_PBE", "potpaw_PBE", NAMES) == found


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".Z"])
def test_compressed_files_of_pymatgen(tmp_path, suffix):
    folder = tmp_path / "POT_GGA_PAW_PBE"
    folder.mkdir()
    for name in NAMES.values():
        text = potcar(name).encode()
        path = folder / f"POTCAR.{name}{suffix}"
        if suffix == ".Z":
            path.write_bytes(lzw(text))
        else:
            compress = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix]
            path.write_bytes(compress(text))
    found = find_potentials(tmp_path, "POT_GGA_PAW_PBE", NAMES)
    assert found["Sn"] == parse_potentials(potcar("Sn_d"), "")[0]


def lzw(content: bytes) -> bytes:
    """Format of ``compress``, nothing compressed: codes of nine bits, the table cleared before they grow."""
    chunks = (content[start : start + 199] for start in range(0, len(content), 199))
    codes = [code for chunk in chunks for code in [*chunk, *[256] * (len(chunk) == 199)]]
    number = sum(code << (9 * place) for place, code in enumerate(codes))
    return b"\x1f\x9d\x90" + number.to_bytes((9 * len(codes) + 7) // 8, "little")


def test_a_potcar_of_several_elements_is_a_library(tmp_path):
    (tmp_path / "POTCAR").write_text(potcar("O") + potcar("Sn_d"))
    found = find_potentials(tmp_path, "potpaw_PBE", NAMES)
    assert (found["Sn"].name, found["O"].name) == ("Sn_d", "O")


def test_digests_do_not_depend_on_the_place(tmp_path):
    together = parse_potentials(potcar("O") + potcar("Sn_d").replace("\n", "  \n"), "")
    alone = [parse_potentials(potcar(name), "")[0] for name in ("O", "Sn_d")]
    assert [each.digest for each in together] == [each.digest for each in alone]


@pytest.mark.parametrize(
    ("names", "folder", "message"),
    [
        ({"Sn": "Sn"}, "potpaw_PBE", "of Sn it has Sn_d"),
        ({"Si": "Si"}, "potpaw_PBE", "of Si it has none"),
        ({"O": "O"}, "potpaw_LDA", "no folder potpaw_LDA; it has potpaw_PBE"),
        ({"Sn": "O"}, "potpaw_PBE", "PAW_PBE O 08Apr2002 is of O"),
    ],
)
def test_what_is_missing_is_said_with_what_is_there(tmp_path, names, folder, message):
    with pytest.raises((ConfigError, EngineError)) as raised:
        find_potentials(write_library(tmp_path), folder, names)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_functionals_may_not_be_mixed(tmp_path):
    library = write_library(tmp_path)
    (library / "potpaw_PBE/O/POTCAR").write_text(potcar("O", functional="CA"))
    with pytest.raises(ConfigError, match="functionals differ"):
        find_potentials(library, "potpaw_PBE", NAMES)


@pytest.mark.parametrize("n_kept", [0, 100, 300, len(potcar("O")) - 20])
def test_cut_files_are_refused(tmp_path, n_kept):
    library = write_library(tmp_path)
    (library / "potpaw_PBE/O/POTCAR").write_text(potcar("O")[:n_kept])
    with pytest.raises(EngineError, match=r"its end is missing"):
        find_potentials(library, "potpaw_PBE", NAMES)


def test_a_file_without_what_is_needed():
    with pytest.raises(DataError, match="no title"):
        parse_potentials(potcar("O").replace("TITEL", "TITLE"), "POTCAR")


def test_the_library_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("VASP_PP_PATH", raising=False)
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path))
    assert library_folder(None) == tmp_path
    monkeypatch.delenv("PMG_VASP_PSP_DIR")
    with pytest.raises(ConfigError, match="pseudo_dir: is required"):
        library_folder(None)
    assert set(POTENTIALS) > set(NAMES.values())
