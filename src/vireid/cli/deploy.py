"""The verb `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vireid.cli.options import Flag, Run, bars


def export(
    run: Run,
    *,
    format: Annotated[Literal["onnx"], Parameter(help="Format of the files.")] = "onnx",
    int8: Annotated[bool, Flag, Parameter(help="Quantisation to 8 bits, with scales from training images.")] = False,
    out: Annotated[
        Path | None,
        Parameter(help="Folder to write or replace; `RUN/onnx` or `RUN/onnx-int8` by default."),
    ] = None,
    data: Annotated[
        Path | None, Parameter(help="Root folder of the run's data set; by default its place in training.")
    ] = None,
) -> None:
    """Write a run as ONNX files, after comparing their features with PyTorch's on test images.

    Example: `vireid export runs/demo --int8`
    """
    from vireid.deploy.export import export_run

    with bars() as bar:
        folder, manifest = export_run(run, int8=int8, out=out, data=data, progress=bar("blocks tried in float"))
    for name, graph in manifest.graphs.items():
        kept = f", {len(graph.float_blocks)} blocks in float" if graph.float_blocks else ""
        print(f"{name}: lowest cosine {graph.lowest:.5f} on {graph.images} images{kept}")
    print(f"The {format} model is {folder}")
