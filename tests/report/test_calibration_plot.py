"""The plot of predicted errors can be read, whatever their size."""

from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from matplotlib.figure import Figure

from mlff_dyn.report import calibration_plot


@pytest.mark.parametrize("size", [5e-5, 0.02, 3.0, 400.0])
@pytest.mark.parametrize("span", [2.0, 10.0, 1e3])
def test_numbers_of_the_axes_do_not_touch(tmp_path: Path, size: float, span: float) -> None:
    rng = np.random.default_rng(1)
    sd = size * np.geomspace(1.0, span, 600)
    with patch.object(calibration_plot, "save_figure") as saved:
        calibration_plot.plot_calibration(
            tmp_path / "plot.png",
            sd * rng.normal(size=600),
            {"predictive": sd, "epistemic": 0.3 * sd},
            unit="eV/Å",
        )
    figure = next(each for each in saved.call_args.args if isinstance(each, Figure))
    figure.canvas.draw()
    panel = figure.axes[1]
    for axis, low, high in ((panel.xaxis, "x0", "x1"), (panel.yaxis, "y0", "y1")):
        labels = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
        boxes = [label.get_window_extent() for label in labels if label.get_text()]
        limits = getattr(panel.bbox, low) - 1, getattr(panel.bbox, high) + 1
        centers = [(getattr(box, low) + getattr(box, high)) / 2 for box in boxes]
        seen = sorted(
            (getattr(box, low), getattr(box, high))
            for box, center in zip(boxes, centers, strict=True)
            if limits[0] <= center <= limits[1]
        )
        assert len(seen) >= 1
        assert all(before[1] < after[0] for before, after in pairwise(seen))
