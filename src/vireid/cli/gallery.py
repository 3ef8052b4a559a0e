"""The verb `gallery` and its subcommands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from vireid.cli.options import Flag, Json, bars, print_json, print_tables
from vireid.types import Modality

if TYPE_CHECKING:
    from vireid.gallery.records import Gallery, Where

gallery = App(name="gallery", help="Manage a gallery of embedded images, and find a person in it.")

Store = Annotated[str, Parameter(help="Gallery: a folder, or http://host:19530/COLLECTION of a Milvus server.")]
Remembered = Annotated[
    str | None, Parameter(help="Run or other model; required only for the first add, later the gallery's own.")
]
Kind = Literal["visible", "infrared"]
From = Annotated[str | None, Parameter(name="--from", help="Earliest time, such as 2024-05-01T12:00:00Z.")]
To = Annotated[str | None, Parameter(name="--to", help="Time before which the images were taken, such as 2024-05-02.")]
Cameras = Annotated[tuple[str, ...], Parameter(name="--camera", negative="", help="Camera of the images; repeatable.")]
Tracks = Annotated[tuple[str, ...], Parameter(name="--track", negative="", help="Track of the images; repeatable.")]
OfKind = Annotated[Kind | None, Parameter(help="Modality of the images, visible and infrared by default.")]


@contextmanager
def _open(place: str) -> Iterator[Gallery]:
    from vireid.gallery.store import open_gallery

    gallery = open_gallery(place)
    try:
        yield gallery
    finally:
        gallery.close()


def _where(
    modality: Kind | None,
    cameras: tuple[str, ...],
    start: str | None,
    stop: str | None,
    tracks: tuple[str, ...] = (),
    not_cameras: tuple[str, ...] = (),
) -> Where:
    from vireid.gallery.records import Where
    from vireid.gallery.times import parse_time

    return Where(
        modality=None if modality is None else Modality[modality.upper()],
        cameras=cameras,
        not_cameras=not_cameras,
        since=None if start is None else parse_time(start, "--from"),
        until=None if stop is None else parse_time(stop, "--to"),
        tracks=tracks,
    )


@gallery.command
def add(
    store: Store,
    *images: Annotated[str, Parameter(help="Image files, folders, quoted patterns; or one video with --boxes.")],
    model: Remembered = None,
    modality: Annotated[Kind | None, Parameter(help="Modality of the images; a manifest may give it instead.")] = None,
    camera: Annotated[str, Parameter(help="Name of the camera.")] = "",
    time: Annotated[
        str | None, Parameter(help="Time of the images or of a video's first frame, such as 2024-05-01T12:00:00Z.")
    ] = None,
    track: Annotated[str | None, Parameter(help="Name of the track.")] = None,
    manifest: Annotated[Path | None, Parameter(help="CSV or Parquet: path, modality, camera, time, track.")] = None,
    boxes: Annotated[Path | None, Parameter(help="CSV file of the video's boxes: frame, x, y, w, h, track.")] = None,
    dtype: Annotated[
        Literal["float16", "float32"], Parameter(help="Number format of vectors in a new gallery.")
    ] = "float16",
    as_json: Json = False,
) -> int:
    """Embed images and add them to a gallery; resume an interrupted add; report unreadable images at the end.

    Exit status 1 if an image could not be read. Example:
    `vireid gallery add yard day/ --model runs/demo --modality visible --camera gate`
    """
    from vireid.gallery.answer import model_of
    from vireid.gallery.store import open_gallery
    from vireid.gallery.times import parse_time
    from vireid.ingest.add import add_sources, collect
    from vireid.ingest.sources import About

    kind = None if modality is None else Modality[modality.upper()]
    about = About(kind, camera, None if time is None else parse_time(time, "--time"), track)
    sources, total = collect(images, about, manifest, boxes)
    embedder = model_of(store, model)
    opened = open_gallery(store, create=embedder, dtype=dtype)
    try:
        with bars() as bar:
            result = add_sources(opened, embedder, sources, total, bar("images"))
    finally:
        opened.close()
    if as_json:
        print_json(asdict(result))
    else:
        print(f"{result.added} added, {result.known} already there, {len(result.failed)} unreadable: {store}")
        for _, why in result.failed:
            print(f"  {why}", file=sys.stderr)
    return 1 if result.failed else 0


@gallery.command(name="list")
def list_(
    store: Store,
    *,
    modality: OfKind = None,
    camera: Cameras = (),
    track: Tracks = (),
    start: From = None,
    stop: To = None,
    limit: Annotated[int, Parameter(validator=Number(gte=0, lte=10**9), help="Largest number of lines to show.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the contents of a gallery: model, cameras, times, and its entries sorted by id.

    Example: `vireid gallery list yard --camera gate --from 2024-05-01`
    """
    from vireid.gallery.display import entries_table

    with _open(store) as opened:
        info, entries = opened.info(), opened.entries(_where(modality, camera, start, stop, track), limit)
    if as_json:
        print_json({"gallery": info.to_dict(), "entries": [entry.to_dict() for entry in entries]})
    else:
        print_tables(entries_table(info, entries))


