"""The same bytes come out of a plain file, a compressed one and a member of an archive."""

import bz2
import gzip
import io
import lzma
import tarfile

import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.store.source import Source

TEXT = b"energy 1.0\n" * 5000


def compressed(mode: str) -> bytes:
    makers = {
        "plain": lambda text: text,
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "lzma": lambda text: lzma.compress(text, format=lzma.FORMAT_ALONE),
    }
    return makers[mode](TEXT)


@pytest.mark.parametrize("mode", ["plain", "gz", "bz2", "xz", "lzma"])
def test_compression_is_told_by_content(tmp_path, mode):
    (tmp_path / "OUTCAR").write_bytes(compressed(mode))
    source = Source(tmp_path / "OUTCAR")
    assert source.read_text().encode() == TEXT
    assert source.head(10) == TEXT[:10]
    assert source.members() == ()


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:xz"])
def test_members_of_an_archive_in_any_order_with_their_siblings(tmp_path, mode):
    path = tmp_path / "runs.tar"
    with tarfile.open(path, mode) as archive:
        for name in ("a/OUTCAR", "a/POSCAR", "b/OUTCAR"):
            info = tarfile.TarInfo(name)
            info.size = len(TEXT) + len(name)
            archive.addfile(info, io.BytesIO(TEXT + name.encode()))
    members = Source(path).members()
    assert [each.member for each in members] == ["a/OUTCAR", "a/POSCAR", "b/OUTCAR"]
    for each in reversed(members):
        assert each.read_text().endswith(each.member)
    assert members[0].sibling("POSCAR") == members[1]
    assert members[2].sibling("POSCAR") is None
    assert str(members[0]) == f"{path}/a/OUTCAR"


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz", "lzma"])
def test_a_cut_compressed_file_is_named(tmp_path, mode):
    path = tmp_path / "OUTCAR"
    path.write_bytes(compressed(mode)[:-20])
    with pytest.raises(DataError, match="OUTCAR is cut or damaged"):
        Source(path).read_text()


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        Source(tmp_path / "OUTCAR").head()
