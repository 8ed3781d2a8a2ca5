"""Tables, progress and plots."""

import io
import json
import math
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from mlff_dyn.cli.console import RichProgress, stderr
from mlff_dyn.errors import DataError
from mlff_dyn.report.answer import Report, format_json, read_report, write_report
from mlff_dyn.report.plots import ErrorTrace, plot_convergence, plot_parity
from mlff_dyn.report.progress import NullProgress, PlainProgress, Progress, TimeLeft
from mlff_dyn.report.tables import print_table


class Terminal(io.StringIO):
    """Text stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


ROWS = [("calculations", "12"), ("rmse", "0.012 eV/Å [1.2 %]")]


def test_a_table_is_plain_and_aligned_away_from_a_terminal() -> None:
    stream = io.StringIO()
    print_table(ROWS, stream)
    assert stream.getvalue() == "calculations  12\nrmse          0.012 eV/Å [1.2 %]\n"
    print_table([], stream)


def test_a_table_on_a_terminal_shows_the_same_words() -> None:
    stream = Terminal()
    print_table(ROWS, stream)
    for label, value in ROWS:
        assert label in stream.getvalue()
        assert value in stream.getvalue()


def test_json_is_strict() -> None:
    text = format_json({"a": np.array([1.0, math.nan]), "b": {"c": np.int64(3)}, "d": math.inf, "e": "Å"})
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": [1.0, None],
        "b": {"c": 3},
        "d": None,
        "e": "Å",
    }
    assert text.endswith("}\n")


def test_a_mistyped_word_in_an_answer_is_damage_and_answers_of_before_are_read(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    write_report(path, Report("converged"), line="300 K: converged", known=math.nan, n=np.int64(3))
    assert read_report(path, Report) == {
        "status": "converged",
        "line": "300 K: converged",
        "known": None,
        "n": 3,
    }
    text = path.read_text()
    path.write_text(text.replace("300 K: converged", "400 K: converged"))
    assert read_report(path, Report) == {}
    path.write_text(json.dumps({key: value for key, value in json.loads(text).items() if key != "content"}))
    assert read_report(path, Report)["line"] == "300 K: converged"


@pytest.mark.parametrize("progress", [NullProgress(), PlainProgress(io.StringIO()), RichProgress()])
def test_progress_is_patient(progress: Progress) -> None:
    progress.stop()
    progress.update(3)
    progress.start(None, "search")
    progress.update(5, error=0.25)
    progress.part(3, 10, "trial")
    progress.wait("calculation 0001", 40.0, None)
    progress.start(0, "nothing")
    progress.update(0)
    progress.log("a line")
    progress.stop()
    progress.stop()
    assert not stderr._live_stack


def test_plain_progress_writes_one_line_per_tenth() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream)
    progress.start(1000, "dynamics")
    for step in range(0, 1001, 7):
        progress.update(step, error=0.012345678)
    progress.update(1000, error=0.5)
    progress.log("done")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "dynamics: started"
    assert [line.split()[1] for line in lines[1:-1]] == [str(tenth) for tenth in range(10, 101, 10)]
    assert lines[1] == "dynamics: 10 % (105/1000) error=0.01235"
    assert lines[-1] == "done"


def test_time_left_follows_from_the_speed_of_this_run() -> None:
    """At 10 units a second 9000 of them take 15 minutes, wherever an earlier run has stopped."""
    times = iter([100.0, 100.5, 110.0, 1000.0, 2000.0, 2005.0, 2010.0])
    left = TimeLeft(lambda: next(times))
    assert left.estimate(900, 10000) == ""
    assert left.estimate(905, 10000) == ""
    assert left.estimate(1000, 10000) == "0:15:00 left"
    assert left.estimate(10000, 10000) == "0:00:00 left"
    assert left.estimate(950, 10000) == ""
    assert left.estimate(1000, 10000) == "0:15:00 left"
    assert left.estimate(5000, None) == ""


def test_a_terminal_shows_the_time_left_and_a_log_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, log = Terminal(), io.StringIO()
    monkeypatch.setattr("mlff_dyn.cli.console.stderr", Console(file=terminal, width=200, force_terminal=True))
    monkeypatch.setattr("mlff_dyn.report.progress._LEAST_SECONDS", 0.0)
    for progress in (RichProgress(), PlainProgress(log)):
        progress.start(1000, "dynamics")
        progress.update(0)
        progress.update(999, speed="1/s")
        progress.part(0, 200, "exploration")
        progress.part(199, 200, "exploration")
        progress.stop()
    assert "0:00:00 left" in terminal.getvalue()
    assert "exploration 199/200 0:00:00 left" in terminal.getvalue()
    assert log.getvalue() == "dynamics: started\ndynamics: 90 % (999/1000) speed=1/s\n"


def make_trace(temperature: float, size: float) -> ErrorTrace:
    noise = np.random.default_rng(3).normal(size=(4, 50))
    return ErrorTrace(temperature, 0.1 * np.arange(50), size * np.exp(0.2 * noise))


def test_the_running_mean_ends_at_the_mean() -> None:
    trace = make_trace(300.0, 0.02)
    assert trace.running_mean[-1] == pytest.approx(trace.relative_errors.mean(), rel=1e-12)
    assert trace.running_mean[0] == pytest.approx(trace.relative_errors[:, 0].mean(), rel=1e-12)
    with pytest.raises(DataError, match="relative_errors has shape"):
        ErrorTrace(300.0, np.arange(3.0), np.ones((2, 4)))


def test_stretches_of_a_trace_keep_the_mean_and_the_end() -> None:
    trace = make_trace(300.0, 0.02)
    for most in (1, 10, 50, 100):
        binned = trace.binned(most)
        assert binned.relative_errors.shape == (4, min(most, 50))
        assert binned.times_picosecond[-1] == trace.times_picosecond[-1]
        assert binned.relative_errors.mean() == pytest.approx(trace.relative_errors.mean())


@pytest.mark.parametrize("sizes", [[0.01], [0.0001, 0.03], [0.01, 0.02, 0.04, 0.08], [0.01] * 5])
def test_a_convergence_plot_is_a_picture_and_reproducible(sizes: list[float], tmp_path: Path) -> None:
    traces = [make_trace(300.0 * (index + 1), size) for index, size in enumerate(sizes)]
    plot_convergence(tmp_path / "a.png", traces, limit=0.05)
    plot_convergence(tmp_path / "b.png", traces, limit=0.05)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    pixels = matplotlib.image.imread(tmp_path / "a.png")
    assert pixels[..., :3].std() > 0.05
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_plot_takes_odd_data(tmp_path: Path) -> None:
    empty = ErrorTrace(300.0, np.zeros(0), np.zeros((2, 0)))
    broken = ErrorTrace(300.0, np.arange(3.0), np.array([[0.0, np.nan, 0.0]]))
    for trace in (empty, broken):
        plot_convergence(tmp_path / "odd.png", [trace], limit=0.05)
    zeros = np.zeros((1, 2, 3))
    plot_parity(tmp_path / "zeros.png", zeros, zeros, zeros)


def test_a_parity_plot_is_a_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(100, 80, 3))
    sd = 0.02 + 0.02 * np.abs(reference)
    plot_parity(tmp_path / "p.png", reference, reference + sd * rng.normal(size=sd.shape), sd)
    assert matplotlib.image.imread(tmp_path / "p.png")[..., :3].std() > 0.05
    with pytest.raises(DataError, match="predicted forces has shape"):
        plot_parity(tmp_path / "p.png", reference, reference[:1], sd)
