"""People in a video: cropping the boxes of a detector or tracker, frame by frame."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vireid.images import MAX_PIXELS, Pixels
from vireid.ingest.manifest import read_table
from vireid.ingest.sources import About, Source
from vireid.types import VireidError

_MOST = 2**31
"""Limit that every number of a box must stay below."""
COLUMNS = ("frame", "x", "y", "w", "h", "track")
"""Columns of a file of boxes: frame number from 0; left, top, width and height of the box in pixels; its track."""


@dataclass(frozen=True)
class Box:
    """One line in a file of boxes."""

    frame: int
    x: float
    y: float
    width: float
    height: float
    track: str


def read_boxes(file: Path) -> list[Box]:
    """Read a CSV or Parquet file with the columns `COLUMNS` (``track`` may be missing), sorted by frame.

    Raises:
        VireidError: not such a file, or an invalid cell (with its line number).
    """
    boxes = []
    for line, row in read_table(file, COLUMNS, required=COLUMNS[:5]):
        try:
            numbers = [float(row[name]) for name in COLUMNS[:5]]
        except ValueError:
            numbers = [float("nan")]
        if not (np.abs(numbers) < _MOST).all() or numbers[0] < 0 or numbers[0] % 1 or min(numbers[3:]) < 1:
            cells = ", ".join(row[name][:20] for name in COLUMNS[:5])
            raise VireidError(f"{file}:{line}: expected a frame >= 0 and x, y, w, h below 2^31, got {cells}")
        frame, x, y, width, height = numbers
        boxes.append(Box(int(frame), x, y, width, height, row["track"]))
    return sorted(boxes, key=lambda box: box.frame)


def video_sources(video: Path, boxes: list[Box], about: About) -> Iterator[Source]:
    """Crop the boxes from the frames of a video, which is decoded once, up to the last frame with a box.

    ``about.time`` is the time of the first frame; every crop gets the time of its own frame. Crops are uncompressed
    images (BMP), so that the same pixels have the same id on every machine.

    Raises:
        VireidError: PyAV is not installed, or the file is not a video that it can decode.
    """
    if about.modality is None:
        raise VireidError(f"{video}: modality unknown; give --modality visible or infrared")
    wanted: dict[int, list[Box]] = {}
    for box in boxes:
        wanted.setdefault(box.frame, []).append(box)
    for number, seconds, frame in _frames(video, max(wanted, default=-1)):
        for place, box in enumerate(wanted.pop(number, [])):
            name = f"{video}#frame={number},box={place}"
            moment = None if about.time is None else about.time + seconds
            crop = _crop(frame, box)
            yield Source(name, replace(about, time=moment, track=box.track or about.track), _reader(name, crop))
    for number, rest in wanted.items():
        for place in range(len(rest)):
            name = f"{video}#frame={number},box={place}"
            yield Source(name, about, _reader(name, None))


def _frames(video: Path, last: int) -> Iterator[tuple[int, float, Pixels]]:
    """Yield (number, seconds since the first frame, uint8 RGB) of the frames up to ``last``."""
    try:
        import av
    except ImportError as error:
        raise VireidError("reading a video needs PyAV: install with pip install 'vireid[video]'") from error
    try:
        with av.open(str(video), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if not 0 < stream.width * stream.height <= MAX_PIXELS:
                raise VireidError(
                    f"{video}: frames of {stream.width} x {stream.height}; expected at most {MAX_PIXELS} pixels"
                )
            first: Any = None
            for number, frame in enumerate(container.decode(stream)):
                if number > last:
                    return
                first = frame.time if first is None else first
                seconds = float((frame.time or 0.0) - (first or 0.0))
                yield number, seconds, frame.to_ndarray(format="rgb24")
    except VireidError:
        raise
    except (av.FFmpegError, IndexError, OSError, ValueError) as error:
        raise VireidError(f"{video}: not a video, or damaged ({str(error).splitlines()[0][:120]})") from error


def _crop(frame: Pixels, box: Box) -> Pixels | None:
    """Return the part of a box that lies in the frame, None if no part does."""
    top, left = max(0, round(box.y)), max(0, round(box.x))
    bottom, right = max(0, round(box.y + box.height)), max(0, round(box.x + box.width))
    crop = frame[top:bottom, left:right]
    return crop if crop.size else None


def _reader(name: str, crop: Pixels | None) -> Any:
    def read() -> bytes:
        if crop is None:
            raise VireidError(f"{name}: the box is outside the picture, or its frame is past the end of the video")
        buffer = io.BytesIO()
        Image.fromarray(crop).save(buffer, "BMP")
        return buffer.getvalue()

    return read
