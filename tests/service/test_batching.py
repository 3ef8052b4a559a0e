"""Batches across callers, and the audit log that shares its writes through them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path

import pytest

from vireid.service.audit import Audit
from vireid.service.batching import Batcher
from vireid.types import VireidError


def test_items_that_wait_together_are_one_batch_of_their_key_and_each_gets_its_own_result() -> None:
    batches: list[tuple[str, list[int]]] = []

    def work(key: str, items: list[int]) -> list[str]:
        batches.append((key, items))
        time.sleep(0.02)
        return [f"{key}{item}" for item in items]

    async def ask() -> list[str]:
        batcher = Batcher(work, 4, "test")
        return await asyncio.gather(*(batcher.submit("ab"[i % 2], i) for i in range(20)))

    assert asyncio.run(ask()) == [f"{'ab'[i % 2]}{i}" for i in range(20)]
    assert all(len(items) <= 4 and len({i % 2 for i in items}) == 1 for _, items in batches)
    assert len(batches) == 6  # ten of each key, four at a time
    assert [key for key, _ in batches] == ["a", "b"] * 3  # the oldest waiting item decides


def test_a_failure_reaches_every_caller_of_its_batch_and_no_other() -> None:
    def work(key: int, items: list[int]) -> list[int]:
        if key == 1:
            raise VireidError("broken")
        return items

    async def ask() -> list[int | BaseException]:
        batcher = Batcher(work, 8, "test")
        return await asyncio.gather(*(batcher.submit(i % 2, i) for i in range(6)), return_exceptions=True)

    results = asyncio.run(ask())
    assert results[::2] == [0, 2, 4]
    assert all(isinstance(result, VireidError) for result in results[1::2])


def test_who_has_gone_is_not_worked_for() -> None:
    started, seen = threading.Event(), []

    def work(_: None, items: list[int]) -> list[int]:
        started.set()
        time.sleep(0.05)
        seen.extend(items)
        return items

    async def ask() -> None:
        batcher = Batcher(work, 1, "test")
        tasks = [asyncio.create_task(batcher.submit(None, i)) for i in range(3)]
        await asyncio.to_thread(started.wait)
        tasks[1].cancel()
        assert await asyncio.gather(*tasks, return_exceptions=True) != [0, 1, 2]

    asyncio.run(ask())
    assert seen == [0, 2]


def test_audit_lines_are_whole_in_order_and_follow_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"what": "old"}\n{"what": "to')  # torn by a crash

    async def write() -> list[object]:
        audit = Audit(path)
        await asyncio.gather(*(audit.write("alice", "::1", "search", row=row) for row in range(50)))
        last = await audit.last(2)
        path.rename(tmp_path / "audit.1")
        await audit.write("alice", "::1", "after")
        return last

    last = asyncio.run(write())
    lines = (tmp_path / "audit.1").read_text().splitlines()
    assert lines[1] == '{"what": "to'
    assert [json.loads(line)["row"] for line in lines[2:]] == list(range(50))
    assert [line["row"] for line in last] == [48, 49]  # type: ignore[index]
    assert json.loads(path.read_text())["what"] == "after"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="cannot write"):
        asyncio.run(Audit(tmp_path / "nowhere" / "audit.jsonl").write("a", "", "search"))
    with pytest.raises(VireidError, match="no space"):
        asyncio.run(Audit(Path("/dev/full")).write("a", "", "search"))
