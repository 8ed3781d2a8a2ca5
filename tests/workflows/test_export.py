"""`export`: files that appear complete, and never replace others unasked."""

import json
import re
from pathlib import Path

import numpy as np
import phonopy
import pytest

from mlff_dyn.errors import DataError, UsageError
from mlff_dyn.formats.registry import FORMATS, TRAJECTORY_FORMATS
from mlff_dyn.store.lock import RunLock
from mlff_dyn.workflows.export import export
from tests.conftest import REPOSITORY
from tests.workflows.conftest import invoke


def test_phonopy_reads_what_the_command_writes(project: Path) -> None:
    result = invoke("export", project / "CONFIG.yaml", "-f", "phonopy", "-o", project / "out", "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["format"], answer["n_atoms"]) == ("phonopy", 32)
    assert sorted(answer["files"]) == sorted(str(path) for path in (project / "out").iterdir())
    assert not list(project.glob(".out*"))
    loaded = phonopy.load(
        project / "out" / "phonopy_params.yaml",
        force_constants_filename=project / "out" / "FORCE_CONSTANTS",
        log_level=0,
    )
    assert (len(loaded.unitcell), len(loaded.primitive)) == (4, 1)
    np.testing.assert_array_equal(loaded.supercell_matrix, 2 * np.eye(3))
    loaded.run_qpoints([[0.5, 0.5, 0.0]])
    assert 3.0 < loaded.qpoints.frequencies.max() < 9.0


def test_a_run_directory_and_its_model_file_give_the_same_bytes(project: Path) -> None:
    for source, name in ((project / "run", "a"), (project / "run" / "model.h5", "b")):
        export(source, format="phonopy", output=project / name, force=False)
    for path in (project / "a").iterdir():
        assert path.read_bytes() == (project / "b" / path.name).read_bytes()


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"phono3py"}))
def test_every_format_is_written_whole_and_only_once(name: str, project: Path) -> None:
    out = project / "out"
    report = export(project / "run", format=name, output=out, force=False)
    assert sorted(report.files) == sorted(path.name for path in out.iterdir())
    assert all(path.stat().st_size > 0 for path in out.iterdir())
    assert not report.up_to_date
    assert export(project / "run", format=name, output=out, force=False).up_to_date


def test_phono3py_is_a_format(project: Path) -> None:
    pytest.importorskip("phono3py")
    report = export(project / "run", format="phono3py", output=project / "out" / "deep", force=False)
    assert report.files == ("fc2.hdf5", "fc3.hdf5", "phono3py_params.yaml")
    assert all((project / "out" / "deep" / name).is_file() for name in report.files)


