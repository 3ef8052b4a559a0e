"""Code shared by the index of a folder and a collection on a server: connecting, filters, one-line errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vireid.files import disk_error
from vireid.gallery.records import Entry, Where
from vireid.types import VireidError

if TYPE_CHECKING:
    from pymilvus import CollectionSchema, MilvusClient

TIMEOUT = 30.0
"""Seconds after which a call counts as failed."""
MOST = 10_000
"""Largest number of entries that a search returns; the limit of Milvus is 16,384."""
NO_TIME = -1.0
"""Stands for an unknown time: Milvus before 2.5 cannot store null."""


def connect(uri: str, token: str = "") -> MilvusClient:
    """Connect to a server, or start Milvus Lite on a folder whose name ends in ``.db``.

    Raises:
        VireidError: pymilvus is not installed, or no server answers.
    """
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise VireidError("a gallery needs pymilvus: install with pip install 'vireid[search]'") from error
    # Errors are raised; pymilvus would only print their tracebacks as well.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)
    with told(uri):
        return MilvusClient(uri=uri, token=token, timeout=TIMEOUT)


@contextmanager
def told(place: str, advice: str = "check that the server runs and try again") -> Iterator[None]:
    """Turn errors of pymilvus into one line."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, RpcError) as error:
        text = getattr(error, "message", "") or getattr(error, "details", str)() or str(error)
        first = text.strip().splitlines()[0][:200] if text.strip() else type(error).__name__
        if "No space left" in first:
            raise disk_error(OSError(ENOSPC, ""), Path(place)) from error
        kept = "nothing that was acknowledged is lost"
        raise VireidError(f"{place}: Milvus failed ({first}); {advice}; {kept}") from error


def entry_fields(schema: CollectionSchema) -> None:
    """Add the fields that a search can filter by."""
    from pymilvus import DataType

    schema.add_field("modality", DataType.INT8)
    schema.add_field("camera", DataType.VARCHAR, max_length=256)
    schema.add_field("time", DataType.DOUBLE)
    schema.add_field("track", DataType.VARCHAR, max_length=256)


def entry_values(entry: Entry) -> dict[str, Any]:
    """Return the values of `entry_fields`."""
    time = NO_TIME if entry.time is None else float(entry.time)
    return {"modality": int(entry.modality), "camera": entry.camera, "time": time, "track": entry.track or ""}


def expression(where: Where) -> str:
    """Return the Milvus expression of a filter, without its ids.

    >>> expression(Where(cameras=("yard",), since=5.0))
    'camera in ["yard"] and time >= 5.0'
    """
    parts = []
    for column, wanted, name in (
        ("camera", where.cameras, "in"),
        ("camera", where.not_cameras, "not in"),
        ("track", where.tracks, "in"),
    ):
        if wanted:
            parts.append(f"{column} {name} {json.dumps(wanted, ensure_ascii=False)}")
    if where.modality is not None:
        parts.append(f"modality == {int(where.modality)}")
    if where.since is not None:
        parts.append(f"time >= {float(where.since)!r}")
    if where.until is not None:
        parts.append(f"time < {float(where.until)!r}")
        if where.since is None:
            parts.append("time >= 0.0")
    return " and ".join(parts)
