"""The audit log: who searched, added and deleted what, as JSON lines in a file that is only appended to."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vireid.files import disk_error
from vireid.service.batching import Batcher
from vireid.types import VireidError

_TAIL = 1 << 22


class Audit:
    """The log at ``path``. Lines contain token names, image hashes and filters, never images or tokens.

    The file is reopened for every write, so it can be rotated by renaming.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._batcher: Batcher[None, str, None] = Batcher(lambda _, lines: self._append(lines), 1024, "audit")

    async def write(self, who: str, client: str, what: str, **details: Any) -> None:
        """Append a line and return once it is on disk; concurrent lines share one fsync.

        Raises:
            VireidError: the file cannot be written; the caller must then not do what it wanted to log.
        """
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": time, "who": who, "client": client, "what": what, **details}
        await self._batcher.submit(None, json.dumps(line, ensure_ascii=True) + "\n")

    async def last(self, limit: int) -> list[dict[str, Any]]:
        """Return the last ``limit`` lines (of the last 4 MiB), oldest first."""
        return (await asyncio.to_thread(self._read))[-limit:]

    def close(self) -> None:
        self._batcher.close()

    def _append(self, lines: Sequence[str]) -> list[None]:
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                size = os.fstat(handle).st_size
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"  # by a crash or a full disk
                data = ("\n" * torn + "".join(lines)).encode()
                if os.write(handle, data) != len(data):
                    raise VireidError(f"{self._path}: no space left on the device; free some")
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise disk_error(error, self._path) from error
        return [None] * len(lines)

    def _read(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                content = json.loads(line)
            except ValueError:  # the window may cut its first line, and a crash may have torn another
                continue
            if isinstance(content, dict):
                found.append(content)
        return found