def test_the_same_export_again_touches_nothing_and_other_files_are_kept(project: Path) -> None:
    out = project / "out"
    export(project / "run", format="phonopy", output=out, force=False)
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert export(project / "run", format="phonopy", output=out, force=False).up_to_date
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    (out / "FORCE_CONSTANTS").write_text("other", encoding="utf-8")
    with pytest.raises(UsageError, match="FORCE_CONSTANTS"):
        export(project / "run", format="phonopy", output=out, force=False)
    assert (out / "FORCE_CONSTANTS").read_text(encoding="utf-8") == "other"
    assert not export(project / "run", format="phonopy", output=out, force=True).up_to_date
    assert (out / "FORCE_CONSTANTS").stat().st_size > 1000
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_the_main_file_of_phonopy_suffices_from_any_directory(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the force constants: no other file of the directory is needed, nor taken from elsewhere."""
    export(project / "run", format="phonopy", output=project / "out", force=False)
    both = [
        phonopy.load(project / "out" / "phonopy_params.yaml", force_constants_filename=name, log_level=0)
        for name in (project / "out" / "FORCE_CONSTANTS", None)
    ]
    monkeypatch.chdir(project)
    (project / "out" / "FORCE_CONSTANTS").unlink()
    (project / "out" / "force_constants.hdf5").unlink()
    both.append(phonopy.load("out/phonopy_params.yaml", log_level=0))
    found = []
    for phonon in both:
        phonon.run_qpoints([[0.5, 0.5, 0.0], [0.1, 0.2, 0.3]])
        found.append(phonon.qpoints.frequencies)
    np.testing.assert_allclose(found[1:], [found[0]] * 2, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*Point group symmetries of supercell")
@pytest.mark.parametrize(
    ("words", "matrix"),
    [
        ("3 3 3", np.diag([3, 3, 3])),
        ("2,3,2", np.diag([2, 3, 2])),
        ("0 2 2 2 0 2 2 2 0", 2 * (1 - np.eye(3))),
        ("[[2, 1, 0], [0, 2, 0], [0, 0, 2]]", [[2, 1, 0], [0, 2, 0], [0, 0, 2]]),
        ("{2: [2, 2, 3]}", np.diag([2, 2, 3])),
    ],
)
def test_force_constants_on_any_supercell(project: Path, words: str, matrix: np.ndarray) -> None:
    """Rows of the matrix are vectors of the supercell; the phonons at the zone boundary stay the same."""
    options = ("-f", "phonopy", "-o", project / "out", "--supercell", words, "--json")
    result = invoke("export", project / "CONFIG.yaml", *options)
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(json.loads(result.stdout)["supercells"]["2"], matrix)
    loaded = phonopy.load(project / "out" / "phonopy_params.yaml", log_level=0)
    np.testing.assert_array_equal(loaded.supercell_matrix, np.transpose(matrix))
    assert len(loaded.supercell) == json.loads(result.stdout)["n_atoms"]
    export(project / "run", format="phonopy", output=project / "plain", force=False)
    frequencies = []
    for phonon in (loaded, phonopy.load(project / "plain" / "phonopy_params.yaml", log_level=0)):
        phonon.run_qpoints([[0.0, 0.0, 0.0]] if "1, 0" in words else [[0.0, 0.5, 0.5]])
        frequencies.append(phonon.qpoints.frequencies)
    np.testing.assert_allclose(*frequencies, atol=1e-3)


def test_orders_on_supercells_of_their_own(project: Path) -> None:
    phono3py = pytest.importorskip("phono3py")
    cells = "{2: [3, 3, 3], 3: [2, 2, 2]}"
    report = export(project / "run", format="phono3py", output=project / "out", force=False, supercell=cells)
    assert report.n_atoms == 32
    assert dict(report.rows())["  order 2"] == "[[3, 0, 0], [0, 3, 0], [0, 0, 3]]"
    plain = export(project / "run", format="phono3py", output=project / "plain", force=False)
    found, expected = (
        phono3py.load(
            each / "phono3py_params.yaml",
            fc2_filename=each / "fc2.hdf5",
            fc3_filename=each / "fc3.hdf5",
            symmetrize_fc=False,
            log_level=0,
        )
        for each in (report.directory, plain.directory)
    )
    np.testing.assert_array_equal(found.phonon_supercell_matrix, 3 * np.eye(3))
    assert (found.fc2.shape[1], found.fc3.shape[1]) == (108, 32)
    np.testing.assert_array_equal(found.fc3, expected.fc3)
    np.testing.assert_allclose(found.fc2.sum(axis=1), 0.0 * found.fc2.sum(axis=1), atol=1e-10)


@pytest.mark.parametrize(
    "words",
    [
        "2 2",
        "0 1 1",
        "a b c",
        "1 0 0 0 1 0 0 0 -1",
        "{3: [2, 2, 2]}",
        "{2: 2 2 2, 3: 2 2 2}",
        "[[2",
        "2.5 1 1",
    ],
)
def test_what_is_no_supercell_is_refused(project: Path, words: str) -> None:
    result = invoke("export", project / "run", "-f", "phonopy", "-o", project / "out", "--supercell", words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--supercell" in result.stderr
    assert not (project / "out").exists()


def test_a_dry_run_makes_nothing_and_names_what_is_in_the_way(project: Path) -> None:
    words = ("export", project / "CONFIG.yaml", "-f", "phonopy", "-o", project / "out", "--seed", 3)
    assert invoke(*words, "--dry-run").exit_code == 0
    assert not (project / "out").exists()
    assert invoke(*words).exit_code == 0
    assert invoke(*words, "--dry-run", "--supercell", "1 1 1").exit_code == 2
    assert invoke("export", project / "run", *words[2:]).exit_code == 2


def test_every_format_is_told() -> None:
    """By the help of the command, by README.md and by the page about formats."""
    pages = [(REPOSITORY / name).read_text(encoding="utf-8") for name in ("README.md", "docs/exports.md")]
    shown = " ".join(invoke("export", "--help").stdout.replace("│", " ").split())
    for name in (*FORMATS, *TRAJECTORY_FORMATS):
        assert re.search(rf"\b{name}[,;.]", shown)
        assert all(f"`{name}`" in text or f"--format {name} " in text for text in pages), name


def test_an_unknown_format_lists_the_names(project: Path) -> None:
    result = invoke("export", project / "run", "-f", "gulp", "-o", project / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "phonopy, phono3py" in result.stderr
    assert not (project / "out").exists()


def test_a_file_in_the_place_of_the_directory_is_refused(project: Path) -> None:
    with pytest.raises(UsageError, match=r"CONFIG\.yaml is a file"):
        export(project / "run", format="phonopy", output=project / "CONFIG.yaml", force=True)


def test_a_model_without_its_supercell_or_without_itself_is_refused(project: Path) -> None:
    (project / "run" / "model.h5").unlink()
    result = invoke("export", project / "run", "-f", "phonopy", "-o", project / "out")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "model.h5 does not exist" in result.stderr
    with pytest.raises(DataError):
        export(project / "nowhere.h5", format="phonopy", output=project / "out", force=False)


@pytest.mark.parametrize("source", ["run", "run/model.h5"])
def test_a_run_directory_at_work_is_not_read(project: Path, source: str) -> None:
    with RunLock(project / "run"), pytest.raises(UsageError, match="in use by process"):
        export(project / source, format="phonopy", output=project / "out", force=False)
    assert not (project / "out").exists()
    export(project / source, format="phonopy", output=project / "out", force=False)
