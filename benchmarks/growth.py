"""How the cost grows with atoms, orders, cutoffs and configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models import SI, build_model, silicon_snapshots
from benchmarks.own import make_kernel, train
from benchmarks.timing import median_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Curve = tuple[str, str, list[float], list[float]]


def _force_seconds(cutoffs: dict[int, float], n: int) -> tuple[int, float]:
    model = build_model(SI, cutoffs=cutoffs)
    kernel = make_kernel(model, (n, n, n), model.random_parameters(), "double")
    u = np.random.default_rng(0).normal(scale=0.05, size=(8 * n**3, 3))
    return len(u), median_seconds(lambda: kernel.energy_forces(u), budget=0.3)


def grow_with_atoms() -> Curve:
    points = [_force_seconds(SI.up_to(4), n) for n in (2, 3, 4, 5, 7, 10)]
    return "atoms", "force call / s", [float(n) for n, _ in points], [seconds for _, seconds in points]


def grow_with_orders() -> Curve:
    orders = [2, 3, 4, 5, 6]
    return (
        "largest order",
        "force call, 216 atoms / s",
        orders,
        [_force_seconds(SI.up_to(n), 3)[1] for n in orders],
    )


def grow_with_cutoffs() -> Curve:
    cutoffs = [2.5, 3.9, 4.55]
    seconds = [_force_seconds({2: 8.0, 3: 4.55, 4: cutoff}, 3)[1] for cutoff in cutoffs]
    return "cutoff of order 4 / Å", "force call, 216 atoms / s", cutoffs, seconds


def grow_with_configurations() -> Curve:
    model = build_model(SI)
    u, forces = silicon_snapshots(model.torus(SI.supercell), 40)
    counts = [5, 10, 20, 40]
    seconds = [
        median_seconds(lambda n=n: train(model, SI.supercell, u[:n], forces[:n]), rounds=3) for n in counts
    ]
    return "configurations", "rows to posterior / s", [float(n) for n in counts], seconds


CURVES: tuple[Callable[[], Curve], ...] = (
    grow_with_atoms,
    grow_with_orders,
    grow_with_cutoffs,
    grow_with_configurations,
)


def plot_growth(path: Path, curves: Sequence[Callable[[], Curve]] = CURVES) -> Iterator[Curve]:
    """Measure curves and plot them side by side."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(4 * len(curves), 3.2), layout="constrained")
    for axis, measure in zip(axes, curves, strict=True):
        curve = measure()
        label, unit, x, y = curve
        axis.plot(x, y, "o-")
        axis.set(xlabel=label, ylabel=unit, ylim=(0, None), xlim=(0, None))
        yield curve
    figure.savefig(path, dpi=150)
    plt.close(figure)
