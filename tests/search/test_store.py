"""What a store survives: a killed process, a full disk, damage, another process, a server that ends."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from tests.search.conformance import check_gallery
from tests.search.fakes import FakeEmbedder
from tests.search.galleries import ColourEmbedder, people
from tests.search.milvus_server import milvus_server
from vireid.search.copying import copy_gallery, open_copy, write_parquet
from vireid.search.folder_gallery import FolderGallery
from vireid.search.querying import by_track, whole_id
from vireid.search.records import NewImage, Where
from vireid.search.server_gallery import ServerGallery
from vireid.search.store import open_gallery
from vireid.search.upkeep import store_of
from vireid.types import VireidError

pytestmark = pytest.mark.filterwarnings("ignore:.*cannot index float16")

ROOT = Path(__file__).parents[2]
ADD_ON_AND_ON = """
import sys
from tests.search.galleries import ColourEmbedder, people
from vireid.search.store import open_gallery
gallery = open_gallery(sys.argv[1], create=ColourEmbedder())
images = people(500)
for start in range(0, len(images), 8):
    gallery.add(images[start : start + 8])
    print(start + 8, flush=True)
"""


def one_line(error: pytest.ExceptionInfo[VireidError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def run(code: str, *arguments: str, **more: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **more)  # type: ignore[call-overload, no-any-return]


def test_every_gallery_does_what_the_protocol_says(place: str) -> None:
    gallery = open_gallery(place, create=FakeEmbedder())
    assert isinstance(gallery, ServerGallery if "://" in place else FolderGallery)
    check_gallery(gallery)
    gallery.close()


def test_an_empty_gallery_answers_and_a_large_k_gets_what_there_is(place: str) -> None:
    gallery = open_gallery(place, create=ColourEmbedder())
    images = people(2)
    for rerank in (False, True):
        assert gallery.search(images[0].vector[None], 20, rerank=rerank) == []
    info = gallery.info()
    assert (info.images, info.cameras, info.first, info.last) == (0, {}, None, None)
    assert gallery.entries() == []
    assert gallery.remove(Where(cameras=("c0",))) == 0
    assert store_of(gallery).problems() == []
    gallery.add(images)
    for rerank in (False, True):
        assert len(gallery.search(images[0].vector[None], 10_000, rerank=rerank)) == 8
    groups = by_track(gallery.search(images[0].vector[None], 100))
    assert sorted(len(group) for group in groups) == [1] * 8  # one image of each track per camera
    gallery.close()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_keep_their_precision(tmp_path: Path, dtype: str) -> None:
    images = people(4)
    gallery = open_gallery(str(tmp_path / "store"), create=ColourEmbedder(), dtype=dtype)  # type: ignore[arg-type]
    gallery.add(images)
    wanted = np.stack([image.vector for image in images])
    found = gallery.vectors([image.entry.id for image in images])
    assert gallery.info().dtype == dtype
    np.testing.assert_array_equal(found, wanted.astype(dtype).astype(np.float32))
    gallery.close()


def test_a_killed_add_leaves_every_acknowledged_image(tmp_path: Path) -> None:
    store, images, acknowledged = str(tmp_path / "store"), people(500), 0
    for rounds in (3, 9):
        with run(ADD_ON_AND_ON, store) as process:
            assert process.stdout is not None
            for _ in range(rounds):
                acknowledged = max(acknowledged, int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        assert process.returncode == -signal.SIGKILL
        gallery = open_gallery(store)
        assert store_of(gallery).problems() == []
        ids = [image.entry.id for image in images[:acknowledged]]
        assert gallery.known(ids) == set(ids)
        assert len(gallery.entries()) < len(images)
        best = gallery.search(images[acknowledged - 1].vector[None], 1)
        assert best[0].entry.id == ids[-1]
        gallery.close()


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
from tests.search.galleries import ColourEmbedder, people
from vireid.search.journal import Journal
from vireid.search.records import NewImage, Where
from vireid.search.store import open_gallery
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
    with pytest.raises(VireidError, match="another process reads it") as error:
        gallery.remove(Where(cameras=("c0",)))
    one_line(error)
    assert len(gallery.search(images[0].vector[None], 100)) == len(images)
    reader.close()
    assert gallery.remove(Where(cameras=("c0",))) == 3
    gallery.close()


def test_rows_of_an_insert_that_failed_are_in_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vireid.search.folder_index._ROWS", 8)
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


def test_a_folder_is_open_in_one_process_at_a_time(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    first = open_gallery(store, create=ColourEmbedder())
    with run(
        "import sys; from vireid.search.store import open_gallery; open_gallery(sys.argv[1])", store, stderr=-1
    ) as process:
        assert "another process has this gallery open" in process.communicate()[1]
    with pytest.raises(VireidError, match="another process") as error:
        open_gallery(store)
    one_line(error)
    first.close()
    first.close()
    open_gallery(store).close()


def test_a_store_from_the_future_or_none_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "store"
    open_gallery(str(store), create=ColourEmbedder()).close()
    settings = store / "store.json"
    good = json.loads(settings.read_text())
    for content, expected in (
        (json.dumps(good | {"format": 99}), "update vireid"),
        (json.dumps(good | {"dimension": -1}), "dimension"),
        ("{", "store.json"),
        ("[]", "expected the settings"),
    ):
        settings.write_text(content)
        with pytest.raises(VireidError, match=expected) as error:
            open_gallery(str(store))
        one_line(error)
    settings.write_text(json.dumps(good))
    open_gallery(str(store)).close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(VireidError, match="neither empty nor a gallery"):
        open_gallery(str(tmp_path / "other"), create=ColourEmbedder())
    for bad in ("ftp://host/x", "http://127.0.0.1:1/a-b"):
        with pytest.raises(VireidError, match=r"expected a folder|letters, digits"):
            open_gallery(bad)


def test_damage_is_found_and_a_damaged_index_mends_itself(tmp_path: Path) -> None:
    store, images = tmp_path / "store", people(5)
    gallery = open_gallery(str(store), create=ColourEmbedder())
    gallery.add(images)
    gallery.close()
    for path in (store / "index.db").rglob("*"):
        if path.is_file():
            path.write_bytes(b"rubbish" * 20)
    gallery = open_gallery(str(store))
    assert store_of(gallery).problems() == []
    assert gallery.search(images[3].vector[None], 1)[0].entry == images[3].entry
    gallery.close()
    with sqlite3.connect(store / "entries.sqlite") as connection:
        connection.execute("UPDATE images SET camera = 'elsewhere' WHERE id = ?", [images[3].entry.id])
    connection.close()
    gallery = open_gallery(str(store))
    (problem,) = store_of(gallery).problems()
    assert images[3].entry.id in problem
    gallery.close()
    (store / "entries.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(VireidError, match=r"entries.sqlite: damaged") as error:
        open_gallery(str(store)).info()
    one_line(error)


FILL = """
import resource, signal, sys
from tests.search.galleries import ColourEmbedder, people
from vireid.search.store import open_gallery
from vireid.types import VireidError
gallery = open_gallery(sys.argv[1], create=ColourEmbedder())
images, kept = people(2000), 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    for start in range(0, len(images), 50):
        gallery.add(images[start : start + 50])
        kept = start + 50
