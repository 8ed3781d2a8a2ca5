"""`mlff-dyn label score`."""

from pathlib import Path
from typing import Annotated

import typer

from mlff_dyn.cli.options import OUTPUT_OPTIONS, Given, takes
from mlff_dyn.cli.session import require_file

Model = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="CONFIG.yaml of a trained run, or a model.h5 alone.")
]
Frames = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="Frames without labels: XDATCAR, extxyz, .traj, trajectory.h5, anything that ASE reads.",
    ),
]
Number = Annotated[int, typer.Option("--n", metavar="N", min=1, help="How many frames to choose.")]
Stride = Annotated[int, typer.Option("--stride", metavar="N", min=1, help="Look at every N-th frame.")]
Scale = Annotated[
    float,
    typer.Option(
        "--scale",
        metavar="FACTOR",
        min=1e-3,
        help="Take the frames with their displacements times this: 0.3 brings those of thermal motion near "
        "rest, which tells phonons best.",
    ),
]
Write = Annotated[
    Path | None,
    typer.Option(
        "--write",
        metavar="DIR",
        help="Folder of calculations for the inputs of the chosen frames, such as run/calculations.",
    ),
]


@takes("run_dir", "overrides", "seed", "dry_run", *OUTPUT_OPTIONS)
def score(
    given: Given,
    source: Model,
    file: Frames,
    *,
    n: Number = 8,
    stride: Stride = 1,
    scale: Scale = 1.0,
    write: Write = None,
) -> None:
    """Say how wrong the force field is in each frame, and which frames to calculate next."""
    found = given.load_or_find(source)
    if found is source:
        require_file(source, "model")
    require_file(file, "file of frames")

    from mlff_dyn.workflows.labels.score import score as score_frames

    report = score_frames(
        found,
        file,
        n=n,
        stride=stride,
        scale=scale,
        output=write,
        dry_run=given.dry_run,
        progress=given.progress,
    )
    given.finish(report)
