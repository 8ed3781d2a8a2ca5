"""A file is complete or not there, whatever happens in between."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlff_dyn.errors import DataError
from mlff_dyn.store.atomic import atomic_write, atomic_write_text, date_after, date_back, require_space


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def test_appears_complete_and_leaves_no_temporary(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
    assert path.read_text() == "half"
    assert names(path.parent) == ["file.txt"]


def test_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(DataError, match="device or a pipe"):
            atomic_write_text(tmp_path / name, "new")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(names(tmp_path)) == ["link", "pipe"]


def test_error_keeps_the_old_content(tmp_path):
    path = tmp_path / "file.txt"
    atomic_write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text(str(1 / 0))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_disk_errors_name_the_file_and_the_next_step(tmp_path, number):
    path = tmp_path / "model.h5"
    with pytest.raises(DataError, match=r"cannot write .*model\.h5") as caught, atomic_write(path):
        raise OSError(number, os.strerror(number))
    assert caught.value.fix
    assert caught.value.exit_code == 3
    assert names(tmp_path) == []


def test_full_disk_is_reported(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full")
    with pytest.raises(DataError, match="No space left"), atomic_write(tmp_path / "model.h5"):
        full.write_text("x" * 10)


def test_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "plain").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        atomic_write_text(tmp_path / "plain" / "file.txt", "text")


def test_foreign_os_error_passes_through(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), atomic_write(tmp_path / "file.txt"):
        (tmp_path / "other").read_text()


def test_kill_leaves_the_old_content(tmp_path):
    path = tmp_path / "file.txt"
    atomic_write_text(path, "old")
    code = (
        "import sys, time; from pathlib import Path; from mlff_dyn.store.atomic import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('new'); print('written', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"


def test_a_disk_without_room_is_refused(tmp_path: Path) -> None:
    require_space(tmp_path, 0)
    with pytest.raises(DataError, match="No space left on device; fix: free some disk space"):
        require_space(tmp_path, 1 << 60)


def test_dates_say_what_is_out_of_date(tmp_path: Path) -> None:
    """Results that are older than a source become newer than all; those that are newer stay as they are."""
    source, old, new, no = (tmp_path / name for name in ("source", "old", "new", "no"))
    for path, seconds in ((source, 2e9), (old, 1e9), (new, 3e9), (no, 3e9)):
        path.touch()
        os.utime(path, (seconds, seconds))
    os.utime(source, (1.5e9, 1.5e9))
    date_after([old, new, tmp_path / "absent"], [source, tmp_path / "absent"])
    assert old.stat().st_mtime > 1.5e9
    assert new.stat().st_mtime == 3e9
    date_back(no, tmp_path / "absent")
    assert no.stat().st_mtime < 1e6