except VireidError as error:
    print(kept)
    print(error)
"""


def test_a_full_disk_is_one_line_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    with run(FILL, str(tmp_path / "store")) as process:
        lines = process.communicate(timeout=60)[0].splitlines()
    assert len(lines) == 2, lines
    kept, images = int(lines[0]), people(2000)
    gallery = open_gallery(str(tmp_path / "store"))
    assert store_of(gallery).problems() == []
    ids = [image.entry.id for image in images[:kept]]
    assert kept > 0
    assert gallery.known(ids) == set(ids)
    there = gallery.info().images
    assert gallery.add(images) == len(images) - there > 0
    gallery.close()


def test_a_copy_elsewhere_is_the_same_and_compared(place: str, tmp_path: Path) -> None:
    from pyarrow import parquet

    images, source = people(5), str(tmp_path / "source")
    gallery = open_gallery(source, create=ColourEmbedder())
    gallery.add(images)
    with pytest.raises(VireidError, match="already"):
        open_copy(gallery, source, f"{source}/../source")
    copy = open_copy(gallery, source, place)
    copy.add(images[:3])
    assert copy_gallery(gallery, copy) == copy_gallery(gallery, copy) == len(images)
    assert copy.entries() == gallery.entries()
    assert write_parquet(copy, tmp_path / "out.parquet") == len(images)
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in rows] == sorted(image.entry.id for image in images)
    copy.remove(Where(ids=(images[4].entry.id,)))
    changed = people(5)[4]
    changed.entry.__dict__["camera"] = "elsewhere"
    copy.add([changed])
    with pytest.raises(VireidError, match=f"image {images[4].entry.id}: the target has it differently"):
        copy_gallery(gallery, copy)
    gallery.close()
    copy.close()


def test_a_server_that_ends_in_between_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("milvus", reason="milvus is not installed: pip install 'vireid[test]'")
    query = people(1)[0].vector[None]
    with milvus_server(tmp_path / "milvus") as address:
        gallery = open_gallery(f"{address}/gone", create=ColourEmbedder())
        gallery.add(people(2))
        assert len(gallery.search(query, 20)) == 8
    for call in (lambda: gallery.search(query, 20), lambda: gallery.add(people(1, seed=3)), gallery.info):
        with pytest.raises(VireidError, match="Milvus failed") as error:
            call()
        one_line(error)
    with pytest.raises(VireidError) as error:
        open_gallery(f"{address}/gone")
    one_line(error)
