"""The result of a search as a table and as a page of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from vireid.gallery.answer import Answer
from vireid.gallery.records import Entry, Gallery, GalleryInfo, Match
from vireid.gallery.times import show_time
from vireid.report.matches import Card, write_matches


def answer_table(answer: Answer) -> Table:
    """Return one line per match; the matches of a track follow its best one."""
    table = Table(caption="\n".join(answer.notes), caption_justify="left", box=None, pad_edge=False)
    for name in ("", "score", *_COLUMNS):
        table.add_column(name, justify="right" if name in ("", "score") else "left", overflow="fold")
    for rank, group in enumerate(answer.groups, start=1):
        for place, match in enumerate(group):
            table.add_row("" if place else str(rank), f"{match.score:.3f}", *_cells(match.entry))
    return table


_COLUMNS = ("image", "modality", "camera", "time", "track", "id")


def _cells(entry: Entry) -> tuple[str, ...]:
    time = "" if entry.time is None else show_time(entry.time)
    return (
        escape(entry.name),
        str(entry.modality),
        escape(entry.camera),
        time,
        escape(entry.track or ""),
        entry.id[:12],
    )


def entries_table(info: GalleryInfo, entries: Sequence[Entry]) -> Table:
    """Return the contents of a gallery: totals in the title, one line per entry."""
    span = "" if info.first is None or info.last is None else f", {show_time(info.first)} to {show_time(info.last)}"
    cameras = ", ".join(f"{escape(name or 'unnamed')} {count:,}" for name, count in info.cameras.items())
    kinds = ", ".join(f"{count:,} {name}" for name, count in info.modalities.items())
    title = f"{info.images:,} images ({kinds}){span}; model {escape(info.model)}, {info.dimension} x {info.dtype}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.caption, table.caption_justify = f"Cameras: {cameras}" if cameras else "The gallery is empty.", "left"
    for name in _COLUMNS:
        table.add_column(name, overflow="fold")
    for entry in entries:
        table.add_row(*_cells(entry))
    return table


def write_page(path: Path, answer: Answer, gallery: Gallery) -> None:
    """Write the answer with its pictures."""
    queries = [Card(picture, None, name, ()) for picture, name in zip(answer.thumbnails, answer.queries, strict=True)]
    groups = [[_card(match, gallery) for match in group] for group in answer.groups]
    title = f"Ranked list of {len(groups)}"
    write_matches(path, title, answer.notes, queries, groups)


def _card(match: Match, gallery: Gallery) -> Card:
    entry = match.entry
    lines = (
        str(entry.modality),
        f"cam {entry.camera}" if entry.camera else "",
        "" if entry.time is None else show_time(entry.time),
        f"track {entry.track}" if entry.track else "",
    )
    name = entry.name.rsplit("/", 1)[-1]
    return Card(gallery.thumbnail(entry.id), match.score, name, tuple(line for line in lines if line))