@gallery.command
def remove(
    store: Store,
    *,
    id: Annotated[tuple[str, ...], Parameter(negative="", help="Id of an image, or its start; repeatable.")] = (),
    modality: OfKind = None,
    camera: Cameras = (),
    track: Tracks = (),
    start: From = None,
    stop: To = None,
) -> None:
    """Delete images with their vectors and thumbnails for good; every option given narrows the selection.

    Example, to delete everything before May: `vireid gallery remove yard --to 2024-05-01`
    """
    from vireid.gallery.query import whole_id

    where = _where(modality, camera, start, stop, track)
    with _open(store) as opened:
        ids = tuple(whole_id(opened, start) for start in id)
        print(f"{opened.remove(replace(where, ids=ids))} removed: {store}")


@gallery.command
def verify(store: Store) -> int:
    """Read a whole gallery and report damage.

    Exit status 1 if something is damaged. Example: `vireid gallery verify yard`
    """
    from vireid.gallery.store import store_of

    with _open(store) as opened:
        problems = store_of(opened).problems()
        images = opened.info().images
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{images} images, {len(problems) or 'no'} problems: {store}")
    return 1 if problems else 0


@gallery.command
def compact(store: Store) -> None:
    """Free the space of removed images, and rebuild the search index of a folder.

    Example: `vireid gallery compact yard`
    """
    from vireid.gallery.store import store_of

    with _open(store) as opened:
        store_of(opened).compact()
    print(f"compacted: {store}")


@gallery.command
def export(store: Store, out: Annotated[Path, Parameter(help="Parquet file to write, .parquet.")]) -> None:
    """Write all entries, vectors and thumbnails to a Parquet file for other programs.

    Example: `vireid gallery export yard yard.parquet`
    """
    from vireid.gallery.transfer import write_parquet

    with _open(store) as opened, bars() as bar:
        count = write_parquet(opened, out, bar("images"))
    print(f"{count} images: {out}")


@gallery.command
def migrate(store: Store, target: Annotated[str, Parameter(help="Place of the copy: a folder or a server.")]) -> None:
    """Copy a gallery to another place and compare the copy image by image; the original stays.

    Example: `vireid gallery migrate yard http://localhost:19530/yard`
    """
    from vireid.gallery.transfer import copy_gallery, open_copy

    with _open(store) as opened, bars() as bar:
        copy = open_copy(opened, store, target)
        try:
            done = copy_gallery(opened, copy, bar("images"))
        finally:
            copy.close()
    others = f" ({done.others} more only in the copy)" if done.others else ""
    print(f"{done.images} images, copied and compared{others}: {target}")


@gallery.command
def search(
    store: Store,
    *images: Annotated[str, Parameter(help="Images of one person: files, folders or quoted patterns.")],
    modality: Annotated[Kind, Parameter(help="Modality of the query images.")],
    top: Annotated[int, Parameter(help="Number of matches to show.")] = 20,
    model: Remembered = None,
    camera: Cameras = (),
    not_camera: Annotated[tuple[str, ...], Parameter(negative="", help="Camera to leave out; repeatable.")] = (),
    start: From = None,
    stop: To = None,
    rerank: Annotated[bool, Flag, Parameter(help="k-reciprocal re-ranking of a shortlist.")] = False,
    by_track: Annotated[bool, Flag, Parameter(help="Tracks instead of images as matches.")] = False,
    as_json: Json = False,
    html: Annotated[Path | None, Parameter(help="HTML page to write, with pictures.")] = None,
) -> None:
    """Find a person: rank the gallery by similarity to one or several images of them.

    Example: `vireid gallery search yard night.png --modality infrared --top 20 --not-camera gate`
    """
    from vireid.gallery.answer import model_of
    from vireid.gallery.answer import search as run_search
    from vireid.gallery.display import answer_table, write_page
    from vireid.gallery.store import open_gallery

    where = _where(None, camera, start, stop, not_cameras=not_camera)
    embedder = model_of(store, model)
    opened = open_gallery(store, create=embedder)
    kind = Modality[modality.upper()]
    try:
        answer = run_search(opened, embedder, images, kind, top=top, where=where, rerank=rerank, tracks=by_track)
        if html is not None:
            write_page(html, answer, opened)
    finally:
        opened.close()
    if as_json:
        print_json(answer.to_dict())
    else:
        print_tables(answer_table(answer))
