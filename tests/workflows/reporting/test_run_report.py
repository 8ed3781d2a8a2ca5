"""The page about a run: it is whole, needs no other file, and says what the journal and the data say."""

import json
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from mlff_dyn.errors import EngineError
from mlff_dyn.execution.attempts import note_failure
from mlff_dyn.regression.planning.forecast import Forecast
from mlff_dyn.report.html_page import Listing, Part, Table, Text, html_page
from mlff_dyn.report.training_plots import FoundError, plot_learning
from tests.workflows.conftest import invoke
from tests.workflows.training_project import refused


class Page(HTMLParser):
    """Elements that are open, headings, and what the page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.headings, self.links, self.cells = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [
            value for name, value in attrs if name in ("src", "href") and not value.startswith("#")
        ]
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(attrs)

    def _note(self, attrs):
        names = ("src", "href", "xlink:href")
        self.links += [value for name, value in attrs if name in names and not value.startswith("#")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


def test_text_is_text_and_numbers_are_aligned():
    text = html_page(
        "a < b", "1 & 2", [Part("p", [Text("<b>"), Table(("x", "y"), [("<i>", "2")], (1,)), Listing(" <\n")])]
    )
    page = Page(text)
    assert page.open == []
    assert page.headings == ["a < b", "p"]
    assert page.cells == ["<i>", "2"]
    assert '<td class="number">2</td>' in text


def test_the_page_of_a_training_tells_its_calculations(folder, train):
    assert train().exit_code in (0, 4)
    result = invoke("report", folder / "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    text = (folder / "run/report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.links == []
    assert page.headings[0] == "Cu: training of a force field"
    assert {"What was done", "Training", "Accuracy", "Phonons", "Settings", "Versions"} <= set(page.headings)
    trained = json.loads((folder / "run/train.json").read_text())
    for number in range(1, trained["n_calculations"] + 1):
        assert f"{number:04d}" in page.cells
    assert text.count("<svg") == 5
    names = {path.name for path in (folder / "run/report").iterdir()}
    assert names == {
        f"{n}.{s}" for n in ("errors", "learning", "parity", "species", "phonons") for s in ("svg", "png")
    }
    assert len(answer["pictures"]) == len(names)
    assert "run mlff-dyn check-convergence" in text


def test_the_same_run_gives_the_same_bytes(project):
    pages = []
    for _ in range(2):
        assert invoke("report", project / "CONFIG.yaml", "-o", project / "out/page.html").exit_code == 0
        files = sorted((project / "out").rglob("*.*"))
        pages.append({str(file): file.read_bytes() for file in files if file.is_file()})
    assert pages[0] == pages[1]


def test_a_static_fit_and_a_convergence_check_have_their_page(project):
    assert invoke("check-convergence", project / "CONFIG.yaml", "--exit-zero").exit_code == 0
    assert invoke("report", project / "CONFIG.yaml").exit_code == 0
    text = (project / "run/report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "Convergence on independent trajectories" in page.headings
    assert {"300 K", "converged"} <= set(page.cells)
    assert {"convergence.svg", "displacements.png"} <= {
        path.name for path in (project / "run/report").iterdir()
    }
    trained = json.loads((project / "run/train.json").read_text())
    assert f"fitted to {trained['n_labelled']} labelled frames, without dynamics" in text
    assert text.count("Warning: ") == len(trained["warnings"])


@pytest.mark.parametrize("content", [b"{}\n", b"no json\n"])
def test_a_damaged_journal_is_named(project, content):
    (project / "run/journal.jsonl").write_bytes(content)
    for verb in ("report", "status"):
        refused(invoke(verb, project / "CONFIG.yaml"), 3, "journal.jsonl is damaged in line 1")
    assert not (project / "run/report.html").exists()


def test_nothing_to_tell_is_said(folder):
    refused(invoke("report", folder / "c.yaml"), 3, "there is no training", "mlff-dyn train")
    assert not (folder / "run").exists()


def test_a_run_that_is_not_finished_has_its_page(folder, train):
    """Waiting for its first calculation elsewhere, then failed, then interrupted with a forecast."""
    external = ("--set", "execution.kind=external")
    assert train(*external).exit_code == 75
    assert invoke("report", folder / "c.yaml", *external).exit_code == 0
    cells = Page((folder / "run/report.html").read_text(encoding="utf-8")).cells
    assert {"waiting for calculations elsewhere", "pending", "0001"} <= set(cells)
    note_failure(folder / "run/calculations/0001", EngineError("no convergence", fix="mix less"))
    assert invoke("report", folder / "c.yaml", *external).exit_code == 0
    cells = Page((folder / "run/report.html").read_text(encoding="utf-8")).cells
    assert {"stopped by a failed calculation", "0001: no convergence"} <= set(cells)
    shutil.rmtree(folder / "run")
    train("--set", "training.max_calculations=3")
    journal = folder / "run/journal.jsonl"
    kept = [line for line in journal.read_text().splitlines() if '"event": "end"' not in line]
    journal.write_text("\n".join(kept) + "\n")
    assert invoke("report", folder / "c.yaml").exit_code == 0
    page = Page((folder / "run/report.html").read_text(encoding="utf-8"))
    assert "interrupted" in page.cells


@pytest.mark.parametrize("ahead", [Forecast(3, 2, 8), Forecast(2, None, None), Forecast(0, 0, 0), None])
def test_a_learning_curve_goes_on_by_its_forecast(tmp_path, ahead):
    found = [FoundError(1, 0, np.nan, np.nan), FoundError(2, 10, 0.1, 0.09), FoundError(3, 20, 0.08, 0.1)]
    plot_learning(tmp_path / "a.svg", found, limit=0.05, ahead=ahead)
    assert ("forecast" in (tmp_path / "a.svg").read_text()) == (
        ahead is not None and ahead.n_calculations > 0
    )
