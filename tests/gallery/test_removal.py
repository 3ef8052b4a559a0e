"""What is removed is gone: from every file, at whatever moment the process is killed, and beside searches."""

from __future__ import annotations

import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from tests.gallery.galleries import ColourEmbedder, people
from tests.gallery.processes import one_line, run
from vireid.gallery.query import whole_id
from vireid.gallery.records import NewImage, Where
from vireid.gallery.store import open_gallery, store_of
from vireid.types import VireidError


def test_what_is_removed_is_in_no_file_any_more(tmp_path: Path) -> None:
    store, images = tmp_path / "store", people(30)
    images[7].entry.__dict__["name"] = "a-name-to-forget.png"
    gallery = open_gallery(str(store), create=ColourEmbedder(), dtype="float32")
    gallery.add(images)
    gallery.search(images[7].vector[None], 3)
    secrets = (b"a-name-to-forget.png", images[7].entry.id.encode(), images[7].thumbnail, images[7].vector.tobytes())
    assert all(any(secret in data for data in contents(store)) for secret in secrets)
    assert gallery.remove(Where(ids=(images[7].entry.id,))) == 1
    assert not any(secret in data for secret in secrets for data in contents(store)), "before compact"
    store_of(gallery).compact()
    gallery.close()
    assert not any(secret in data for secret in secrets for data in contents(store))
    again = open_gallery(str(store))
    assert len(again.search(images[7].vector[None], 1000)) == len(images) - 1
    again.close()


REMOVE_AND_DIE = """
import contextlib, os, signal, sys
from tests.gallery.galleries import ColourEmbedder, people
from vireid.gallery.journal import Journal
from vireid.gallery.records import NewImage, Where
from vireid.gallery.store import open_gallery
gallery, images = open_gallery(sys.argv[1], create=ColourEmbedder(), dtype="float32"), people(10)
gallery.add(images)
gallery.search(images[7].vector[None], 3)
transaction = Journal._transaction
@contextlib.contextmanager
def fatal(journal):
    with transaction(journal):
        yield
        if sys.argv[2] == "not committed":
            os.kill(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
Journal._transaction = fatal
gallery.remove(Where(ids=(images[7].entry.id,)))
"""


@pytest.mark.parametrize("moment", ["committed", "not committed"])
def test_a_killed_remove_has_removed_for_good_or_not_at_all(tmp_path: Path, moment: str) -> None:
    store, images = tmp_path / "store", people(10)
    secrets = (images[7].entry.id.encode(), images[7].thumbnail, images[7].vector.tobytes())
    with run(REMOVE_AND_DIE, str(store), moment) as process:
        assert process.wait(60) == -signal.SIGKILL
    there = any(secret in data for secret in secrets for data in contents(store))
    gallery = open_gallery(str(store))
    assert there == (gallery.known([images[7].entry.id]) != set()) == (moment == "not committed")
    assert store_of(gallery).problems() == []
    found = [match.entry.id for match in gallery.search(images[7].vector[None], 100)]
    assert sorted(found) == [entry.id for entry in gallery.entries()]
    assert len(found) == len(images) - (not there)
    with pytest.raises(VireidError, match="no image in the gallery has this id") if not there else nullcontext():
        assert whole_id(gallery, images[7].entry.id) == images[7].entry.id
    gallery.close()


def test_a_search_beside_removals_sees_every_row_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = people(30)
    gallery = open_gallery(str(tmp_path / "store"), create=ColourEmbedder())
    gallery.add(images)
    kept, insert = {image.entry.id for image in images[4:]}, MilvusClient.insert

    def slow(*arguments: object, **options: object) -> object:
        time.sleep(0.1)  # without the block that a row was removed from
        return insert(*arguments, **options)

    monkeypatch.setattr(MilvusClient, "insert", slow)

    def remove(image: NewImage) -> int:
        time.sleep(0.05)
        return gallery.remove(Where(ids=(image.entry.id,)))

    with ThreadPoolExecutor(1) as pool:
        removals = pool.submit(lambda: [remove(image) for image in images[:4]])
        while not removals.done():
            assert kept <= {match.entry.id for match in gallery.search(images[70].vector[None], 1000)}
    assert removals.result() == [1] * 4
    gallery.close()


def test_a_removal_that_another_process_hinders_is_one_line_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.1))
    images = people(3)
    gallery = open_gallery(str(tmp_path / "store"), create=ColourEmbedder())
    gallery.add(images)
    reader = sqlite3.connect(tmp_path / "store" / "entries.sqlite")
    reader.execute("SELECT * FROM images").fetchone()
    with pytest.raises(VireidError, match="another process is using it") as error:
        gallery.remove(Where(cameras=("c0",)))
    one_line(error)
    assert len(gallery.search(images[0].vector[None], 100)) == len(images)
    reader.close()
    assert gallery.remove(Where(cameras=("c0",))) == 3
    gallery.close()


def test_rows_of_an_insert_that_failed_are_in_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vireid.gallery.index._ROWS", 8)
    insert, drop = MilvusClient.insert, MilvusClient.drop_partition
    held, failures = list[int](), [24]

    def failing_insert(client: MilvusClient, name: str, data: list[dict[str, int]], **options: str) -> None:
        insert(client, name, data, **options)
        held.extend(row["seq"] for row in data)
        if [len(held)] == failures:  # these are in, and nobody hears of it
            failures.clear()
            raise MilvusException(message="no space left")

    def counting_drop(*arguments: object) -> None:
        drop(*arguments)
        held.clear()

    monkeypatch.setattr(MilvusClient, "insert", failing_insert)
    monkeypatch.setattr(MilvusClient, "drop_partition", counting_drop)
    images = people(8)
    gallery = open_gallery(str(tmp_path / "store"), create=ColourEmbedder())
    gallery.add(images[:8])
    with pytest.raises(VireidError, match="no space left"):
        gallery.add(images)
    found = [match.entry.id for match in gallery.search(images[0].vector[None], 1000)]
    assert sorted(found) == sorted(image.entry.id for image in images)
    assert len(held) == len(set(held)) == len(images)
    gallery.close()


def contents(store: Path) -> list[bytes]:
    return [path.read_bytes() for path in store.rglob("*") if path.is_file()]
