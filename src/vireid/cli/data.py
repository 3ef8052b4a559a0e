"""The verb `data` and its subcommands."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from vireid.cli.options import Data, Flag, Json, bars, print_json, print_tables
from vireid.config import DialConfig
from vireid.difficulty import DIFFICULTY
from vireid.types import VireidError

data = App(name="data", help="Check a data set, or render a synthetic one.")


@data.command(name="check")
def data_check(
    path: Data,
    *,
    layout: Annotated[
        str | None, Parameter(help="Layout by name or package.module:NAME; by default told from the folders.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Recognise the layout, count against the published sizes, open every image, list what is wrong.

    Exit status 1 if there are problems. Example: `vireid data check ~/data/SYSU-MM01`
    """
    from vireid.data.check import check
    from vireid.report.terminal import check_tables

    with bars() as bar:
        report = check(path, progress=bar("images opened"), layout=layout)
    if as_json:
        print_json(asdict(report) | {"root": str(report.root), "ok": report.ok})
    else:
        print_tables(*check_tables(report))
    return 0 if report.ok else 1


@data.command(name="render")
def data_render(
    out: Annotated[Path, Parameter(help="Folder to write; must be new or empty.")],
    *,
    like: Annotated[str, Parameter(help="Layout of the tree by name; an unknown name lists all.")] = "sysu",
    ids: Annotated[int | None, Parameter(help="Identities; by default as many as the real set has.")] = None,
    images: Annotated[
        int | None, Parameter(help="Images per identity and camera; by default as many as the real set has.")
    ] = None,
    seed: Annotated[int, Parameter(help="Seed of people, cameras and views; same seed, same bytes.")] = 0,
    difficulty: Annotated[float, Parameter(help="Difficulty, from 0, clean, to 1, hard.")] = DIFFICULTY,
    dial: Annotated[DialConfig, Parameter(name="*")] = DialConfig(),  # noqa: B008 - immutable
    height: Annotated[int, Parameter(help="Image height in pixels.")] = 288,
    width: Annotated[int, Parameter(help="Image width in pixels.")] = 144,
    infrared: Annotated[
        Literal["near", "thermal"] | None,
        Parameter(help="Infrared spectrum; by default thermal for regdb, else near."),
    ] = None,
    masks: Annotated[bool, Flag, Parameter(help="Masks of the people, as files beside the images.")] = False,
    standard: Annotated[
        str | None, Parameter(help="Name of a standard set (synvi-1), which decides everything but the folder.")
    ] = None,
) -> None:
    """Render a synthetic day-and-night set in the layout and, by default, the size of a real one.

    To resume an interrupted command, run it again.

    Example: `vireid data render synthetic --like regdb --ids 40`
    """
    from vireid.synthetic import Difficulty, synthetic_set, write_tree
    from vireid.synthetic.standards import write_standard

    settings = synthetic_set(
        like,
        ids,
        images=images,
        seed=seed,
        difficulty=Difficulty.of(difficulty, asdict(dial)),
        height=height,
        width=width,
        infrared=infrared,
        masks=masks,
    )
    if standard is not None and settings != synthetic_set():
        raise VireidError("standard: decides everything but the folder; leave out the other options")
    with bars() as bar:
        if standard is not None:
            write_standard(out, standard, bar("images rendered"))
        else:
            write_tree(out, settings, bar("images rendered"))
    print(f"The set is {out}\n\nNext: vireid data check {out}")
